"""The paper account: fills simulated with the backtest's cost model, in a ledger of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Final

from lab.core.timeframe import Timeframe
from live_bridge.exchange import (
    Candle,
    Fill,
    Holdings,
    KeyRights,
    MarketData,
    Order,
    OrderRefusedError,
    OrderReport,
    Rules,
    Side,
    Trade,
)
from live_bridge.orders import CONTEXT, Costing

__all__ = ["Ledger", "PaperExchange", "simulate_fill"]

_NOTHING: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Ledger:
    """Quantities by currency, exact.

    Examples
    --------
    >>> ledger = Ledger({"USDT": Decimal(100)})
    >>> fill = Fill("id", "BTC/USDT", "buy", Decimal("0.5"), Decimal(100), Decimal("0.05"), "USDT")
    >>> after = ledger.after(fill)
    >>> after["BTC"], after["USDT"]
    (Decimal('0.5'), Decimal('49.95'))
    """

    amounts: Mapping[str, Decimal]

    def __getitem__(self, currency: str) -> Decimal:
        return self.amounts.get(currency, _NOTHING)

    def after(self, fill: Fill) -> Ledger:
        """Return the ledger with a fill booked: base, quote and fee."""
        with localcontext(CONTEXT):
            cost = fill.quantity * fill.price
        return self._booked(fill.symbol, fill.side, fill.quantity, cost, (fill.fee_asset, fill.fee))

    def after_trade(self, trade: Trade) -> Ledger:
        """Return the ledger with an execution booked as the exchange books it: at its own rounded cost."""
        fee = (trade.fee_asset, trade.fee)
        return self._booked(trade.symbol, trade.side, trade.quantity, trade.cost, fee)

    def plus(self, currency: str, amount: Decimal) -> Ledger:
        """Return the ledger with an amount added; a negative one is taken away."""
        with localcontext(CONTEXT):
            amounts = {**self.amounts, currency: self[currency] + amount}
        return Ledger({name: value for name, value in amounts.items() if value})

    def _booked(
        self, symbol: str, side: Side, quantity: Decimal, cost: Decimal, fee: tuple[str, Decimal]
    ) -> Ledger:
        base, quote = symbol.split("/")
        sign = 1 if side == "buy" else -1
        with localcontext(CONTEXT):
            moved = self.plus(base, sign * quantity).plus(quote, -sign * cost)
            return moved.plus(fee[0], -fee[1])


def simulate_fill(order: Order, costs: Costing) -> Fill:
    """Return the fill of a market order as the backtest would have it.

    The whole quantity trades at the order's price, conceded by the slippage; the fee is charged on that
    notional, in the quote currency.

    Examples
    --------
    >>> order = Order("id", "BTC/USDT", "sell", Decimal(2), Decimal(100))
    >>> fill = simulate_fill(order, Costing(Decimal("0.001"), Decimal("0.01")))
    >>> fill.price, fill.fee
    (Decimal('99.00'), Decimal('0.19800'))
    """
    with localcontext(CONTEXT):
        sign = 1 if order.side == "buy" else -1
        price = order.price * (1 + sign * costs.slippage)
        fee = order.quantity * price * costs.fee
    quote = order.symbol.split("/")[1]
    return Fill(order.id, order.symbol, order.side, order.quantity, price, fee, quote)


class PaperExchange:
    """An exchange with real market data and a simulated account.

    Parameters
    ----------
    market : MarketData
        Where bars, prices and rules come from.
    ledger : Ledger
        The account at the start.
    costs : Costing
        What fills cost.
    """

    def __init__(self, market: MarketData, ledger: Ledger, costs: Costing) -> None:
        self._market = market
        self._costs = costs
        self._fills: dict[str, Fill] = {}
        self._sent: dict[str, int] = {}
        self.ledger = ledger

    def now(self) -> datetime:
        """Return the exchange's server time, UTC."""
        return self._market.now()

    def rules(self, symbols: Sequence[str]) -> Mapping[str, Rules]:
        """Return the trading rules of each symbol."""
        return self._market.rules(symbols)

    def candles(
        self, symbol: str, timeframe: Timeframe, *, start: datetime, end: datetime
    ) -> tuple[Candle, ...]:
        """Return the bars that open in ``[start, end)``."""
        return self._market.candles(symbol, timeframe, start=start, end=end)

    def prices(self, symbols: Sequence[str]) -> Mapping[str, Decimal]:
        """Return the last traded price of each symbol."""
        return self._market.prices(symbols)

    def balances(self) -> Holdings:
        """Return what the account holds; nothing is ever locked."""
        amounts = dict(self.ledger.amounts)
        return Holdings(amounts, amounts)

    def submit(self, order: Order, *, sent_ms: int) -> OrderReport:
        """Fill an order at once and book it; the same id again returns the first report.

        Raises
        ------
        OrderRefusedError
            If the account does not hold what the order needs.
        """
        if order.id not in self._fills:
            fill = simulate_fill(order, self._costs)
            after = self.ledger.after(fill)
            short = [currency for currency, amount in after.amounts.items() if amount < 0]
            if short:
                raise OrderRefusedError(
                    f"paper account: {order.side} {order.quantity} {order.symbol} needs more {short[0]} than "
                    f"the {self.ledger[short[0]]} held; the order was not filled",
                    "skip",
                )
            self.ledger = after
            self._fills[order.id] = fill
            self._sent[order.id] = sent_ms
        return self._report(order.id)

    def fill(self, client_id: str) -> Fill:
        """Return what came of an order that was submitted."""
        return self._fills[client_id]

    def order(self, symbol: str, client_id: str) -> OrderReport | None:
        """Return the order of that client id, None where there is none."""
        known = self._fills.get(client_id)
        return self._report(client_id) if known is not None and known.symbol == symbol else None

    def order_by_number(self, symbol: str, exchange_id: str) -> OrderReport | None:
        """Return the order of the account's own number."""
        found = (one for one in self._fills if str(self._number(one)) == exchange_id)
        return next((self.order(symbol, one) for one in found), None)

    def open_orders(self, symbol: str) -> tuple[OrderReport, ...]:
        """Return nothing: orders fill at once."""
        return ()

    def orders(self, symbol: str, *, since_ms: int | None = None) -> tuple[OrderReport, ...]:
        """Return the orders of a symbol sent since then; without a time all of them."""
        reports = [self._report(one) for one, fill in self._fills.items() if fill.symbol == symbol]
        return tuple(report for report in reports if report.at_ms >= (since_ms or 0))

    def trades(
        self,
        symbol: str,
        *,
        order_id: str | None = None,
        after: int | None = None,
        since_ms: int | None = None,
    ) -> tuple[Trade, ...]:
        """Return executions, ascending: of one order, above a number, or since a time."""
        every = (self._trade(one) for one, fill in self._fills.items() if fill.symbol == symbol)
        return tuple(
            trade
            for trade in every
            if order_id in {None, trade.order_id}
            and (after is None or trade.id > after)
            and (since_ms is None or trade.at_ms >= since_ms)
        )

    def cancel(self, symbol: str, client_id: str) -> None:
        """Do nothing: no order is ever open."""

    def rights(self) -> KeyRights:
        """Return the rights of a key that there is none of: to trade, and no more."""
        return KeyRights(withdraw=False, trade=True, ip_restricted=True)

    def _number(self, client_id: str) -> int:
        return list(self._fills).index(client_id) + 1

    def _report(self, client_id: str) -> OrderReport:
        fill, at = self._fills[client_id], self._sent[client_id]
        number = str(self._number(client_id))
        return OrderReport(
            number, client_id, fill.symbol, fill.side, "closed", fill.quantity, fill.quantity, at
        )

    def _trade(self, client_id: str) -> Trade:
        fill, number = self._fills[client_id], self._number(client_id)
        with localcontext(CONTEXT):
            cost = fill.quantity * fill.price
        return Trade(
            id=number,
            order_id=str(number),
            symbol=fill.symbol,
            side=fill.side,
            quantity=fill.quantity,
            price=fill.price,
            cost=cost,
            fee=fill.fee,
            fee_asset=fill.fee_asset,
            maker=False,
            at_ms=self._sent[client_id],
        )
