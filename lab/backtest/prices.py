"""What orders trade at and positions are valued at, for every bar of a panel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from lab.backtest.layout import NOTHING, Array, Tape
from lab.core.compiled import njit
from lab.core.errors import ConfigError, DataError
from lab.core.frames import RECEIVED
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe

__all__ = ["ExecutionPrices", "PriceName", "frozen", "instant"]

PriceName = Literal["open", "close"]

_DAY_US: Final = 86_400_000_000


def frozen(values: Array) -> Array:
    """Return `values` as a read-only C-contiguous float64 view: the one form the kernels are compiled for."""
    array = np.ascontiguousarray(values, dtype=np.float64).view()
    array.flags.writeable = False
    return array


def instant(ts: np.datetime64) -> str:
    """Return a time as messages show it, to the minute, UTC."""
    return f"{np.datetime_as_string(ts, unit='m')}Z".replace("T", " ")


@dataclass(frozen=True, slots=True, eq=False)
class ExecutionPrices:
    """Prices of a panel as the engine needs them, computed once and shared by every simulation.

    Panels that carry prices as received (``received_open``, ``received_close``) are marked and filled at
    those; the others at ``open`` and ``close``.

    Attributes
    ----------
    timeframe, ts, markets
        Of the panel.
    at : str
        ``open`` or ``close``: the moment of the bar at which its orders trade.
    price : ndarray, shape (T, N)
        What the bar's orders trade at; NaN where there is no price and therefore no order.
    mark : ndarray, shape (T, N)
        Last known price when they trade: `price` where known; NaN before a market's first price.
    last : ndarray, shape (T, N)
        Last known price at the bar's close.
    received : ndarray of bool, shape (T, N)
        Whether the bar has a close.
    usable : ndarray of bool, shape (T, N)
        Whether features may read its close: received, and not BAD.
    day : ndarray of int64, shape (T,)
        UTC day number of the moment at which the bar's orders trade.

    Notes
    -----
    Known prices are carried forward in time order: open 0, close 0, open 1 and so on.
    """

    timeframe: Timeframe
    ts: NDArray[np.datetime64]
    markets: tuple[str, ...]
    at: PriceName
    price: Array
    mark: Array
    last: Array
    received: NDArray[np.bool_]
    usable: NDArray[np.bool_]
    day: NDArray[np.int64]
    _bars: Mapping[str, Array] = field(default_factory=dict, repr=False)

    @property
    def tape(self) -> Tape:
        """The arrays that the kernels take."""
        return Tape(self.price, self.mark, self.last, self.day)

    @property
    def lean_tape(self) -> Tape:
        """The same with 0 where nothing is known yet: a position of 0 is then worth 0 without a branch."""
        mark = _or_zero(self.mark)
        return Tape(self.price, mark, mark if self.last is self.mark else _or_zero(self.last), self.day)

    @classmethod
    def from_panel(cls, panel: Panel, price: PriceName = "open") -> ExecutionPrices:
        """Prepare the prices of `panel`; orders trade at the bar's `price`.

        Raises
        ------
        ConfigError
            If `price` is neither ``open`` nor ``close``.
        DataError
            If a price is infinite, zero or negative; names the bar and the market.
        """
        if price not in ("open", "close"):
            raise ConfigError(f"price {price!r} not understood: orders trade at a bar's 'open' or 'close'")
        opens, closes = _field(panel, "open"), _field(panel, "close")
        received, close = ~np.isnan(closes), panel["close"]
        usable = received if closes.base is close else ~np.isnan(close)
        mark, last = opens, closes
        if not received.all() or np.isnan(opens).any():
            mark, last = (frozen(values) for values in _carry_forward(opens, closes))
        at_close = price == "close"
        day = panel.ts.astype("datetime64[us]", copy=False).view(np.int64)
        days = np.floor_divide(day + panel.timeframe.microseconds if at_close else day, _DAY_US)
        days.flags.writeable = False
        return cls(
            panel.timeframe,
            panel.ts,
            panel.markets,
            price,
            closes if at_close else opens,
            last if at_close else mark,
            last,
            received,
            usable,
            days,
            {
                name: _received(panel, name)
                for name in ("high", "low", "close", "volume")
                if name in panel.fields
            },
        )

    def bar_column(self, name: str, *, needed: bool) -> Array:
        """Return a column of the bars as received; NaN where it is missing and not `needed`.

        Raises
        ------
        DataError
            If it is needed and the panel did not have it.
        """
        if name in self._bars:
            return self._bars[name]
        if needed:
            raise DataError(f"these costs or limits need the column {name!r}, which the bars do not have")
        return frozen(np.full(self.shape, np.nan))

    def columns(self, part: slice) -> ExecutionPrices:
        """Return the prices of some markets, by position."""
        price, mark, last = (frozen(values[:, part]) for values in (self.price, self.mark, self.last))
        return replace(
            self,
            markets=self.markets[part],
            price=price,
            mark=mark,
            last=last,
            received=self.received[:, part],
            usable=self.usable[:, part],
            _bars={name: frozen(values[:, part]) for name, values in self._bars.items()},
        )

    def each(self) -> tuple[ExecutionPrices, ...]:
        """Return the prices of every market on its own."""
        return tuple(self.columns(slice(i, i + 1)) for i in range(len(self.markets)))

    def __len__(self) -> int:
        return len(self.ts)

    @property
    def shape(self) -> tuple[int, int]:
        """Bars and markets, (T, N)."""
        return self.price.shape[0], self.price.shape[1]


def _received(panel: Panel, column: str) -> Array:
    name = RECEIVED[column] if RECEIVED[column] in panel.fields else column
    return frozen(panel[name])


def _field(panel: Panel, column: str) -> Array:
    name = RECEIVED[column] if RECEIVED[column] in panel.fields else column
    values = _received(panel, column)
    if _any_wrong(values):
        t, i = np.argwhere((values <= NOTHING) | (values == np.inf))[0]
        raise DataError(
            f"{panel.markets[i]} {panel.timeframe} at {instant(panel.ts[t])}: {name} is {values[t, i]}, "
            "expected a positive price; mark such bars first (they become NaN) or drop their rows"
        )
    return values


def _or_zero(values: Array) -> Array:
    unknown = np.isnan(values)
    return frozen(np.where(unknown, 0.0, values)) if unknown.any() else values


@njit(cache=True, nogil=True, error_model="numpy")
def _any_wrong(values: Array) -> bool:
    every, wrong = values.reshape(-1), 0
    for k in range(every.shape[0]):
        wrong += (every[k] <= NOTHING) | (every[k] == np.inf)
    return wrong > 0


@njit(cache=True, nogil=True, error_model="numpy")
def _carry_forward(opens: Array, closes: Array) -> tuple[Array, Array]:
    mark, last = np.empty(opens.shape), np.empty(opens.shape)
    for i in range(opens.shape[1]):
        known = np.nan
        for t in range(opens.shape[0]):
            if not np.isnan(opens[t, i]):
                known = opens[t, i]
            mark[t, i] = known
            if not np.isnan(closes[t, i]):
                known = closes[t, i]
            last[t, i] = known
    return mark, last
