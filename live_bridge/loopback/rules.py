"""A symbol's filters: how exchangeInfo lists them, and which of them an order fails."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from live_bridge.loopback.errors import RefusedError
from live_bridge.loopback.money import is_multiple, plain
from live_bridge.loopback.settings import Filters

__all__ = ["check_limit", "check_market", "check_quantity", "listed"]


def listed(rules: Filters) -> list[dict[str, Any]]:
    """Return the filters as exchangeInfo writes them."""
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": plain(rules.min_price),
            "maxPrice": plain(rules.max_price),
            "tickSize": plain(rules.tick_size),
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": plain(rules.min_quantity),
            "maxQty": plain(rules.max_quantity),
            "stepSize": plain(rules.step_size),
        },
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": plain(Decimal(0)),
            "maxQty": plain(rules.market_max_quantity),
            "stepSize": plain(Decimal(0)),
        },
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": str(rules.multiplier_up),
            "bidMultiplierDown": str(rules.multiplier_down),
            "askMultiplierUp": str(rules.multiplier_up),
            "askMultiplierDown": str(rules.multiplier_down),
            "avgPriceMins": 5,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": plain(rules.min_notional),
            "applyMinToMarket": True,
            "maxNotional": plain(rules.max_notional),
            "applyMaxToMarket": False,
            "avgPriceMins": 5,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": rules.max_open_orders},
    ]


def check_quantity(rules: Filters, quantity: Decimal, *, market: bool) -> None:
    """Refuse a base quantity outside LOT_SIZE, or MARKET_LOT_SIZE for a market order."""
    too_large = _above(quantity, rules.max_quantity)
    if (
        quantity <= 0
        or quantity < rules.min_quantity
        or too_large
        or not is_multiple(quantity, rules.step_size)
    ):
        raise RefusedError.filter_failure("LOT_SIZE")
    if market and _above(quantity, rules.market_max_quantity):
        raise RefusedError.filter_failure("MARKET_LOT_SIZE")


def check_limit(rules: Filters, price: Decimal, quantity: Decimal, reference: Decimal) -> None:
    """Refuse a limit order that fails a filter; `reference` is the present price."""
    too_high = _above(price, rules.max_price)
    if price <= 0 or price < rules.min_price or too_high or not is_multiple(price, rules.tick_size):
        raise RefusedError.filter_failure("PRICE_FILTER")
    outside = _above(price, reference * rules.multiplier_up) or price < reference * rules.multiplier_down
    if outside:
        raise RefusedError.filter_failure("PERCENT_PRICE_BY_SIDE")
    check_quantity(rules, quantity, market=False)
    notional = price * quantity
    if notional < rules.min_notional or _above(notional, rules.max_notional):
        raise RefusedError.filter_failure("NOTIONAL")


def check_market(rules: Filters, quantity: Decimal, notional: Decimal) -> None:
    """Refuse a market order that fails a filter; `notional` is its value at the present price."""
    check_quantity(rules, quantity, market=True)
    if notional < rules.min_notional:
        raise RefusedError.filter_failure("NOTIONAL")


def _above(value: Decimal, limit: Decimal) -> bool:
    return limit > 0 and value > limit
