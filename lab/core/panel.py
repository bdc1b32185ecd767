"""The panel: bars and features as aligned wide arrays on the full calendar grid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.core.errors import DataError, FrameError, UnknownMarketError
from lab.core.feature import Feature
from lab.core.frames import TS, market_columns
from lab.core.timeframe import Timeframe

__all__ = ["Panel"]

Field = str | Feature
Array = NDArray[np.float64]
Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """What a strategy sees: every field as a (T, N) array, time down, markets across.

    The rows are the full calendar grid of the timeframe: a bar that is missing is a row of NaN, a market is
    NaN before its listing and after its delisting. Arrays are float64, C-contiguous and read-only. Row t may
    be used from the close of bar t on.

    Parameters
    ----------
    timeframe : Timeframe
        Length of a bar.
    bar : ndarray of int64, shape (T,)
        Absolute bar numbers, consecutive (see :class:`~lab.core.timeframe.Timeframe`).
    ts : ndarray of datetime64[us], shape (T,)
        Opening time of each bar, UTC.
    markets : tuple of str, length N
        Sorted by name when built by :meth:`from_frame`.
    fields : mapping of str or Feature to ndarray, shape (T, N)
        Bar columns by name, features by definition.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> frame = pl.DataFrame(
    ...     {
    ...         "ts": [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 3, tzinfo=UTC)],
    ...         "market": ["binance:BTC/USDT"] * 2,
    ...         "close": [42_000.0, 43_000.0],
    ...     },
    ...     schema_overrides={"ts": TS},
    ... )
    >>> panel = Panel.from_frame(frame, timeframe="1d")
    >>> panel["close"][:, 0]
    array([42000.,    nan, 43000.])
    >>> panel.tail(1).ts
    array(['2024-01-03T00:00:00.000000'], dtype='datetime64[us]')
    """

    timeframe: Timeframe
    bar: NDArray[np.int64]
    ts: NDArray[np.datetime64]
    markets: tuple[str, ...]
    fields: Mapping[Field, Array]

    def __post_init__(self) -> None:
        rows, columns = len(self.bar), len(self.markets)
        if (self.bar[1:] - self.bar[:-1] != 1).any():
            raise FrameError("panel: bar numbers are not consecutive; build panels with Panel.from_frame")
        if len(self.ts) != rows:
            raise FrameError(f"panel: {len(self.ts)} timestamps for {rows} bars")
        frozen: dict[Field, Array] = {}
        for key, values in self.fields.items():
            if values.shape != (rows, columns):
                raise FrameError(f"panel: field {key} has shape {values.shape}, expected ({rows}, {columns})")
            frozen[key] = _read_only(values)
        object.__setattr__(self, "fields", MappingProxyType(frozen))
        object.__setattr__(self, "bar", _read_only(self.bar))
        object.__setattr__(self, "ts", _read_only(self.ts))

    @classmethod
    def from_frame(cls, frame: pl.DataFrame, *, timeframe: str | Timeframe | None = None) -> Panel:
        """Pivot a long frame onto the calendar grid between its first and last bar.

        Parameters
        ----------
        frame : polars.DataFrame
            ``ts`` (bar open, UTC), ``market`` and any numeric or boolean columns, which become fields (null
            becomes NaN). Other columns are left out.
        timeframe : str, optional
            Detected as the smallest distance between two bars of a market when not given.

        Raises
        ------
        FrameError
            If the frame is empty, a (market, ts) is repeated, or a ``ts`` is off the timeframe's grid.
        """
        if frame.is_empty():
            raise FrameError("panel: the frame has no rows; expected at least one bar")
        if frame.schema.get("ts") != TS or "market" not in frame.columns:
            raise FrameError(f"panel: expected columns ts ({TS}) and market; found {dict(frame.schema)}")
        if frame["ts"].null_count() or frame["market"].null_count():
            raise FrameError("panel: ts or market is null in some rows; every row needs both")
        ts = frame["ts"].to_physical().to_numpy().view("datetime64[us]")
        markets, column = market_columns(frame["market"])
        grid = _detect(ts, column) if timeframe is None else Timeframe.parse(timeframe)
        if not grid.on_grid(ts).all():
            off = ts[~grid.on_grid(ts)]
            raise FrameError(f"panel: {len(off)} bars are off the {grid} grid (first {off[0]}Z)")
        numbers = grid.numbers(ts)
        bar = np.arange(numbers.min(), numbers.max() + 1, dtype=np.int64)
        cell = (numbers - bar[0]) * len(markets) + column
        taken = np.zeros(len(bar) * len(markets), np.bool_)
        taken[cell] = True
        if np.count_nonzero(taken) != len(cell):
            raise FrameError(
                "panel: some rows share their market and ts; expected one row per market and bar"
            )
        fields: dict[Field, Array] = {}
        for name, dtype in frame.schema.items():
            if dtype.is_numeric() or dtype == pl.Boolean:
                wide = np.full(len(bar) * len(markets), np.nan)
                wide[cell] = frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
                fields[name] = wide.reshape(len(bar), len(markets))
        return cls(grid, bar, grid.open_times(bar), markets, fields)

    def __getitem__(self, key: Field) -> Array:
        try:
            return self.fields[key]
        except KeyError:
            known = ", ".join(sorted(str(field) for field in self.fields))
            raise DataError(f"panel has no field {key}; it has {known}. Declare it in features()") from None

    def __len__(self) -> int:
        return len(self.bar)

    @property
    def shape(self) -> tuple[int, int]:
        """Bars and markets, (T, N)."""
        return len(self.bar), len(self.markets)

    def tail(self, bars: int) -> Panel:
        """Return the last `bars` rows (all of them if there are fewer)."""
        return self.rows(max(len(self) - bars, 0), len(self))

    def rows(self, start: int, stop: int) -> Panel:
        """Return rows ``start … stop - 1`` by position; views, nothing is copied."""
        part = slice(start, stop)
        fields = {key: values[part] for key, values in self.fields.items()}
        return Panel(self.timeframe, self.bar[part], self.ts[part], self.markets, fields)

    def select(self, markets: Iterable[str]) -> Panel:
        """Return the panel of some markets, in the order given, as contiguous copies."""
        wanted = tuple(markets)
        unknown = [market for market in wanted if market not in self.markets]
        if unknown:
            raise UnknownMarketError(f"panel has no market {unknown[0]}; it has {', '.join(self.markets)}")
        index = [self.markets.index(market) for market in wanted]
        fields = {key: np.ascontiguousarray(values[:, index]) for key, values in self.fields.items()}
        return Panel(self.timeframe, self.bar, self.ts, wanted, fields)

    def with_fields(self, fields: Mapping[Field, Array]) -> Panel:
        """Return the panel with `fields` added, or replaced where the key exists."""
        return Panel(self.timeframe, self.bar, self.ts, self.markets, {**self.fields, **fields})

    def to_frame(self, values: Array, name: str) -> pl.DataFrame:
        """Return a (T, N) array as a long frame ``ts, market, name``, sorted by ``ts``, then ``market``."""
        rows, columns = self.shape
        order = np.argsort(np.array(self.markets))
        return pl.DataFrame(
            {
                "ts": pl.Series(np.repeat(self.ts, columns)).dt.replace_time_zone("UTC"),
                "market": [self.markets[i] for i in order] * rows,
                name: np.ascontiguousarray(values[:, order]).reshape(-1),
            }
        )


def _read_only(values: NDArray[Scalar]) -> NDArray[Scalar]:
    array = np.ascontiguousarray(values)
    if array.flags.writeable:
        # A view, so that the caller's own array stays writeable; the panel's never is.
        array = array.view()
        array.flags.writeable = False
    return array


def _detect(ts: NDArray[np.datetime64], column: NDArray[np.int64]) -> Timeframe:
    """Return the smallest distance between two bars of a market."""
    since = (ts - ts.min()).astype(np.int64)
    span = int(since.max()) + 1
    ordered = np.sort(column * span + since)
    steps = np.diff(ordered)[np.diff(ordered // span) == 0]
    seconds = steps.min() / 1_000_000 if len(steps) else 0.0
    if seconds < 60 or seconds % 60:
        raise FrameError(f"panel: timeframe cannot be told from bars {seconds:g} s apart; pass timeframe=")
    return Timeframe.from_seconds(float(seconds))
