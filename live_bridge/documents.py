"""How orders, fills, rules and the breakers' memory are written in the journal: exactly, as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from live_bridge.exchange import Fill, Order, Rules, Side

__all__ = [
    "RiskMemory",
    "fill_document",
    "order_document",
    "read_fill",
    "read_order",
    "read_risk",
    "risk_document",
    "rules_document",
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


def order_document(order: Order) -> dict[str, str]:
    """Return an order as text."""
    return {key: str(value) for key, value in asdict(order).items()}


def read_order(entry: Mapping[str, str]) -> Order:
    """Read what :func:`order_document` wrote."""
    return Order(
        entry["id"], entry["symbol"], _side(entry), Decimal(entry["quantity"]), Decimal(entry["price"])
    )


def fill_document(fill: Fill, order: Order) -> dict[str, str]:
    """Return a fill as text, beside the price its order counted with and the slippage that makes."""
    slipped = (fill.price - order.price) * (1 if fill.side == "buy" else -1)
    written = {key: str(value) for key, value in asdict(fill).items()}
    return {**written, "decision_price": str(order.price), "slippage": str(slipped)}


def read_fill(entry: Mapping[str, str]) -> Fill:
    """Read what :func:`fill_document` wrote."""
    quantity, price, fee = (Decimal(entry[key]) for key in ("quantity", "price", "fee"))
    return Fill(entry["order"], entry["symbol"], _side(entry), quantity, price, fee, entry["fee_asset"])


def rules_document(rules: Rules) -> dict[str, Any]:
    """Return a market's rules as text."""
    return {key: str(value) if isinstance(value, Decimal) else value for key, value in asdict(rules).items()}


def risk_document(memory: RiskMemory) -> dict[str, Any]:
    """Return the breakers' memory; equity to the bit."""
    return memory.document()


def read_risk(entry: Mapping[str, Any]) -> RiskMemory:
    """Read what :func:`risk_document` wrote."""
    return RiskMemory.from_document(entry)


def _side(entry: Mapping[str, str]) -> Side:
    return "sell" if entry["side"] == "sell" else "buy"
