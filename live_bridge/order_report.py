"""What became of a tick's orders, read back from its events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext
from typing import Any

from live_bridge.journal import Event
from live_bridge.orders import CONTEXT

__all__ = ["order_documents"]


def order_documents(planned: Mapping[str, Any], events: Sequence[Event]) -> list[dict[str, Any]]:
    """Return each planned order with its end.

    `status` is ``filled``, ``partial``, ``canceled``, ``expired``, ``rejected``, ``abandoned``, or, as long
    as it is not settled, ``planned``, ``sent`` or ``unknown``. Replacements and new attempts count with the
    order that was planned: `attempts` is how many requests were sent for it, `filled` what all traded. `fee`
    is in quote currency, as far as fees have a price in it; `fees` says in what they were taken: ``quote``
    currency, ``base`` units, and ``other`` coins, valued in quote currency. `unpriced` are amounts of other
    coins, by coin, that had no price: they are in neither.
    """
    roots = _roots(events)
    return [_document(order, events, roots) for order in planned.get("orders", [])]


def _roots(events: Sequence[Event]) -> dict[str, str]:
    return {event.body["order"]["id"]: event.body["root"] for event in events if event.kind == "SENT"}


def _document(order: Mapping[str, Any], events: Sequence[Event], roots: Mapping[str, str]) -> dict[str, Any]:
    name = order["id"]
    own = [e for e in events if e.kind in _KINDS and _root_of(e, roots) == name]
    fills = [e.body for e in own if e.kind in {"FILLED", "TRADED"}]
    with localcontext(CONTEXT):
        filled = sum((Decimal(fill["quantity"]) for fill in fills), Decimal(0))
        worth = sum((Decimal(fill["quantity"]) * Decimal(fill["price"]) for fill in fills), Decimal(0))
        fees, unpriced = _fees(fills), _unpriced(fills)
        # In quote currency, as far as a fee has a price in it.
        fee = sum((_fee(fill) for fill in fills), Decimal(0))
    return {
        "id": name,
        "symbol": order["symbol"],
        "side": order["side"],
        "quantity": float(order["quantity"]),
        "price": float(order["price"]),
        "status": _status(own, Decimal(order["quantity"]), filled),
        "filled": float(filled),
        "fill_price": float(worth / filled) if filled else None,
        "fee": float(fee) if fills else None,
        "fees": {kind: float(amount) for kind, amount in fees.items()},
        "unpriced": {asset: float(amount) for asset, amount in unpriced.items()},
        "attempts": sum(event.kind == "SENT" for event in own),
    }


_KINDS = frozenset({"FILLED", "TRADED", "SETTLED", "SENT", "ANSWERED", "ABANDONED"})


def _root_of(event: Event, roots: Mapping[str, str]) -> str:
    if "root" in event.body:
        return str(event.body["root"])
    order = event.body["order"]
    name = str(order["id"] if isinstance(order, Mapping) else order)
    return roots.get(name, name)


def _fee(fill: Mapping[str, Any]) -> Decimal:
    fee, asset = Decimal(fill["fee"]), fill["fee_asset"]
    base, quote = fill["symbol"].split("/")
    if asset == quote:
        return fee
    price = fill["price"] if asset == base else fill.get("fee_price")
    return fee * Decimal(price) if price is not None else Decimal(0)


def _fees(fills: Sequence[Mapping[str, Any]]) -> dict[str, Decimal]:
    sums = dict.fromkeys(("quote", "base", "other"), Decimal(0))
    for fill in fills:
        base, quote = fill["symbol"].split("/")
        kind = {quote: "quote", base: "base"}.get(fill["fee_asset"], "other")
        sums[kind] += Decimal(fill["fee"]) if kind == "base" else _fee(fill)
    return sums


def _unpriced(fills: Sequence[Mapping[str, Any]]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for fill in fills:
        asset = fill["fee_asset"]
        if Decimal(fill["fee"]) and asset not in fill["symbol"].split("/") and fill.get("fee_price") is None:
            sums[asset] = sums.get(asset, Decimal(0)) + Decimal(fill["fee"])
    return sums


def _status(own: Sequence[Event], quantity: Decimal, filled: Decimal) -> str:
    kinds = [event.kind for event in own]
    if "FILLED" in kinds or (filled and filled >= quantity):
        return "filled"
    settled = [event.body for event in own if event.kind == "SETTLED"]
    if settled and settled[-1]["next_order"] is None:
        return "partial" if filled else str(settled[-1]["status"]).lower()
    if kinds and kinds[-1] == "ABANDONED":
        return "partial" if filled else "abandoned"
    if kinds and kinds[-1] == "ANSWERED":
        return "unknown"
    return "sent" if kinds and kinds[-1] == "SENT" else "planned"
