"""Shapes, codes and tolerances that the engines share."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lab.risk import Limits, Watch

__all__ = [
    "BUY",
    "CASH_SHORT",
    "COST",
    "EQUITY",
    "EXPOSURE",
    "FILLED",
    "NOTHING",
    "NO_CASH",
    "NO_PRICE",
    "NO_VOLUME",
    "PATH_ROWS",
    "RETURN",
    "ROUNDING",
    "SELL",
    "TOO_SMALL",
    "TURNOVER",
    "VOLUME_SHORT",
    "Array",
    "Codes",
    "Frictions",
    "Outputs",
    "Rates",
    "Tape",
    "Terms",
]

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

# Amounts within ROUNDING of each other (relative) or NOTHING (absolute) are the same amount: what is left
# of a position sold whole, or of cash spent whole, is zero and not the rounding error of the subtraction.
ROUNDING: Final = 1e-9
NOTHING: Final = 1e-12
BUY: Final = 1
SELL: Final = -1
FILLED: Final = 0
CASH_SHORT: Final = 1
NO_PRICE: Final = 2
NO_CASH: Final = 3
TOO_SMALL: Final = 4
NO_VOLUME: Final = 5
# A fill all the same: statuses up to CASH_SHORT are fills.
VOLUME_SHORT: Final = -1

# Rows of the path: one figure per bar. Return, turnover and cost are relative to the equity of the bar
# before, so that return plus cost is the return before costs.
EQUITY: Final = 0
RETURN: Final = 1
TURNOVER: Final = 2
COST: Final = 3
EXPOSURE: Final = 4
PATH_ROWS: Final = 5


class Tape(NamedTuple):
    """Prices, shape (T, N): what orders trade at, last known then, last known at the close; UTC day (T,)."""

    price: Array
    mark: Array
    last: Array
    day: Codes


class Terms(NamedTuple):
    """Terms of trading: bars from decision to trade, fractions charged, capital, whether risk acts and how.

    `watch` has the rows that limits with layers look at; it is empty where they are neutral.
    """

    lag: int
    fee: float
    slippage: float
    cash: float
    limited: bool
    limits: Limits
    watch: Watch


class Rates(NamedTuple):
    """Bars from decision to trade, fractions charged, and the capital of every account."""

    lag: int
    fee: float
    slippage: float
    cash: float


class Frictions(NamedTuple):
    """What a market does to orders beyond a fixed slippage.

    `high`, `low`, `volume`, `volatility` of the bar that trades, shape (T, N), the last one known before it;
    `lot`, `tick`, `least` notional, shape (N,), 0 for none; concession per volatility and at the whole volume
    (fractions), largest share of a bar's volume (inf: no limit), and whether fills stay within the bar.
    """

    high: Array
    low: Array
    volume: Array
    volatility: Array
    lot: Array
    tick: Array
    least: Array
    per_volatility: float
    impact: float
    share: float
    clip: bool


class Outputs(NamedTuple):
    """Arrays the engine writes; all but `path` may be empty and are then left alone.

    `path` (PATH_ROWS, T); `positions`, `permitted`, `reasons` (T, N); per order `log` (M, 4): bar, market,
    side, status, and `figures` (M, 4): quantity, price, reference price, fee.
    """

    path: Array
    positions: Array
    permitted: Array
    reasons: Codes
    log: Codes
    figures: Array
