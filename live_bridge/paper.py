"""The paper account: fills simulated with the backtest's cost model, in a ledger of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Final

from lab.core.errors import VenueError
from lab.core.timeframe import Timeframe
from live_bridge.exchange import Candle, Fill, MarketData, Order, Rules
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
        base, quote = fill.symbol.split("/")
        sign = 1 if fill.side == "buy" else -1
        with localcontext(CONTEXT):
            amounts = dict(self.amounts)
            for currency, change in (
                (base, sign * fill.quantity),
                (quote, -sign * fill.quantity * fill.price),
                (fill.fee_asset, -fill.fee),
            ):
                amounts[currency] = amounts.get(currency, _NOTHING) + change
        return Ledger({currency: amount for currency, amount in amounts.items() if amount})


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

    def balances(self) -> Mapping[str, Decimal]:
        """Return the quantity of every currency held."""
        return dict(self.ledger.amounts)

    def submit(self, order: Order) -> Fill:
        """Fill a market order at once and book it; the same id again returns the first fill.

        Raises
        ------
        VenueError
            If the account does not hold what the order needs.
        """
        if order.id in self._fills:
            return self._fills[order.id]
        fill = simulate_fill(order, self._costs)
        after = self.ledger.after(fill)
        short = [currency for currency, amount in after.amounts.items() if amount < 0]
        if short:
            raise VenueError(
                f"paper account: {order.side} {order.quantity} {order.symbol} needs more {short[0]} than the "
                f"{self.ledger[short[0]]} held; the order was not filled"
            )
        self.ledger = after
        self._fills[order.id] = fill
        return fill
