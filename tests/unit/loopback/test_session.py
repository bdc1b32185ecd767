"""Clock, late requests, replayed answers, the log, and faults chosen by count and seed."""

import pytest

from lab.core.errors import ConfigError
from live_bridge.loopback.api import sign
from live_bridge.loopback.clock import Clock, parse_speed
from live_bridge.loopback.faults import KLINE_FAULTS, Fault, FaultPlan, spoil_klines
from live_bridge.loopback.protocol import Request
from tests.oracle.loopback import KEY, SECRET, START_MS, Client, session


def test_the_clock_stands_still_runs_or_races():
    seconds = [10.0]
    clock = Clock(1_000, monotonic=lambda: seconds[0])
    seconds[0] = 15.0
    assert clock.now() == 1_000
    clock.set(2_000, speed=1.0)
    seconds[0] = 16.5
    assert clock.now() == 3_500
    clock.set(0, speed=60.0)
    seconds[0] = 17.5
    assert clock.now() == 60_000


def test_a_stepping_clock_moves_with_every_request():
    exchange = session({"binance:BTC/USDT": [100.0]})
    exchange.clock.step = 250
    client = Client(exchange)
    times = [client.ask("/api/v3/time").body["serverTime"] - START_MS for _ in range(3)]
    assert times == [250, 500, 750]


@pytest.mark.parametrize("text", ["", "fast", "x0", "x", "x-1", "2"])
def test_other_speeds_are_refused(text):
    with pytest.raises(ConfigError, match="use manual, real or xN"):
        parse_speed(text)


def signed_order(client, *, timestamp=START_MS, recv_window=5_000):
    payload = (
        "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1&newClientOrderId=late"
        f"&timestamp={timestamp}&recvWindow={recv_window}"
    )
    return Request("POST", "/api/v3/order", "", f"{payload}&signature={sign(SECRET, payload)}", KEY)


@pytest.mark.parametrize(
    ("delay", "window", "orders", "code"),
    [(4_000, 5_000, 1, 0), (5_000, 5_000, 1, 0), (5_001, 5_000, 0, -1021)],
)
def test_a_late_request_is_judged_at_its_arrival(delay, window, orders, code):
    client = Client(session({"binance:BTC/USDT": [100.0]}, balances={"USDT": "1000"}))
    exchange = client.exchange
    request = signed_order(client, recv_window=window)
    entry, _ = exchange.arrive(request)
    exchange.postpone(request, entry, delay)
    exchange.clock.set(START_MS + delay - 1)
    exchange.catch_up(exchange.clock.now())
    assert len(exchange.state.orders) == 0
    assert exchange.pending() == [(START_MS + delay, 1)]
    exchange.clock.set(START_MS + 60_000)
    exchange.catch_up(exchange.clock.now())
    assert len(exchange.state.orders) == orders
    assert (entry.processed, entry.code) == ("later", code)
    assert [order.time for order in exchange.state.orders.values()] == [START_MS + delay] * orders
    assert exchange.pending() == []


def test_the_log_shows_every_request_without_its_signature():
    client = Client(session({"binance:BTC/USDT": [100.0]}))
    client.signed("GET", "/api/v3/account")
    client.ask("/api/v3/klines", symbol="NOPE", interval="1h")
    first, second = client.exchange.log
    assert (first.number, first.processed, first.status) == (1, "now", 200)
    assert "signature" not in first.parameters
    assert (second.status, second.code) == (400, -1121)


def test_posts_are_counted_by_client_order_id():
    client = Client(session({"binance:BTC/USDT": [100.0]}, balances={"USDT": "1000"}))
    for _ in range(2):
        client.order("BUY", "MARKET", quantity="1", newClientOrderId="twice")
    assert client.exchange.order_posts == {"twice": 2}


def test_the_last_good_answer_to_a_question_is_remembered():
    client = Client(session({"binance:BTC/USDT": [100.0, 200.0]}))
    client.ask("/api/v3/ticker/price", symbol="BTCUSDT")
    before = client.exchange.previous(Request("GET", "/api/v3/ticker/price", "symbol=BTCUSDT"))
    assert before is not None
    assert before.body["price"] == "100.00000000"
    assert client.exchange.previous(Request("GET", "/api/v3/ticker/price", "symbol=NOPE")) is None


def hits(plan, count, *, method="GET", path="/api/v3/klines", **parameters):
    return [bool(plan.hit(method, path, parameters)) for _ in range(count)]


@pytest.mark.parametrize(
    ("matcher", "expected"),
    [
        ({}, [True, True, True, True]),
        ({"nth": 2}, [False, True, False, False]),
        ({"nth": (1, 4)}, [True, False, False, True]),
        ({"every": 2}, [False, True, False, True]),
        ({"times": 2}, [True, True, False, False]),
        ({"method": "POST"}, [False] * 4),
        ({"path": "/api/v3/*"}, [True] * 4),
        ({"path": "/sapi/*"}, [False] * 4),
        ({"symbol": "BTCUSDT"}, [True] * 4),
        ({"symbol": "ETHUSDT"}, [False] * 4),
    ],
)
def test_faults_hit_the_requests_they_name(matcher, expected):
    plan = FaultPlan()
    plan.add(Fault(kind="drop", **matcher))
    assert hits(plan, 4, symbol="BTCUSDT") == expected


def test_random_faults_follow_the_seed_and_nothing_else():
    def drawn(seed, others):
        plan = FaultPlan(seed)
        plan.add(Fault(kind="drop", probability=0.5))
        for _ in range(others):
            plan.add(Fault(kind="delay", probability=0.5))
        return ["drop" in [each.kind for each in plan.hit("GET", "/", {})] for _ in range(64)]

    assert drawn(1, 0) == drawn(1, 3)
    assert drawn(1, 0) != drawn(2, 0)
    assert 16 < sum(drawn(1, 0)) < 48


ROWS = [[hour * 100, "2", "3", "1", "2.5", "7", hour * 100 + 99, "0"] for hour in range(4)]


@pytest.mark.parametrize("kind", KLINE_FAULTS)
def test_every_kind_of_spoiled_klines_differs_from_the_good_ones(kind):
    assert spoil_klines(ROWS, kind, 1) != ROWS
    assert spoil_klines([], kind, 1) == []


def test_spoiled_klines_are_spoiled_as_named():
    def opens(kind, count=1):
        return [row[0] for row in spoil_klines(ROWS, kind, count)]

    assert opens("stale", 2) == [0, 100]
    assert opens("missing") == [0, 100, 300]
    assert opens("duplicate") == [0, 100, 200, 300, 300]
    assert opens("unsorted") == [300, 0, 100, 200]
    assert opens("misaligned") == [0, 100, 200, 301]
    assert opens("future") == [0, 100, 200, 300, 400]
    assert spoil_klines(ROWS, "zero", 2)[2][1:5] == ["0.00000000"] * 4
    assert spoil_klines(ROWS, "high_below_low", 1)[3][2:4] == ["0.50000000", "1"]
    assert spoil_klines(ROWS, "negative_volume", 1)[3][5] == "-1.00000000"


def test_a_fault_that_contradicts_itself_is_refused():
    with pytest.raises(ValueError, match="go together"):
        Fault(kind="klines")
    with pytest.raises(ValueError, match="expected one of stale"):
        Fault(kind="klines", klines="odd")
