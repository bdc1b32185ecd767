"""Control of the exchange from outside its protocol."""

from decimal import Decimal

import pytest

from live_bridge.loopback.control import CONTROLS, ControlError
from tests.oracle.loopback import HOUR_MS, START_MS, Client, session


@pytest.fixture
def client():
    return Client(session({"binance:BTC/USDT": [100.0, 90.0]}, balances={"USDT": "1000"}))


def post(client, name, **body):
    return CONTROLS["POST", name](client.exchange, body)


def state(client):
    return CONTROLS["GET", "state"](client.exchange, {})


@pytest.mark.parametrize(
    "change",
    [{"at": "2024-01-01T01:00:00Z"}, {"at": START_MS + HOUR_MS}, {"advance_ms": HOUR_MS}],
)
def test_the_clock_is_set_or_moved_and_resting_orders_follow(client, change):
    client.order("BUY", "LIMIT", quantity="1", price="95")
    answer = post(client, "clock", **change)
    assert (answer["time"], answer["iso"]) == (START_MS + HOUR_MS, "2024-01-01T01:00:00+00:00")
    assert client.exchange.state.orders[1].status == "FILLED"


def test_the_clock_can_run_and_step(client):
    assert post(client, "clock", mode="x60", step_ms=5) == {
        "time": START_MS,
        "iso": "2024-01-01T00:00:00+00:00",
        "speed": 60.0,
        "step_ms": 5,
    }


def test_balances_are_set_and_changed(client):
    post(client, "balances", set={"BTC": "1.5"}, add={"USDT": "-400"})
    assert (client.free("BTC"), client.free("USDT")) == (Decimal("1.5"), Decimal(600))
    client.order("BUY", "LIMIT", quantity="1", price="50")
    assert post(client, "balances", set={"USDT": 7})["USDT"] == {
        "free": "7.00000000",
        "locked": "50.00000000",
    }


def test_the_exchange_cancels_expires_and_fills_of_its_own_accord(client):
    for _ in range(3):
        client.order("BUY", "LIMIT", quantity="1", price="50")
    assert post(client, "order", order_id=1, action="cancel")["status"] == "CANCELED"
    assert post(client, "order", order_id=2, action="expire")["status"] == "EXPIRED"
    assert post(client, "order", order_id=3, action="fill", quantity="0.25")["status"] == "PARTIALLY_FILLED"
    assert (client.locked("USDT"), client.free("BTC")) == (Decimal("37.5"), Decimal("0.24975"))
    post(client, "order", order_id=3, action="expire")
    order = client.signed("GET", "/api/v3/order", symbol="BTCUSDT", orderId=3).body
    assert (order["status"], order["executedQty"]) == ("EXPIRED", "0.25000000")
    assert client.locked("USDT") == 0


def test_symbols_are_halted_and_opened_again(client):
    assert post(client, "market", halt=["BTCUSDT"]) == {"halted": ["BTCUSDT"]}
    assert client.order("BUY", "MARKET", quantity="1").body["msg"] == "Market is closed."
    post(client, "market", resume=["BTCUSDT"])
    assert client.order("BUY", "MARKET", quantity="1").status == 200


def test_the_keys_rights_change(client):
    assert post(client, "permissions", enable_withdrawals=True)["enable_withdrawals"] is True
    assert client.signed("GET", "/sapi/v1/account/apiRestrictions").body["enableWithdrawals"] is True
    # As young as can be, unless somebody says when it was made.
    assert client.signed("GET", "/sapi/v1/account/apiRestrictions").body["createTime"] == START_MS
    assert post(client, "permissions", created="2018-05-01T00:00:00Z")["created_ms"] == 1_525_132_800_000
    told = client.signed("GET", "/sapi/v1/account/apiRestrictions").body
    assert told["createTime"] == 1_525_132_800_000
    post(client, "permissions", revoked=True)
    assert client.signed("GET", "/api/v3/account").status == 401


def test_fees_spread_and_depth_change(client):
    changed = post(client, "venue", spread_bps="20", fee_asset="quote", level_quantity="0.5")
    assert (changed["spread_bps"], changed["fee_asset"], changed["levels"]) == ("20", "quote", 1)
    assert client.order("BUY", "MARKET", quantity="1").body["executedQty"] == "0.50000000"
    assert post(client, "venue", level_quantity=None)["level_quantity"] is None


def test_faults_come_and_go(client):
    assert post(client, "fault", kind="drop", path="/api/v3/order")["numbers"] == [1]
    both = post(client, "fault", clear=True, faults=[{"kind": "delay"}, {"kind": "reset"}])
    assert both["numbers"] == [2, 3]
    assert [each["kind"] for each in both["faults"]] == ["delay", "reset"]
    assert post(client, "fault", clear=True)["faults"] == []


def test_a_reset_goes_back_to_the_first_moment(client):
    before = state(client)
    client.order("BUY", "MARKET", quantity="1", newClientOrderId="one")
    post(client, "clock", advance_ms=HOUR_MS, mode="x5", step_ms=3)
    post(client, "venue", spread_bps=50)
    post(client, "fault", kind="drop")
    post(client, "reset")
    assert state(client) == before
    assert client.order("BUY", "MARKET", quantity="1").body["fills"][0]["price"] == "100.00000000"


def test_the_state_shows_what_happened(client):
    client.order("BUY", "MARKET", quantity="1", newClientOrderId="one")
    client.order("BUY", "LIMIT", quantity="1", price="50")
    shown = state(client)
    assert shown["balances"]["BTC"] == {"free": "0.99900000", "locked": "0.00000000"}
    assert [order["status"] for order in shown["orders"]] == ["FILLED", "NEW"]
    assert (shown["open_orders"], shown["order_posts"]["one"]) == ([2], 1)
    assert shown["trades"][0]["orderId"] == 1
    assert shown["log"][0]["path"] == "/api/v3/order"


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("clock", {"when": 1}, "when: Extra inputs"),
        ("clock", {"at": "2024-01-01T00:00:00"}, "has no zone"),
        ("clock", {"at": "noon"}, "not understood"),
        ("clock", {"mode": "quick"}, "use manual, real or xN"),
        ("balances", {"set": {"BTC": "-1"}}, "set.BTC"),
        ("balances", {"set": {"BTC": True}}, "expected a number"),
        ("balances", {"add": {"USDT": "-1001"}}, "only 1000 USDT is free"),
        ("balances", {"add": {"USDT": "some"}}, "is no number"),
        ("fault", {"kind": "explode"}, "faults.0.kind"),
        ("order", {"order_id": 9, "action": "cancel"}, "no open order"),
        ("market", {"halt": ["NOPE"]}, "no such symbol: NOPE"),
        ("venue", {"levels": 0}, "levels"),
        ("permissions", {"enable_margin": True}, "enable_margin"),
        ("permissions", {"created": "yesterday"}, "not understood"),
    ],
)
def test_wrong_requests_are_named_and_change_nothing(client, name, body, message):
    before = client.exchange.state
    with pytest.raises(ControlError, match=message):
        post(client, name, **body)
    assert client.exchange.state == before


def test_no_more_is_filled_than_remains(client):
    client.order("BUY", "LIMIT", quantity="1", price="50")
    with pytest.raises(ControlError, match="remains of order 1"):
        post(client, "order", order_id=1, action="fill", quantity="1.5")
