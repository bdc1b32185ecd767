"""Why a tick of the bridge traded another quantity than its backtest wanted at the same bar."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.backtest import BacktestResult
from lab.core.panel import Panel
from lab.pipeline.differences import Shortfall

__all__ = ["BarWishes", "shortfalls_of"]

Array = NDArray[np.float64]
Wish = tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class BarWishes:
    """What a backtest wanted in each market at each bar: the weight decided before it, and what risk left.

    NaN keeps the quantity.
    """

    markets: tuple[str, ...]
    rows: Mapping[int, int]
    decided: Array
    permitted: Array

    @classmethod
    def of(cls, panel: Panel, decided: Array, result: BacktestResult) -> BarWishes:
        """Read them from a backtest that trades one bar after `decided`, which has the panel's rows."""
        table = result.permitted.with_columns(pl.col("ts").dt.replace_time_zone(None))
        permitted = np.full(panel.shape, np.nan)
        numbers = panel.timeframe.numbers(table["ts"].to_numpy()) - int(panel.bar[0])
        columns = {market: index for index, market in enumerate(panel.markets)}
        places = [columns[market] for market in table["market"].to_list()]
        permitted[numbers, places] = table["weight"].to_numpy()
        rows = {int(bar): row for row, bar in enumerate(panel.bar)}
        return cls(panel.markets, rows, decided, permitted)

    def at(self, bar: int) -> dict[str, Wish]:
        """Return decided and permitted weight by market, traded to at `bar`."""
        row = self.rows[bar]
        before = self.decided[row - 1]
        return {
            market: (float(before[index]), float(self.permitted[row, index]))
            for index, market in enumerate(self.markets)
        }


def shortfalls_of(
    tick: Mapping[str, Any],
    cash: float,
    held: Mapping[str, float],
    opens: Mapping[str, float],
    theirs: Mapping[str, Wish],
    names: Mapping[str, str],
) -> dict[str, Shortfall]:
    """Return, by market, what keeps a tick's traded quantity from the backtest's wish on the same account.

    Parameters
    ----------
    tick : mapping
        The document of a tick that acted.
    cash, held
        The account before it.
    opens : mapping of market to float
        Opening prices of the bar.
    theirs : mapping of market to (decided, permitted)
        See :class:`BarWishes`; a market that is not there is not compared.
    names : mapping of symbol to market
    """
    equity = cash + sum(quantity * opens[market] for market, quantity in held.items() if quantity)
    marks = {names[symbol]: float(mark) for symbol, mark in (tick.get("marks") or {}).items()}
    sized_at = {**opens, **marks}
    own = cash + sum(quantity * sized_at[market] for market, quantity in held.items() if quantity)
    wants = {names[target["symbol"]]: (target["wanted"], target["permitted"]) for target in tick["targets"]}
    planned, filled = _quantities(tick, names)
    skipped = {names[entry["symbol"]] for entry in tick["skipped"]}
    found = {}
    for market in {*wants, *planned}:
        wanted, permitted = (_weight(value) for value in wants.get(market, (None, None)))
        at_open = _change(permitted, equity, opens[market], held[market])
        aim = _change(permitted, own, sized_at[market], held[market])
        order = planned.get(market, 0.0)
        short = {"timing": aim - at_open, "partial_fill": filled.get(market, 0.0) - order}
        cut = "min_notional" if market in skipped and market not in planned else "rounding"
        short["command" if tick.get("command") else cut] = order - aim
        if market in theirs:
            decided, allowed = theirs[market]
            cause = "risk" if _same(wanted, decided) else "signal"
            short[cause] = at_open - _change(allowed, equity, opens[market], held[market])
        found[market] = Shortfall(**short)
    return found


def _quantities(
    tick: Mapping[str, Any], names: Mapping[str, str]
) -> tuple[dict[str, float], dict[str, float]]:
    planned: dict[str, float] = {}
    filled: dict[str, float] = {}
    for order in tick["orders"]:
        market = names[order["symbol"]]
        sign = 1.0 if order["side"] == "buy" else -1.0
        planned[market] = planned.get(market, 0.0) + sign * float(order["quantity"])
        filled[market] = filled.get(market, 0.0) + sign * float(order["filled"])
    return planned, filled


def _change(weight: float, equity: float, price: float, held: float) -> float:
    """Return the signed quantity that a weight asks for; NaN keeps."""
    return 0.0 if math.isnan(weight) else weight * equity / price - held


def _weight(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))
