"""The account behind CCXT's class: an answer is understood whole, or nothing is made of it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import ccxt
import pytest

from lab.core.errors import ConfigError, VenueError
from live_bridge.ccxt_account import CcxtAccount, connect_account
from live_bridge.ccxt_exchange import connect
from live_bridge.config import ExchangeConfig
from live_bridge.exchange import Order, OrderRefusedError, UnclearError
from live_bridge.keys import Keys

D = Decimal
BTC = "BTC/USDT"
ORDER = Order("core-1", BTC, "buy", D("0.5"), D(100), "limit", D("99.5"))
ANSWER = {
    "id": "7",
    "clientOrderId": "core-1",
    "symbol": BTC,
    "side": "buy",
    "status": "open",
    "timestamp": 1_700_000_000_000,
    "info": {"origQty": "0.50000000", "executedQty": "0.10000000"},
}
TRADE = {
    "id": "31",
    "order": "7",
    "symbol": BTC,
    "side": "buy",
    "info": {
        "qty": "0.1",
        "price": "99.5",
        "quoteQty": "9.95",
        "commission": "0.0001",
        "commissionAsset": "BTC",
        "isMaker": True,
        "time": 1_700_000_000_001,
    },
}


class Client:
    """CCXT's class as far as it is asked here: each method answers, or raises, what it was given."""

    id = "binance"
    precisionMode = 4  # noqa: N815 - CCXT's own name
    last_response_headers: dict[str, str]

    def __init__(self, sent: str = "[]", **answers: Any) -> None:
        self.answers, self.asked = answers, []
        self.last_http_response, self.last_response_headers = sent, {"Retry-After": "7"}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def ask(*arguments: Any, **named: Any) -> Any:
            self.asked.append((name, arguments, named))
            answer = self.answers[name]
            if isinstance(answer, list) and name == "fetch_my_trades":
                answer = answer.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return ask


def account(sent: str = "[]", **answers: Any) -> CcxtAccount:
    return CcxtAccount(Client(sent, **answers))


def submitted(answer: Any) -> Any:
    return account(create_order=answer).submit(ORDER, sent_ms=1_700_000_000_000)


def test_orders_are_sent_exactly_as_decided_and_read_exactly_as_answered() -> None:
    client = Client(create_order=ANSWER)
    report = CcxtAccount(client).submit(ORDER, sent_ms=1_700_000_000_000)
    ((name, arguments, _),) = client.asked
    parameters = {"newClientOrderId": "core-1", "timestamp": 1_700_000_000_000}
    assert (name, arguments) == ("create_order", (BTC, "limit", "buy", "0.5", "99.5", parameters))
    assert (report.id, report.client_id, report.status, report.filled) == ("7", "core-1", "open", D("0.1"))
    assert (report.quantity, report.at_ms, report.terminal) == (D("0.5"), 1_700_000_000_000, False)


@pytest.mark.parametrize(
    ("error", "kind", "wait_s"),
    [
        (ccxt.InsufficientFunds("no"), "skip", 0.0),
        (ccxt.InvalidNonce("no"), "retry", 0.0),
        (ccxt.PermissionDenied("no"), "halt", 0.0),
        (ccxt.DDoSProtection("binance 429 Too Many Requests"), "wait", 7.0),
        # CCXT says the same of a key that was revoked, and nobody asked to wait.
        (ccxt.DDoSProtection('binance {"code":-2015}'), "wait", 1.0),
    ],
    ids=["funds", "nonce", "key", "limit", "revoked"],
)
def test_a_definite_refusal_says_what_to_do(error: Exception, kind: str, wait_s: float) -> None:
    with pytest.raises(OrderRefusedError, match=r"binance: core-1") as caught:
        submitted(error)
    assert (caught.value.kind, caught.value.wait_s) == (kind, wait_s)


@pytest.mark.parametrize(
    "answer",
    [
        ccxt.RequestTimeout("slow"),
        ccxt.DuplicateOrderId("again"),
        KeyError("orderId"),
        None,
        [],
        {},
        {**ANSWER, "info": None},
        {**ANSWER, "id": None},
        {**ANSWER, "clientOrderId": ""},
        {**ANSWER, "clientOrderId": "core-2"},
        {**ANSWER, "status": "done"},
        {**ANSWER, "symbol": "ETH/USDT"},
        {**ANSWER, "info": {"origQty": "0.5"}},
        {**ANSWER, "info": {"origQty": "half", "executedQty": "0"}},
        {**ANSWER, "timestamp": "soon"},
    ],
    ids=str,
)
def test_all_else_is_unclear_and_only_asking_tells(answer: Any) -> None:
    with pytest.raises(UnclearError, match=r"binance: core-1"):
        submitted(answer)


def test_an_order_is_looked_up_by_either_name_and_must_be_the_one_asked_for() -> None:
    found = account(fetch_order=ANSWER)
    assert found.order(BTC, "core-1") == found.order_by_number(BTC, "7")
    with pytest.raises(VenueError, match="asked for order core-9, got core-1"):
        found.order(BTC, "core-9")
    with pytest.raises(VenueError, match="asked for order number 9, got 7"):
        found.order_by_number(BTC, "9")
    none = account(fetch_order=ccxt.OrderNotFound("none"))
    assert none.order(BTC, "core-1") is none.order_by_number(BTC, "7") is None
    with pytest.raises(VenueError, match="the answer about an order in BTC/USDT shows none"):
        account(fetch_order={"info": {}}).order(BTC, "core-1")


def test_lists_of_orders_are_read_whole_or_not_at_all() -> None:
    one = account(fetch_open_orders=[ANSWER], fetch_orders=[ANSWER, ANSWER])
    assert [report.id for report in one.open_orders(BTC)] == ["7"]
    assert len(one.orders(BTC, since_ms=5)) == 2
    with pytest.raises(VenueError, match="orders in BTC/USDT cannot be read"):
        account(fetch_orders=[ANSWER, {**ANSWER, "status": None}]).orders(BTC)
    for sent in ("{}", "<html>", ""):
        # CCXT reads a body that is no list as one without orders.
        with pytest.raises(VenueError, match="is no list"):
            account(sent, fetch_open_orders=[]).open_orders(BTC)


def test_a_cancellation_that_comes_too_late_is_no_failure() -> None:
    account(cancel_order=ccxt.OrderNotFound("gone")).cancel(BTC, "core-1")
    client = Client(cancel_order=ANSWER)
    CcxtAccount(client).cancel(BTC, "core-1")
    assert client.asked == [("cancel_order", (None, BTC, {"origClientOrderId": "core-1"}), {})]
    with pytest.raises(VenueError, match="cancelling an order in BTC/USDT"):
        account(cancel_order=ccxt.RequestTimeout("slow")).cancel(BTC, "core-1")


def rows(first: int, count: int, order: str = "7") -> list[dict[str, Any]]:
    return [{**TRADE, "id": str(number), "order": order} for number in range(first, first + count)]


def test_executions_are_read_page_by_page_ascending_and_none_twice() -> None:
    client = Client(fetch_my_trades=[rows(1, 1_000)[::-1], rows(1_000, 3, "8")])
    found = CcxtAccount(client).trades(BTC, since_ms=5)
    assert [trade.id for trade in found] == list(range(1, 1_003))
    first, second = (named for _, _, named in client.asked)
    assert (first["since"], first["params"]) == (5, {})
    assert (second["since"], second["params"]) == (None, {"fromId": 1_001})
    trade = found[0]
    assert (trade.quantity, trade.cost, trade.fee, trade.fee_asset) == (
        D("0.1"),
        D("9.95"),
        D("0.0001"),
        "BTC",
    )
    assert (trade.maker, trade.at_ms) == (True, 1_700_000_000_001)


def test_executions_of_one_order_or_above_a_number_are_no_others() -> None:
    client = Client(fetch_my_trades=[rows(1, 2) + rows(3, 1, "8")])
    assert [trade.id for trade in CcxtAccount(client).trades(BTC, order_id="7")] == [1, 2]
    assert client.asked[0][2]["params"] == {"orderId": "7"}
    client = Client(fetch_my_trades=[rows(4, 3)])
    assert [trade.id for trade in CcxtAccount(client).trades(BTC, after=4)] == [5, 6]
    assert client.asked[0][2]["params"] == {"fromId": 5}


def test_a_page_that_is_the_same_again_ends_the_reading() -> None:
    client = Client(fetch_my_trades=[rows(1, 1_000), rows(1, 1_000)])
    assert len(CcxtAccount(client).trades(BTC)) == 1_000
    assert len(client.asked) == 2


@pytest.mark.parametrize(
    "wrong", [{"id": "x"}, {"info": {}}, {"info": {**TRADE["info"], "qty": "many"}}], ids=str
)
def test_an_execution_that_cannot_be_read_books_nothing(wrong: dict[str, Any]) -> None:
    with pytest.raises(VenueError, match="a trade cannot be read; nothing was booked"):
        account(fetch_my_trades=[[{**TRADE, **wrong}]]).trades(BTC)


def balances(*rows: Any, **more: Any) -> dict[str, Any]:
    return {"info": {"balances": list(rows), **more}}


def test_what_is_locked_is_held() -> None:
    row = {"asset": "BTC", "free": "0.3", "locked": "0.2"}
    held = account(fetch_balance=balances(row, updateTime=1_700_000_000_000)).balances()
    assert (held.free, held.total, held.updated_ms) == (
        {"BTC": D("0.3")},
        {"BTC": D("0.5")},
        1_700_000_000_000,
    )
    assert account(fetch_balance=balances(row)).balances().updated_ms == 0


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({}, "not taken for an empty account"),
        ({"info": {"balances": []}}, "not taken for an empty account"),
        ({"info": {"balances": "none"}}, "not taken for an empty account"),
        (balances({"asset": "BTC", "free": "0.3"}), "cannot be read"),
        (balances({"asset": "BTC", "free": "some", "locked": "0"}), "cannot be read"),
        (balances("BTC"), "cannot be read"),
        (balances({"asset": "BTC", "free": "-1", "locked": "0"}), "amounts that are none"),
        (balances({"asset": "BTC", "free": "NaN", "locked": "0"}), "amounts that are none"),
        (balances({"asset": "BTC", "free": "Infinity", "locked": "0"}), "amounts that are none"),
    ],
    ids=str,
)
def test_no_balances_are_not_balances_of_zero(answer: Any, text: str) -> None:
    with pytest.raises(VenueError, match=text):
        account(fetch_balance=answer).balances()


RIGHTS = {"enableWithdrawals": False, "enableSpotAndMarginTrading": "true", "ipRestrict": "TRUE"}


@pytest.mark.parametrize(
    ("created", "read"),
    [(1_600_000_000_000, 1_600_000_000_000), ("soon", None), (None, None), (0, None), ("1" * 14, None)],
)
def test_the_rights_of_a_key_and_its_age(created: Any, read: int | None) -> None:
    rights = account(sapi_get_account_apirestrictions={**RIGHTS, "createTime": created}).rights()
    assert (rights.withdraw, rights.trade, rights.ip_restricted) == (False, True, True)
    assert rights.created_ms == read


@pytest.mark.parametrize("answer", [{}, [], None, {"enableWithdrawals": False}], ids=str)
def test_rights_that_are_not_told_are_not_taken_for_granted(answer: Any) -> None:
    with pytest.raises(VenueError, match="rights of the API key cannot be read"):
        account(sapi_get_account_apirestrictions=answer).rights()


def test_other_exchanges_are_refused_with_what_to_do() -> None:
    keys = Keys("key", "secret")
    with pytest.raises(ConfigError, match=r"supported on binance only, found kraken; run it in mode: paper"):
        connect_account(ExchangeConfig(id="kraken"), keys, recv_window_ms=5_000)
    with pytest.raises(ConfigError, match=r"exchange\.base_url: found one for kraken"):
        connect(ExchangeConfig(id="kraken", base_url="http://127.0.0.1:1"))
