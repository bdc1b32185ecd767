"""Signed endpoints of the order side: place, ask, cancel, list, trades."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from live_bridge.loopback.errors import RefusedError
from live_bridge.loopback.market_data import ORDER_TYPES
from live_bridge.loopback.matching import NewOrder, cancel, place
from live_bridge.loopback.model import Order, State
from live_bridge.loopback.money import ZERO
from live_bridge.loopback.protocol import Call, Endpoint, listing_of
from live_bridge.loopback.render import account_trade, cancelled, placed, queried

__all__ = ["ENDPOINTS", "find_order", "read_order"]

_DAY: Final = 86_400_000
_STYLES: Final = ("ACK", "RESULT", "FULL")

Answer = tuple[State, Any]


def read_order(call: Call) -> NewOrder:
    """Read a new order from the parameters.

    Raises
    ------
    RefusedError
        As Binance: -1102 missing, -1106 not required, -1111 precision, -1115 to -1117 enumerations.
    """
    parameters, places = call.parameters, call.venue.settings.decimals
    listing = listing_of(call)
    side, kind = parameters.text("side"), parameters.text("type")
    if side not in {"BUY", "SELL"}:
        raise RefusedError(-1117, "Invalid side.")
    if kind not in ORDER_TYPES:
        raise RefusedError(-1116, "Invalid orderType.")
    amounts = {
        name: parameters.decimal(name, places=places) for name in ("quantity", "quoteOrderQty", "price")
    }
    _check_amounts(kind, amounts)
    return NewOrder(
        symbol=listing.symbol,
        side=side,
        kind=kind,
        client_id=parameters.client_id("newClientOrderId") or _own_id(call),
        time_in_force=_time_in_force(call, kind),
        quantity=amounts["quantity"] or ZERO,
        quote_quantity=amounts["quoteOrderQty"] or ZERO,
        price=amounts["price"] or ZERO,
    )


def _own_id(call: Call) -> str:
    return f"own-{len(call.state.orders) + 1:018d}"


def _check_amounts(kind: str, amounts: Mapping[str, Decimal | None]) -> None:
    required, unwanted = ["quantity", "price"], ["quoteOrderQty"]
    if kind == "MARKET":
        if amounts["quantity"] is None and amounts["quoteOrderQty"] is None:
            raise RefusedError(
                -1102, "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!"
            )
        required, unwanted = [], ["price"]
        if amounts["quantity"] is not None:
            unwanted.append("quoteOrderQty")
    for name in required:
        if amounts[name] is None:
            raise RefusedError.missing(name)
    for name in unwanted:
        if amounts[name] is not None:
            raise RefusedError(-1106, f"Parameter '{name}' sent when not required.")


def _time_in_force(call: Call, kind: str) -> str:
    value = call.parameters.optional("timeInForce")
    if kind != "LIMIT":
        if value is not None:
            raise RefusedError(-1106, "Parameter 'timeInForce' sent when not required.")
        return "GTC"
    if value is None:
        raise RefusedError.missing("timeInForce")
    if value not in {"GTC", "IOC", "FOK"}:
        raise RefusedError(-1115, "Invalid timeInForce.")
    return value


def _new_order(call: Call) -> Answer:
    if not call.state.permissions.enable_spot_trading:
        raise RefusedError(-2015, "Invalid API-key, IP, or permissions for action.", status=401)
    style = call.parameters.optional("newOrderRespType") or "FULL"
    if style not in _STYLES:
        raise RefusedError(-1100, "Illegal characters found in parameter 'newOrderRespType'.")
    state, order = place(call.venue, call.state, read_order(call), call.now)
    return state, placed(state, order, style)


def _test_order(call: Call) -> Answer:
    place(call.venue, call.state, read_order(call), call.now)
    return call.state, {}


def find_order(call: Call) -> Order | None:
    """Return the symbol's order that ``orderId`` or ``origClientOrderId`` names, the latest of that id."""
    listing = listing_of(call)
    number = call.parameters.integer("orderId")
    client_id = call.parameters.optional("origClientOrderId")
    if number is None and client_id is None:
        raise RefusedError(
            -1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
        )
    if number is None:
        number = call.state.by_client_id.get((listing.symbol, client_id or ""), 0)
    order = call.state.orders.get(number)
    if order is None or order.symbol != listing.symbol:
        return None
    return order if client_id is None or order.client_id == client_id else None


def _query_order(call: Call) -> Answer:
    order = find_order(call)
    if order is None:
        raise RefusedError(-2013, "Order does not exist.")
    return call.state, queried(order)


def _cancel_order(call: Call) -> Answer:
    order = find_order(call)
    if order is None or not order.is_open:
        raise RefusedError(-2011, "Unknown order sent.")
    state, order = _cancel(call, call.state, order, call.parameters.client_id("newClientOrderId"))
    return state, cancelled(order)


def _cancel(call: Call, state: State, order: Order, name: str | None) -> tuple[State, Order]:
    return cancel(state, order, call.now, cancelled_as=name or f"cancel-{order.order_id:018d}")


def _cancel_all(call: Call) -> Answer:
    listing, state = listing_of(call), call.state
    chosen = [order for order in _open(state) if order.symbol == listing.symbol]
    if not chosen:
        raise RefusedError(-2011, "Unknown order sent.")
    body = []
    for each in chosen:
        state, order = _cancel(call, state, each, None)
        body.append(cancelled(order))
    return state, body


def _open(state: State) -> Iterable[Order]:
    return (state.orders[number] for number in sorted(state.open_orders))


def _open_orders(call: Call) -> Answer:
    symbol = listing_of(call).symbol if call.parameters.optional("symbol") else None
    return call.state, [queried(order) for order in _open(call.state) if symbol in {None, order.symbol}]


def _range(call: Call) -> tuple[int | None, int | None]:
    start, end = call.parameters.integer("startTime"), call.parameters.integer("endTime")
    if start is not None and end is not None and end - start > _DAY:
        raise RefusedError(-1127, "More than 24 hours between startTime and endTime.")
    return start, end


def _inside(time: int, start: int | None, end: int | None) -> bool:
    return (start is None or time >= start) and (end is None or time <= end)


def _all_orders(call: Call) -> Answer:
    symbol = listing_of(call).symbol
    start, end = _range(call)
    first = call.parameters.integer("orderId")
    limit = call.parameters.limit(default=500, largest=1_000)
    found = [
        order
        for order in call.state.orders.values()
        if order.symbol == symbol
        and _inside(order.time, start, end)
        and (first is None or order.order_id >= first)
    ]
    from_start = first is not None or start is not None
    return call.state, [queried(order) for order in (found[:limit] if from_start else found[-limit:])]


def _my_trades(call: Call) -> Answer:
    symbol = listing_of(call).symbol
    start, end = _range(call)
    order_id, first = call.parameters.integer("orderId"), call.parameters.integer("fromId")
    limit = call.parameters.limit(default=500, largest=1_000)
    found = [
        trade
        for trade in call.state.trades
        if trade.symbol == symbol
        and _inside(trade.time, start, end)
        and (order_id is None or trade.order_id == order_id)
        and (first is None or trade.trade_id >= first)
    ]
    from_start = first is not None or start is not None
    return call.state, [account_trade(trade) for trade in (found[:limit] if from_start else found[-limit:])]


ENDPOINTS: Final[Mapping[tuple[str, str], Endpoint]] = {
    ("POST", "/api/v3/order"): Endpoint(_new_order, security="signed", counts_order=True),
    ("POST", "/api/v3/order/test"): Endpoint(_test_order, security="signed"),
    ("GET", "/api/v3/order"): Endpoint(_query_order, weight=4, security="signed"),
    ("DELETE", "/api/v3/order"): Endpoint(_cancel_order, security="signed"),
    ("GET", "/api/v3/openOrders"): Endpoint(_open_orders, weight=6, security="signed"),
    ("DELETE", "/api/v3/openOrders"): Endpoint(_cancel_all, security="signed"),
    ("GET", "/api/v3/allOrders"): Endpoint(_all_orders, weight=20, security="signed"),
    ("GET", "/api/v3/myTrades"): Endpoint(_my_trades, weight=20, security="signed"),
}
