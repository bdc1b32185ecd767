"""Orders, trades and balances as Binance writes them."""

from __future__ import annotations

from typing import Any

from live_bridge.loopback.model import Order, State, Trade
from live_bridge.loopback.money import ZERO, plain

__all__ = ["account_trade", "cancelled", "placed", "queried"]


def _common(order: Order) -> dict[str, Any]:
    return {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_id,
        "price": plain(order.price),
        "origQty": plain(order.quantity),
        "executedQty": plain(order.executed),
        "origQuoteOrderQty": plain(order.quote_quantity),
        "cummulativeQuoteQty": plain(order.quote_executed),
        "status": order.status,
        "timeInForce": order.time_in_force,
        "type": order.kind,
        "side": order.side,
        "selfTradePreventionMode": "NONE",
    }


def queried(order: Order) -> dict[str, Any]:
    """Return an order as GET order, openOrders and allOrders show it."""
    return {
        **_common(order),
        "stopPrice": plain(ZERO),
        "icebergQty": plain(ZERO),
        "time": order.time,
        "updateTime": order.updated,
        "isWorking": True,
        "workingTime": order.time,
    }


def placed(state: State, order: Order, style: str) -> dict[str, Any]:
    """Return the answer to a new order, in the style ACK, RESULT or FULL."""
    if style == "ACK":
        return {
            "symbol": order.symbol,
            "orderId": order.order_id,
            "orderListId": -1,
            "clientOrderId": order.client_id,
            "transactTime": order.time,
        }
    body = {**_common(order), "transactTime": order.time, "workingTime": order.time}
    if style == "FULL":
        body["fills"] = [_fill(trade) for trade in state.trades if trade.order_id == order.order_id]
    return body


def _fill(trade: Trade) -> dict[str, Any]:
    return {
        "price": plain(trade.price),
        "qty": plain(trade.quantity),
        "commission": plain(trade.fee),
        "commissionAsset": trade.fee_asset,
        "tradeId": trade.trade_id,
    }


def cancelled(order: Order) -> dict[str, Any]:
    """Return the answer to a cancellation."""
    return {
        **_common(order),
        "origClientOrderId": order.client_id,
        "clientOrderId": order.cancelled_as,
        "transactTime": order.updated,
    }


def account_trade(trade: Trade) -> dict[str, Any]:
    """Return a trade as myTrades shows it."""
    return {
        "symbol": trade.symbol,
        "id": trade.trade_id,
        "orderId": trade.order_id,
        "orderListId": -1,
        "price": plain(trade.price),
        "qty": plain(trade.quantity),
        "quoteQty": plain(trade.quote_quantity),
        "commission": plain(trade.fee),
        "commissionAsset": trade.fee_asset,
        "time": trade.time,
        "isBuyer": trade.is_buyer,
        "isMaker": trade.is_maker,
        "isBestMatch": True,
    }
