"""Every fault is the exception in CCXT that the same failure of the real exchange would be."""

import ccxt
import pytest

pytestmark = pytest.mark.integration

ORDER = "/api/v3/order"


def buy(exchange, name="order-1"):
    return exchange.create_order("BTC/USDT", "market", "buy", 1, params={"newClientOrderId": name})


def placed(server):
    return [order["clientOrderId"] for order in server.control("state")["orders"]]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "drop"}, ccxt.NetworkError),
        ({"kind": "reset"}, ccxt.NetworkError),
        ({"kind": "hang", "milliseconds": 500}, ccxt.RequestTimeout),
        ({"kind": "status", "status": 502}, ccxt.ExchangeNotAvailable),
        ({"kind": "status", "status": 503, "code": -1008, "message": "Overloaded."}, ccxt.ExchangeError),
        ({"kind": "status", "status": 504, "code": -1007, "message": "Unknown."}, ccxt.RequestTimeout),
        ({"kind": "status", "status": 429}, ccxt.DDoSProtection),
        ({"kind": "status", "status": 418, "retry_after": 120}, ccxt.DDoSProtection),
    ],
)
def test_an_order_that_fails_was_placed_or_not_as_told(server, exchange, fault, error, when):
    exchange.timeout = 200
    server.control("fault", method="POST", path=ORDER, when=when, **fault)
    with pytest.raises(error):
        buy(exchange)
    assert placed(server) == (["order-1"] if when == "after" else [])
    state = server.control("state")
    assert (state["order_posts"], state["faults"][0]["hits"]) == ({"order-1": 1}, 1)


def test_a_broken_body_after_processing(server, exchange):
    server.control("fault", method="POST", path=ORDER, kind="truncated", when="after")
    with pytest.raises(ccxt.NetworkError):
        buy(exchange)
    server.control("fault", clear=True)
    assert placed(server) == ["order-1"]
    found = exchange.fetch_order(None, "BTC/USDT", {"origClientOrderId": "order-1"})
    assert found["status"] == "closed"


@pytest.mark.parametrize("kind", ["empty", "cut", "garbage"])
def test_a_body_that_is_no_json_raises_nothing_in_ccxt(server, exchange, kind):
    server.control("fault", method="POST", path=ORDER, kind=kind, when="after")
    assert buy(exchange)["id"] is None
    assert placed(server) == ["order-1"]


def test_a_request_that_arrives_late_executes_at_its_arrival(server, exchange):
    server.control("fault", method="POST", path=ORDER, kind="late", milliseconds=3_000)
    with pytest.raises(ccxt.NetworkError):
        buy(exchange)
    server.control("fault", clear=True)
    with pytest.raises(ccxt.OrderNotFound):
        exchange.fetch_order(None, "BTC/USDT", {"origClientOrderId": "order-1"})
    server.control("clock", advance_ms=3_000)
    found = exchange.fetch_order(None, "BTC/USDT", {"origClientOrderId": "order-1"})
    assert (found["status"], found["timestamp"]) == ("closed", server.line_ms + 3_000)


def test_a_request_that_arrives_outside_its_window_is_void(server, exchange):
    exchange.options["recvWindow"] = 2_000
    server.control("fault", method="POST", path=ORDER, kind="late", milliseconds=60_000)
    with pytest.raises(ccxt.NetworkError):
        buy(exchange)
    server.control("clock", advance_ms=70_000)
    state = server.control("state")
    assert state["orders"] == []
    assert [entry["code"] for entry in state["log"] if entry["processed"] == "later"] == [-1021]


def test_a_stale_account_answer_is_the_one_before(server, exchange):
    assert exchange.fetch_balance()["BTC"]["total"] == 0
    buy(exchange)
    server.control("fault", path="/api/v3/account", kind="replay", times=1)
    assert exchange.fetch_balance()["BTC"]["total"] == 0
    assert exchange.fetch_balance()["BTC"]["total"] == 0.999


def test_an_account_answer_can_be_anything(server, exchange):
    server.control("fault", path="/api/v3/account", kind="body", status=200, body='{"balances": []}')
    assert exchange.fetch_balance()["total"] == {}


def test_the_reported_time_can_be_wrong(server, exchange):
    server.control("fault", path="/api/v3/time", kind="skew", milliseconds=-90_000)
    assert exchange.fetch_time() == server.line_ms - 90_000


def test_klines_can_be_stale_missing_or_nonsense(server, exchange):
    server.control("clock", advance_ms=5 * 3_600_000)

    def opens(kind, count=1):
        server.control("fault", clear=True, faults=[{"kind": "klines", "klines": kind, "count": count}])
        rows = exchange.fetch_ohlcv("BTC/USDT", "1h")
        return [(row[0] - server.line_ms) // 3_600_000 for row in rows], rows

    assert opens("stale", 2)[0] == [0, 1, 2, 3]
    assert opens("missing")[0] == [0, 1, 2, 3, 5]
    assert opens("future")[0] == [0, 1, 2, 3, 4, 5, 6]
    assert opens("empty_list")[0] == []
    assert opens("zero")[1][-1][1:5] == [0.0] * 4
    assert opens("nan")[1][-1][4] != opens("nan")[1][-1][4] or opens("nan")[1][-1][4] is None


def test_a_delay_within_the_time_out_changes_nothing(server, exchange):
    server.control("fault", path=ORDER, kind="delay", milliseconds=50)
    assert buy(exchange)["status"] == "closed"
