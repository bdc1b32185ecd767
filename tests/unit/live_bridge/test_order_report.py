"""What is told of fees: in what they were taken, what they are worth, and what has no price."""

from __future__ import annotations

from typing import Any

from live_bridge.journal import Event
from live_bridge.order_report import order_documents

ORDER = {"id": "o-1", "symbol": "BTC/USD", "side": "buy", "quantity": "3", "price": "100"}


def trade(number: int, fee: str, asset: str, fee_price: str | None) -> Event:
    body: dict[str, Any] = {
        "root": "o-1", "order": "o-1", "symbol": "BTC/USD", "quantity": "1", "price": "100", "fee": fee,
        "fee_asset": asset, "fee_price": fee_price,
    }  # fmt: skip
    return Event(number, "2018-06-01T00:00:01+00:00", "t", "TRADED", body, "")


def told(*trades: Event) -> dict[str, Any]:
    (document,) = order_documents({"orders": [ORDER]}, trades)
    return document


def test_a_fee_in_a_coin_without_a_price_is_told_by_its_amount() -> None:
    document = told(
        trade(1, "0.5", "USD", None), trade(2, "0.001", "BTC", None), trade(3, "0.25", "BNB", None)
    )
    assert document["fees"] == {"quote": 0.5, "base": 0.001, "other": 0.0}
    assert document["fee"] == 0.5 + 0.1
    assert document["unpriced"] == {"BNB": 0.25}


def test_a_fee_in_a_coin_with_a_price_or_of_nothing_is_not_unpriced() -> None:
    document = told(trade(1, "0.25", "BNB", "300"), trade(2, "0", "BNB", None))
    assert (document["fees"]["other"], document["unpriced"]) == (75.0, {})
