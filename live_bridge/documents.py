"""How orders, fills, trades, rules and the breakers' memory are written in the journal: exactly, as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal, localcontext
from typing import Any

from live_bridge.exchange import Fill, Order, Rules, Side, Trade
from live_bridge.orders import CONTEXT

__all__ = [
    "RiskMemory",
    "fill_document",
    "order_document",
    "read_fill",
    "read_order",
    "read_risk",
    "read_rules",
    "read_trade",
    "risk_document",
    "rules_document",
    "trade_document",
]


@dataclass(frozen=True, slots=True)
class RiskMemory:
    """What :class:`lab.risk.RiskState` remembers from one step to the next.

    `layers` is the rest of :func:`lab.risk.memory_document`, as JSON; empty where limits have no layers.
    """

    day: int = -1
    day_start_equity: float = 0.0
    mode: int = 0
    layers: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return it as exact JSON; equity to the bit."""
        own = {"day": self.day, "day_start_equity": self.day_start_equity.hex(), "mode": self.mode}
        return {**own, **self.layers}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> RiskMemory:
        """Read what :meth:`document` or :func:`lab.risk.memory_document` wrote."""
        rest = {k: v for k, v in document.items() if k not in ("day", "day_start_equity", "mode")}
        return cls(document["day"], float.fromhex(document["day_start_equity"]), document["mode"], rest)


def order_document(order: Order) -> dict[str, Any]:
    """Return an order as text."""
    written = {key: str(value) for key, value in asdict(order).items()}
    return {**written, "limit": None if order.limit is None else str(order.limit)}


def read_order(entry: Mapping[str, Any]) -> Order:
    """Read what :func:`order_document` wrote, now or in an earlier version."""
    limit = entry.get("limit")
    return Order(
        entry["id"],
        entry["symbol"],
        _side(entry),
        Decimal(entry["quantity"]),
        Decimal(entry["price"]),
        "limit" if entry.get("kind") == "limit" else "market",
        None if limit is None else Decimal(limit),
        *(int(entry.get(key, 0)) for key in ("slice", "replacement", "attempt")),
    )


def fill_document(fill: Fill, order: Order) -> dict[str, str]:
    """Return a fill as text, beside the price its order counted with and the slippage that makes."""
    written = {key: str(value) for key, value in asdict(fill).items()}
    return {**written, **_against(order, fill.price)}


def read_fill(entry: Mapping[str, str]) -> Fill:
    """Read what :func:`fill_document` wrote."""
    quantity, price, fee = (Decimal(entry[key]) for key in ("quantity", "price", "fee"))
    return Fill(entry["order"], entry["symbol"], _side(entry), quantity, price, fee, entry["fee_asset"])


def trade_document(
    trade: Trade, order_id: str, order: Order | None, fee_price: Decimal | None
) -> dict[str, Any]:
    """Return an execution as text.

    Parameters
    ----------
    trade : Trade
    order_id : str
        Our client order id.
    order : Order or None
        As planned; None for one that the journal did not know.
    fee_price : Decimal or None
        Price of the fee's currency in the quote currency, where it is a third coin with a price.
    """
    return {
        "order": order_id,
        "trade": trade.id,
        "exchange_id": trade.order_id,
        "symbol": trade.symbol,
        "side": trade.side,
        "quantity": str(trade.quantity),
        "price": str(trade.price),
        "cost": str(trade.cost),
        "fee": str(trade.fee),
        "fee_asset": trade.fee_asset,
        "fee_price": None if fee_price is None else str(fee_price),
        "maker": trade.maker,
        "at_ms": trade.at_ms,
        **({} if order is None else _against(order, trade.price)),
    }


def read_trade(entry: Mapping[str, Any]) -> Trade:
    """Read what :func:`trade_document` wrote."""
    quantity, price, cost, fee = (Decimal(entry[key]) for key in ("quantity", "price", "cost", "fee"))
    return Trade(
        int(entry["trade"]),
        entry["exchange_id"],
        entry["symbol"],
        _side(entry),
        quantity,
        price,
        cost,
        fee,
        entry["fee_asset"],
        bool(entry["maker"]),
        int(entry["at_ms"]),
    )


def rules_document(rules: Rules) -> dict[str, Any]:
    """Return a market's rules as text."""
    return {key: str(value) if isinstance(value, Decimal) else value for key, value in asdict(rules).items()}


def read_rules(entry: Mapping[str, Any]) -> Rules:
    """Read what :func:`rules_document` wrote."""
    exact = {name for name, kind in Rules.__annotations__.items() if "Decimal" in kind}
    values: dict[str, Any] = dict(entry)
    for name in exact:
        values[name] = None if values[name] is None else Decimal(values[name])
    return Rules(**values)


def risk_document(memory: RiskMemory) -> dict[str, Any]:
    """Return the breakers' memory; equity to the bit."""
    return memory.document()


def read_risk(entry: Mapping[str, Any]) -> RiskMemory:
    """Read what :func:`risk_document` wrote."""
    return RiskMemory.from_document(entry)


def _against(order: Order, price: Decimal) -> dict[str, str]:
    with localcontext(CONTEXT):
        slipped = (price - order.price) * (1 if order.side == "buy" else -1)
    return {"decision_price": str(order.price), "slippage": str(slipped)}


def _side(entry: Mapping[str, Any]) -> Side:
    return "sell" if entry["side"] == "sell" else "buy"
