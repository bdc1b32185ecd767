"""The last look at an order before it is sent; it trusts nothing that was reckoned before."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Final

from lab.core.settings import PortfolioRiskSettings
from live_bridge.config import OrderSettings
from live_bridge.exchange import Order, Rules
from live_bridge.orders import CONTEXT, Costing, round_down

__all__ = ["GateView", "fitted", "refusal"]

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,36}")
_ONE: Final = Decimal(1)


@dataclass(frozen=True, slots=True)
class GateView:
    """What the gate knows of the account at the moment of sending.

    Attributes
    ----------
    cash : Decimal
        Free, in quote currency.
    held : mapping of str to Decimal
        Quantity by symbol.
    prices : mapping of str to Decimal
        Last traded price by symbol, asked for in this run.
    equity : Decimal
    traded_today : Decimal
        Notional since 00:00 UTC.
    costs : Costing
    """

    cash: Decimal
    held: Mapping[str, Decimal]
    prices: Mapping[str, Decimal]
    equity: Decimal
    traded_today: Decimal
    costs: Costing


def fitted(order: Order, rules: Rules, view: GateView) -> Decimal:
    """Return the quantity of an order that the account can pay for or deliver now, rounded to the step."""
    with localcontext(CONTEXT):
        if order.side == "sell":
            return min(order.quantity, round_down(view.held.get(order.symbol, Decimal(0)), rules.step))
        price = order.limit or view.prices.get(order.symbol, order.price)
        each = price * (_ONE + view.costs.slippage) * (_ONE + view.costs.fee)
        affordable = round_down(max(view.cash, Decimal(0)) / each, rules.step)
        return min(order.quantity, affordable)


def refusal(
    order: Order, rules: Rules, view: GateView, settings: OrderSettings, limits: PortfolioRiskSettings
) -> str:
    """Return why an order must not be sent, or nothing.

    Checks its id, the exchange's rules, the price against the one it was decided at, cash or holdings, and
    for a buy the caps of an order and of a day, and the weights after it. Caps do not act on sells: an exit
    is never too large.
    """
    with localcontext(CONTEXT):
        return (
            _form(order, rules)
            or _price(order, rules, view, settings)
            or _means(order, view)
            or (_caps(order, view, settings, limits) if order.side == "buy" else "")
        )


def _form(order: Order, rules: Rules) -> str:
    if not _ID.fullmatch(order.id):
        return "BAD_ID"
    if order.symbol != rules.symbol or not rules.active:
        return "NOT_TRADING"
    if order.quantity <= 0 or round_down(order.quantity, rules.step) != order.quantity:
        return "OFF_STEP"
    if order.quantity < rules.min_quantity:
        return "BELOW_MIN_QUANTITY"
    if rules.max_quantity is not None and order.quantity > rules.max_quantity:
        return "ABOVE_MAX_QUANTITY"
    if (order.kind == "limit") != (order.limit is not None):
        return "BAD_LIMIT"
    if order.limit is not None and (order.limit <= 0 or round_down(order.limit, rules.tick) != order.limit):
        return "OFF_TICK"
    return ""


def _price(order: Order, rules: Rules, view: GateView, settings: OrderSettings) -> str:
    price = view.prices.get(order.symbol)
    if price is None:
        return "NO_PRICE"
    if order.quantity * (order.limit or price) < rules.min_notional:
        return "BELOW_MIN_NOTIONAL"
    collar = Decimal(str(settings.price_collar_pct))
    for asked in (price, order.limit or price):
        if abs(asked - order.price) > collar * order.price:
            return "PRICE_COLLAR"
    return ""


def _means(order: Order, view: GateView) -> str:
    if order.side == "sell":
        return "" if order.quantity <= view.held.get(order.symbol, Decimal(0)) else "NOT_HELD"
    price = order.limit or view.prices[order.symbol]
    return "" if order.quantity * price <= view.cash else "CASH_SHORT"


def _caps(order: Order, view: GateView, settings: OrderSettings, limits: PortfolioRiskSettings) -> str:
    notional = order.quantity * (order.limit or view.prices[order.symbol])
    if notional > Decimal(str(settings.max_order_pct)) * view.equity:
        return "ORDER_CAP"
    if view.traded_today + notional > Decimal(str(settings.max_daily_turnover)) * view.equity:
        return "DAILY_CAP"
    # Marks may have moved since the decision by as much as the collar lets them.
    slack = _ONE + Decimal(str(settings.price_collar_pct))
    held = {symbol: q * view.prices.get(symbol, Decimal(0)) for symbol, q in view.held.items()}
    position = held.get(order.symbol, Decimal(0)) + notional
    if position > Decimal(str(limits.max_weight_per_asset)) * view.equity * slack:
        return "WEIGHT_CAP"
    exposure = sum(held.values(), Decimal(0)) + notional
    return "EXPOSURE_CAP" if exposure > Decimal(str(limits.max_exposure_pct)) * view.equity * slack else ""
