"""The books of a rehearsed bridge beside those of its backtest, and what keeps them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lab.backtest import BacktestResult
from lab.core.market import Market
from lab.pipeline.differences import Attribution, Fill, Key, Shortfall, attribute
from lab.pipeline.portfolio_inputs import PortfolioInputs

__all__ = ["compare_books"]

Array = NDArray[np.float64]

# The whole difference is taken apart at so many closes, the last one included.
_LOOKS: Final = 12


@dataclass(frozen=True, slots=True)
class _Book:
    """Fills and shortfalls of the bridge; cash and quantities after every tick, by bar number."""

    fills: dict[Key, list[Fill]]
    shortfalls: dict[Key, Shortfall]
    held: dict[int, tuple[float, dict[str, float]]]


def compare_books(
    inputs: PortfolioInputs,
    result: BacktestResult,
    told: Sequence[Mapping[str, Any]],
    *,
    start: datetime,
    capital: float,
) -> dict[str, Any]:
    """Return how far the equity of a bridge is from its backtest's, and why.

    Parameters
    ----------
    inputs : PortfolioInputs
        The bars both saw.
    result : BacktestResult
        The backtest, which begins in cash at the bar before `start`.
    told : sequence of mapping
        The documents of the bridge's ticks, one per bar, in order.
    start : datetime
        Opening time of the first bar traded in.
    capital : float
        Cash at the start of both.
    """
    panel, grid = inputs.panel, inputs.portfolio.timeframe
    opens = _forward(panel["received_open"], panel["received_close"])
    closes = _forward_closes(panel["received_close"])
    backtest = _backtest_fills(result, grid.numbers)
    first = grid.number(start)
    row_of = {int(bar): row for row, bar in enumerate(panel.bar)}
    names = {Market.parse(market).symbol: market for market in panel.markets}
    book = _bridge_book(told, first, capital, opens, row_of, panel.markets, names, backtest)
    theirs = dict(zip((int(bar) for bar in panel.bar), result.equity["equity"], strict=True))
    ours = {bar: _worth(held, panel.markets, closes[row_of[bar]]) for bar, held in book.held.items()}
    apart = [abs(ours[bar] / theirs[bar] - 1.0) for bar in ours]
    bars = sorted(ours)
    looks = sorted({bars[int(place)] for place in np.linspace(0, len(bars) - 1, _LOOKS)})
    taken_apart = [
        _attributed(book, backtest, bar, opens, closes, row_of, panel.markets, ours[bar] - theirs[bar])
        for bar in looks
    ]
    residual = max(abs(found.residual) / theirs[bar] for found, bar in zip(taken_apart, looks, strict=True))
    last = bars[-1]
    return {
        "orders": sum(len(fills) for fills in book.fills.values()),
        "orders_backtest": sum(len(fills) for fills in backtest.values()),
        "equity": ours[last],
        "equity_backtest": float(theirs[last]),
        "equity_difference": float(max(apart)),
        "engine_difference": result.engine_difference,
        "attribution": asdict(taken_apart[-1]),
        "residual": float(residual),
    }


def _bridge_book(
    told: Sequence[Mapping[str, Any]],
    first: int,
    capital: float,
    opens: Array,
    row_of: Mapping[int, int],
    markets: Sequence[str],
    names: Mapping[str, str],
    backtest: Mapping[Key, Sequence[Fill]],
) -> _Book:
    book = _Book({}, {}, {})
    cash, held = capital, dict.fromkeys(markets, 0.0)
    for bar, tick in enumerate(told, start=first):
        prices = dict(zip(markets, opens[row_of[bar]], strict=True))
        if tick["code"] == 0 and tick.get("acted"):
            wanted = _wanted(tick, cash, held, prices, names)
            _book_tick(book, bar, tick, wanted, names)
        else:
            for key in (key for key in backtest if key[0] == bar):
                missed = -sum(fill.quantity for fill in backtest[key])
                book.shortfalls[key] = Shortfall(missed_tick=missed)
        if tick.get("state"):
            cash = float(tick["state"]["cash"])
            held = dict.fromkeys(markets, 0.0)
            held |= {names[entry["symbol"]]: float(entry["quantity"]) for entry in tick["state"]["positions"]}
        book.held[bar] = (cash, held)
    return book


def _wanted(
    tick: Mapping[str, Any],
    cash: float,
    held: Mapping[str, float],
    prices: Mapping[str, float],
    names: Mapping[str, str],
) -> dict[str, float]:
    """Return the signed quantity by which each market was to change, before any rounding."""
    equity = cash + sum(held[market] * prices[market] for market in held if held[market])
    wanted = {}
    for target in tick["targets"]:
        market = names[target["symbol"]]
        if target["permitted"] is not None:
            wanted[market] = target["permitted"] * equity / prices[market] - held[market]
    return wanted


def _book_tick(
    book: _Book,
    bar: int,
    tick: Mapping[str, Any],
    wanted: Mapping[str, float],
    names: Mapping[str, str],
) -> None:
    skipped = {names[entry["symbol"]] for entry in tick["skipped"]}
    planned: dict[str, float] = {}
    filled: dict[str, float] = {}
    for order in tick["orders"]:
        market = names[order["symbol"]]
        sign = 1.0 if order["side"] == "buy" else -1.0
        done = float(order.get("filled", order["quantity"]) if order["fill_price"] is not None else 0.0)
        planned[market] = planned.get(market, 0.0) + sign * order["quantity"]
        filled[market] = filled.get(market, 0.0) + sign * done
        if done:
            fill = Fill(sign * done, float(order["fill_price"]), float(order["fee"] or 0.0))
            book.fills.setdefault((bar, market), []).append(fill)
    for market in {*wanted, *planned}:
        aim = wanted.get(market, 0.0)
        if market in planned:
            cut = planned[market] - aim
            book.shortfalls[bar, market] = Shortfall(
                rounding=cut, partial_fill=filled[market] - planned[market]
            )
        elif market in skipped:
            book.shortfalls[bar, market] = Shortfall(min_notional=-aim)
        elif aim:
            book.shortfalls[bar, market] = Shortfall(rounding=-aim)


def _backtest_fills(result: BacktestResult, numbers: Any) -> dict[Key, list[Fill]]:
    fills: dict[Key, list[Fill]] = {}
    orders = result.orders
    bars = numbers(orders["ts"].dt.replace_time_zone(None).to_numpy())
    columns = orders.select("market", "side", "quantity", "price", "fee").iter_rows()
    for bar, (market, side, quantity, price, fee) in zip(bars, columns, strict=True):
        sign = 1.0 if side == "buy" else -1.0
        fills.setdefault((int(bar), market), []).append(Fill(sign * quantity, price, fee))
    return fills


def _attributed(
    book: _Book,
    backtest: Mapping[Key, Sequence[Fill]],
    bar: int,
    opens: Array,
    closes: Array,
    row_of: Mapping[int, int],
    markets: Sequence[str],
    difference: float,
) -> Attribution:
    column = {market: index for index, market in enumerate(markets)}

    def until(entries: Mapping[Key, Any]) -> dict[Key, Any]:
        return {key: entry for key, entry in entries.items() if key[0] <= bar}

    ours, theirs, short = until(book.fills), until(backtest), until(book.shortfalls)
    keys = {*ours, *theirs, *short}
    references = {key: float(opens[row_of[key[0]], column[key[1]]]) for key in keys}
    marks = {market: float(closes[row_of[bar], index]) for market, index in column.items()}
    return attribute(ours, theirs, short, references, marks, equity_difference=difference)


def _worth(held: tuple[float, Mapping[str, float]], markets: Sequence[str], closes: Array) -> float:
    cash, quantities = held
    values = [quantities[market] * close for market, close in zip(markets, closes, strict=True)]
    return cash + sum(value for value in values if value)


def _forward(opens: Array, closes: Array) -> Array:
    """Return the last known price at each bar's open: its open, else the last close or open before."""
    known = opens.copy()
    for row in range(1, len(known)):
        before = np.where(np.isnan(closes[row - 1]), known[row - 1], closes[row - 1])
        known[row] = np.where(np.isnan(known[row]), before, known[row])
    return known


def _forward_closes(closes: Array) -> Array:
    known = closes.copy()
    for row in range(1, len(known)):
        known[row] = np.where(np.isnan(known[row]), known[row - 1], known[row])
    return known
