"""The books of a bridge beside those of its backtest, bar by bar, and what keeps them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lab.backtest import BacktestResult
from lab.pipeline.differences import Attribution, Fill, Key, Shortfall, attribute
from lab.pipeline.portfolio_inputs import PortfolioInputs
from lab.pipeline.tick_shortfalls import BarWishes, shortfalls_of

__all__ = ["Books", "BridgeRecord", "compare_books", "compare_decisions"]

Array = NDArray[np.float64]
Held = tuple[float, dict[str, float]]

# The whole difference is taken apart at so many closes, the last one included.
_LOOKS: Final = 12


@dataclass(frozen=True, slots=True)
class BridgeRecord:
    """What a bridge did on consecutive bars.

    Attributes
    ----------
    ticks : mapping of int to sequence of mapping
        By bar in which it traded: documents of the ticks that acted there; an empty sequence for a bar
        without one. Every bar of the span is there.
    capital : float
        Cash at the start.
    names : mapping of str to str
        Market by traded symbol.
    transfers : sequence of (bar number, market, quantity)
        What came in or left without a trade; quote currency under the empty name.
    orphans : mapping of (bar number, market) to sequence of Fill
        Trades that no plan knew.
    """

    ticks: Mapping[int, Sequence[Mapping[str, Any]]]
    capital: float
    names: Mapping[str, str]
    transfers: Sequence[tuple[int, str, float]] = ()
    orphans: Mapping[Key, Sequence[Fill]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Books:
    """Both accounts at the close of every bar, and why they differ.

    Attributes
    ----------
    bars : tuple of int
    ours, theirs : tuple of float
        Equity of the bridge and of the backtest, both at the stored closes.
    fills, backtest_fills : mapping of (bar number, market) to sequence of Fill
    attribution : Attribution
        At the last close.
    residual : float
        Largest unexplained difference at any close looked at, relative to the backtest's equity.
    """

    bars: tuple[int, ...]
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    fills: Mapping[Key, Sequence[Fill]]
    backtest_fills: Mapping[Key, Sequence[Fill]]
    attribution: Attribution
    residual: float

    def document(self) -> dict[str, Any]:
        """Return counts, equities, their largest relative difference, attribution and residual."""
        apart = max(abs(one / other - 1.0) for one, other in zip(self.ours, self.theirs, strict=True))
        return {
            "orders": sum(len(fills) for fills in self.fills.values()),
            "orders_backtest": sum(len(fills) for fills in self.backtest_fills.values()),
            "equity": self.ours[-1],
            "equity_backtest": self.theirs[-1],
            "equity_difference": apart,
            "attribution": asdict(self.attribution),
            "residual": self.residual,
        }


@dataclass(frozen=True, slots=True)
class _Prices:
    """Last known opens and closes, shape (T, N), with the row of each bar and the column of each market."""

    opens: Array
    closes: Array
    row: Mapping[int, int]
    column: Mapping[str, int]

    def at_open(self, bar: int) -> dict[str, float]:
        return {market: float(self.opens[self.row[bar], i]) for market, i in self.column.items()}

    def at_close(self, bar: int) -> dict[str, float]:
        return {market: float(self.closes[self.row[bar], i]) for market, i in self.column.items()}


@dataclass(slots=True)
class _Account:
    """What the bridge holds while its record is read."""

    cash: float
    held: dict[str, float]
    # Fees in other coins are owed to whoever owns those; they lie in no position.
    owed: float = 0.0
    fills: dict[Key, list[Fill]] = field(default_factory=dict)
    shortfalls: dict[Key, Shortfall] = field(default_factory=dict)


def compare_books(
    inputs: PortfolioInputs, result: BacktestResult, record: BridgeRecord, decided: Array
) -> Books:
    """Return how far the equity of a bridge is from its backtest's, and why.

    Parameters
    ----------
    inputs : PortfolioInputs
        The bars both saw.
    result : BacktestResult
        The backtest, which begins in cash at the bar before the record's first.
    record : BridgeRecord
    decided : ndarray of shape (T, N)
        The weights that the backtest was given, on the panel's rows.
    """
    panel = inputs.panel
    prices = _prices(inputs)
    wishes = BarWishes.of(panel, decided, result)
    backtest = _backtest_fills(result, inputs.portfolio.timeframe.numbers)
    account = _Account(record.capital, dict.fromkeys(panel.markets, 0.0))
    for key, orphans in record.orphans.items():
        account.fills.setdefault(key, []).extend(orphans)
    equity = dict(zip((int(bar) for bar in panel.bar), result.equity["equity"], strict=True))
    bars = sorted(record.ticks)
    ours = []
    for bar in bars:
        _take_bar(account, bar, record, prices.at_open(bar), wishes, backtest)
        ours.append(_worth(account, prices.at_close(bar)))
    theirs = [float(equity[bar]) for bar in bars]
    looks = sorted({int(place) for place in np.linspace(0, len(bars) - 1, _LOOKS)})
    taken_apart = [
        _attributed(account, backtest, record, bars[place], prices, ours[place] - theirs[place])
        for place in looks
    ]
    residual = max(
        abs(found.residual) / theirs[place] for found, place in zip(taken_apart, looks, strict=True)
    )
    return Books(tuple(bars), tuple(ours), tuple(theirs), account.fills, backtest, taken_apart[-1], residual)


def compare_decisions(inputs: PortfolioInputs, decisions: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Compare decisions with the instances' own on full history, bit by bit.

    Returns
    -------
    dict
        ``decisions``; ``mismatches``, of a decision at a bar that is not stored too.
    """
    expected: dict[tuple[str, str, str], float] = {}
    for one in inputs.instances:
        rows = one.instance.decide(one.panel)
        stamps = [f"{stamp}Z" for stamp in np.datetime_as_string(one.panel.ts, unit="s")]
        for index, market in enumerate(one.panel.markets):
            for stamp, weight in zip(stamps, rows[:, index], strict=True):
                expected[one.instance.strategy_id, market, stamp] = float(weight)
    mismatches = 0
    for entry in decisions:
        key = (entry["instance"], entry["market"], entry["bar"])
        text = None if np.isnan(expected.get(key, np.nan)) else expected[key].hex()
        mismatches += key not in expected or text != entry["weight_hex"]
    return {"decisions": len(decisions), "mismatches": mismatches}


def _prices(inputs: PortfolioInputs) -> _Prices:
    panel = inputs.panel
    opens, closes = panel["received_open"], panel["received_close"]
    return _Prices(
        _forward(opens, closes),
        _forward_closes(closes),
        {int(bar): row for row, bar in enumerate(panel.bar)},
        {market: index for index, market in enumerate(panel.markets)},
    )


def _take_bar(
    account: _Account,
    bar: int,
    record: BridgeRecord,
    opens: Mapping[str, float],
    wishes: BarWishes,
    backtest: Mapping[Key, Sequence[Fill]],
) -> None:
    ticks = record.ticks[bar]
    if not ticks:
        for key in (key for key in backtest if key[0] == bar):
            account.shortfalls[key] = Shortfall(missed_tick=-sum(fill.quantity for fill in backtest[key]))
    for number, tick in enumerate(ticks):
        # What the backtest wanted at this bar is held against the first tick; a second one goes beyond it.
        theirs = wishes.at(bar) if number == 0 else {}
        found = shortfalls_of(tick, account.cash - account.owed, account.held, opens, theirs, record.names)
        for market, short in found.items():
            key = (bar, market)
            account.shortfalls[key] = account.shortfalls.get(key, Shortfall()) + short
        for order in tick["orders"]:
            _book_order(account, bar, order, record.names[order["symbol"]])
        account.cash = float(tick["state"]["cash"])
        account.held = dict.fromkeys(account.held, 0.0)
        account.held |= {
            record.names[entry["symbol"]]: float(entry["quantity"]) for entry in tick["state"]["positions"]
        }


def _book_order(account: _Account, bar: int, order: Mapping[str, Any], market: str) -> None:
    if order["fill_price"] is None:
        return
    sign = 1.0 if order["side"] == "buy" else -1.0
    fees = order["fees"]
    fill = Fill(
        sign * float(order["filled"]),
        float(order["fill_price"]),
        float(fees["quote"]) + float(fees["other"]),
        float(fees["base"]),
    )
    account.owed += float(fees["other"])
    account.fills.setdefault((bar, market), []).append(fill)


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
    account: _Account,
    backtest: Mapping[Key, Sequence[Fill]],
    record: BridgeRecord,
    bar: int,
    prices: _Prices,
    difference: float,
) -> Attribution:
    def until(entries: Mapping[Key, Any]) -> dict[Key, Any]:
        return {key: entry for key, entry in entries.items() if key[0] <= bar}

    ours, theirs, short = until(account.fills), until(backtest), until(account.shortfalls)
    keys = {*ours, *theirs, *short}
    references = {key: float(prices.opens[prices.row[key[0]], prices.column[key[1]]]) for key in keys}
    transfers: dict[str, float] = {}
    for at, market, quantity in record.transfers:
        if at <= bar:
            transfers[market] = transfers.get(market, 0.0) + quantity
    marks = prices.at_close(bar)
    return attribute(
        ours, theirs, short, references, marks, equity_difference=difference, transfers=transfers
    )


def _worth(account: _Account, closes: Mapping[str, float]) -> float:
    values = [quantity * closes[market] for market, quantity in account.held.items() if quantity]
    return account.cash - account.owed + sum(values)


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
