"""From bars to features: the one function that research, backtest and live call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lab.core.errors import DataError
from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.features.definition import Bars, definition_of

__all__ = ["compute"]

Array = NDArray[np.float64]


def compute(panel: Panel, features: Iterable[Feature]) -> Panel:
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
    columns: dict[str, Array] = {}
    for feature in wanted:
        for column in definition_of(feature).inputs(feature):
            if column not in columns:
                columns[column] = _column(panel, column, feature)
    return panel.with_fields({feature: _values(panel, feature, columns) for feature in wanted})


def _values(panel: Panel, feature: Feature, columns: dict[str, Array]) -> Array:
    definition = definition_of(feature)
    inputs = tuple(columns[column] for column in definition.inputs(feature))
    first_bar = int(panel.bar[0]) if len(panel) else 0
    values = definition.evaluate(feature, Bars(inputs, first_bar, panel.timeframe))
    values[: feature.lookback - 1] = np.nan
    return values


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
    rows, columns = x.shape
    for t in range(rows):
        finite = True
        for j in range(columns):
            finite &= abs(x[t, j]) != np.inf
        if not finite:
            for j in range(columns):
                if abs(x[t, j]) == np.inf:
                    return t * columns + j
    return -1
