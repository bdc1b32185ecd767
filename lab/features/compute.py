"""From bars to features: the one function that research, backtest and live call."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.core.compiled import njit
from lab.core.errors import DataError
from lab.core.feature import Feature
from lab.core.frames import TS
from lab.core.panel import Panel
from lab.features.definition import Bars, definition_of

__all__ = ["compute", "compute_frame", "compute_values"]

Array = NDArray[np.float64]

# Cells of a piece: its intermediate arrays stay in the processor's cache.
_PIECE_CELLS: Final = 1 << 17
# A piece is computed together with the bars before it; of those there are at most this share.
_WARM_UP_SHARE: Final = 4
# Fewer cells than this are done before a second thread has started.
_THREADED_CELLS: Final = 1 << 22
# Arrays of more cells than this are given back to the system when they are freed.
_RETURNED_CELLS: Final = 1 << 14
# Below the 32 MB that the C library's allocator would keep at most.
_KEPT_CELLS: Final = 1 << 21


class _Piece(NamedTuple):
    """Rows ``start … stop - 1`` of one feature."""

    feature: Feature
    start: int
    stop: int


def compute(panel: Panel, features: Iterable[Feature], *, workers: int | None = None) -> Panel:
    """Return `panel` with `features` computed from its bars.

    Features are always computed from the bars at hand, also where the panel already carries them: a panel
    cut from a longer one would otherwise keep numbers that its own bars cannot give. Equal features are
    computed once.

    Parameters
    ----------
    panel : Panel
        Bars, and the columns that the features read.
    features : iterable of Feature
        Made by the constructors of :mod:`lab.features`.
    workers : int, optional
        Threads, by default as many as there are processors for a long panel and one for a short one. A value
        depends on its lookback alone, so that no number of threads or pieces changes a bit.

    Returns
    -------
    Panel
        With one (T, N) field per feature. Row t depends on rows ``t - lookback + 1 … t`` alone, to the last
        bit, wherever the panel starts; the first ``lookback - 1`` rows are NaN.

    Raises
    ------
    DataError
        If the panel lacks a column that a feature reads, or a value in it is infinite.
    ConfigError
        If a feature has no definition.

    Examples
    --------
    >>> import polars as pl
    >>> from datetime import UTC, datetime
    >>> days = pl.datetime_range(
    ...     datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 4, tzinfo=UTC), "1d", eager=True
    ... )
    >>> frame = pl.DataFrame({"ts": days, "market": "binance:BTC/USDT", "close": [1.0, 2.0, 4.0, 8.0]})
    >>> from lab.features import mean
    >>> compute(Panel.from_frame(frame), [mean("close", 2)])[mean("close", 2)][:, 0]
    array([nan, 1.5, 3. , 6. ])
    """
    wanted = tuple(dict.fromkeys(features))
    values = compute_values(panel, wanted, workers=workers)
    return panel.with_fields({feature: array for feature, array in values.items()})


def compute_values(
    panel: Panel,
    wanted: tuple[Feature, ...],
    *,
    workers: int | None = None,
    empty: Callable[[tuple[int, ...]], Array] = np.empty,
) -> dict[Feature, Array]:
    """Return the values of distinct features, read-only, as :func:`compute` puts them into a panel.

    `empty` returns a new array of a shape, for those who care where the values lie.
    """
    columns: dict[str, Array] = {}
    for feature in wanted:
        for column in definition_of(feature).inputs(feature):
            if column not in columns:
                columns[column] = _column(panel, column, feature)
    values = {feature: empty(panel.shape) for feature in wanted}
    threads = _threads(panel, wanted) if workers is None else workers
    if panel.shape[0] * panel.shape[1] > _RETURNED_CELLS:
        _keep_freed_memory()

    def fill(piece: _Piece) -> None:
        _fill(panel, piece, columns, values[piece.feature])

    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(fill, _pieces(panel, wanted)):
                pass
    else:
        for piece in _pieces(panel, wanted):
            fill(piece)
    for made in values.values():
        made.flags.writeable = False
    return values


def compute_frame(
    frame: pl.DataFrame, features: Iterable[Feature], *, timeframe: str | None = None
) -> pl.DataFrame:
    """Return features of a long frame of bars as a long frame: the same numbers as :func:`compute`.

    Parameters
    ----------
    frame : polars.DataFrame
        ``ts``, ``market`` and the columns that the features read.
    features : iterable of Feature
        Made by the constructors of :mod:`lab.features`.
    timeframe : str, optional
        Detected from the bars when not given.

    Returns
    -------
    polars.DataFrame
        ``ts, market`` and one column per feature, named by its key; every bar of the calendar grid between
        the first and the last one, sorted by ``ts``, then ``market``.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from lab.features import mean
    >>> ts = [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2, 3)]
    >>> frame = pl.DataFrame({"ts": ts, "market": "binance:BTC/USDT", "close": [1.0, 2.0, 4.0]})
    >>> compute_frame(frame, [mean("close", 2)])[mean("close", 2).key].to_list()
    [nan, 1.5, 3.0]
    """
    wanted = tuple(dict.fromkeys(features))
    panel = Panel.from_frame(frame.with_columns(pl.col("ts").cast(TS)), timeframe=timeframe)
    panel = compute(panel, wanted)
    out = panel.to_frame(panel[wanted[0]], wanted[0].key) if wanted else frame.select("ts", "market")
    rest = [panel.to_frame(panel[feature], feature.key)[feature.key] for feature in wanted[1:]]
    return out.with_columns(rest)


def _threads(panel: Panel, wanted: tuple[Feature, ...]) -> int:
    cells = panel.shape[0] * panel.shape[1] * len(wanted)
    return len(os.sched_getaffinity(0)) if cells >= _THREADED_CELLS else 1


@functools.cache
def _keep_freed_memory() -> None:
    """Have the allocator keep the arrays of one feature, and of what is made of it, for the next.

    The GNU C library gives every larger block back to the system, and gets it again page by page, which costs
    more than the kernels do. Freeing one block (never touched) raises the size that it calls large.
    """
    np.empty(_KEPT_CELLS)


def _pieces(panel: Panel, wanted: tuple[Feature, ...]) -> Iterator[_Piece]:
    """Cut every feature into runs of rows; what was cut is the same for any number of threads."""
    rows, markets = panel.shape
    for feature in wanted:
        length = max(_PIECE_CELLS // max(markets, 1), _WARM_UP_SHARE * feature.lookback)
        pieces = max(rows // length, 1)
        borders = [rows * number // pieces for number in range(pieces + 1)]
        for start, stop in itertools.pairwise(borders):
            yield _Piece(feature, start, stop)


def _fill(panel: Panel, piece: _Piece, columns: dict[str, Array], values: Array) -> None:
    feature = piece.feature
    definition = definition_of(feature)
    first = max(piece.start - feature.lookback + 1, 0)
    rows = slice(first, piece.stop)
    inputs = tuple(columns[column][rows] for column in definition.inputs(feature))
    first_bar = int(panel.bar[first]) if len(panel) else 0
    bars = Bars(inputs, first_bar, panel.timeframe, panel.markets)
    with np.errstate(all="ignore"):
        made = definition.evaluate(feature, bars)
    values[piece.start : piece.stop] = made[piece.start - first :]
    values[piece.start : min(feature.lookback - 1, piece.stop)] = np.nan


def _column(panel: Panel, column: str, feature: Feature) -> Array:
    if column not in panel.fields:
        known = ", ".join(sorted(key for key in panel.fields if isinstance(key, str)))
        raise DataError(f"feature {feature} reads column {column!r}; the panel has {known}")
    values = panel.fields[column]
    at = _first_infinite(values)
    if at >= 0:
        row, market = divmod(at, len(panel.markets))
        raise DataError(
            f"column {column} of {panel.markets[market]} at {panel.ts[row]}Z is {values[row, market]}, "
            "expected a finite number, or NaN for a missing bar; see 'mnemo data check'"
        )
    return values


@njit(cache=True, nogil=True)
def _first_infinite(x: Any) -> int:
    every, infinite = x.reshape(-1), 0
    for k in range(every.shape[0]):
        infinite += abs(every[k]) == np.inf
    k = 0
    while infinite > 0 and abs(every[k]) != np.inf:
        k += 1
    return k if infinite > 0 else -1
