"""Keys, signatures and timestamps of signed requests."""

from dataclasses import replace

import pytest

from live_bridge.loopback.api import sign
from live_bridge.loopback.clock import Clock
from live_bridge.loopback.protocol import Request
from tests.oracle.loopback import KEY, SECRET, START_MS, Client, session

ACCOUNT = "/api/v3/account"


@pytest.fixture
def client():
    return Client(session({"binance:BTC/USDT": [100.0]}, balances={"USDT": "5"}))


def send(client, payload, *, key=KEY, secret=SECRET, path=ACCOUNT):
    signed = f"{payload}&signature={sign(secret, payload)}"
    request = Request("GET", path, signed, "", key)
    entry, _ = client.exchange.arrive(request)
    answer = client.exchange.process(request, entry)
    return answer.status, answer.body.get("code", 0)


def test_the_signature_is_binances_published_example():
    secret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
    payload = (
        "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1"
        "&recvWindow=5000&timestamp=1499827319559"
    )
    assert sign(secret, payload) == "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"


def test_query_and_body_are_signed_together(client):
    query, body = "symbol=BTCUSDT&side=BUY&type=MARKET", f"quantity=0.05&timestamp={START_MS}"
    request = Request("POST", "/api/v3/order", query, f"{body}&signature={sign(SECRET, query + body)}", KEY)
    entry, _ = client.exchange.arrive(request)
    assert client.exchange.process(request, entry).body["code"] == -1013


@pytest.mark.parametrize(
    ("payload", "options", "expected"),
    [
        (f"timestamp={START_MS}", {}, (200, 0)),
        (f"timestamp={START_MS}", {"key": ""}, (401, -2014)),
        (f"timestamp={START_MS}", {"key": "other"}, (401, -2015)),
        (f"timestamp={START_MS}", {"secret": "other"}, (400, -1022)),
        ("recvWindow=5000", {}, (400, -1102)),
        (f"timestamp={START_MS - 5_000}", {}, (200, 0)),
        (f"timestamp={START_MS - 5_001}", {}, (400, -1021)),
        (f"timestamp={START_MS - 5_001}&recvWindow=6000", {}, (200, 0)),
        (f"timestamp={START_MS - 101}&recvWindow=100", {}, (400, -1021)),
        (f"timestamp={START_MS + 999}", {}, (200, 0)),
        (f"timestamp={START_MS + 1_000}", {}, (400, -1021)),
        (f"timestamp={START_MS}&recvWindow=60001", {}, (400, -1131)),
        (f"timestamp={START_MS}&timestamp={START_MS}", {}, (400, -1101)),
    ],
)
def test_signed_requests(client, payload, options, expected):
    assert send(client, payload, **options) == expected


def test_a_missing_signature_is_a_missing_parameter(client):
    request = Request("GET", ACCOUNT, f"timestamp={START_MS}", "", KEY)
    entry, _ = client.exchange.arrive(request)
    assert client.exchange.process(request, entry).body["code"] == -1102


def test_a_revoked_key_is_refused(client):
    rights = replace(client.exchange.state.permissions, revoked=True)
    client.exchange.state = replace(client.exchange.state, permissions=rights)
    assert send(client, f"timestamp={START_MS}") == (401, -2015)


def test_the_keys_rights_are_told_and_kept(client):
    answer = client.signed("GET", "/sapi/v1/account/apiRestrictions").body
    assert (answer["enableWithdrawals"], answer["enableSpotAndMarginTrading"]) == (False, True)
    rights = replace(client.exchange.state.permissions, enable_spot_trading=False)
    client.exchange.state = replace(client.exchange.state, permissions=rights)
    assert client.signed("GET", ACCOUNT).body["canTrade"] is False
    assert client.order("BUY", "MARKET", quantity="0.01").body["code"] == -2015


def test_the_account_lists_every_asset_and_the_commission(client):
    body = client.signed("GET", ACCOUNT).body
    assert body["balances"] == [
        {"asset": "BTC", "free": "0.00000000", "locked": "0.00000000"},
        {"asset": "USDT", "free": "5.00000000", "locked": "0.00000000"},
    ]
    assert (body["makerCommission"], body["commissionRates"]["taker"]) == (10, "0.00100000")
    short = client.signed("GET", ACCOUNT, omitZeroBalances="true").body["balances"]
    assert [each["asset"] for each in short] == ["USDT"]


def test_a_clock_that_stands_still_allows_a_client_whose_time_goes_on(client):
    seconds = [0.0]
    client.exchange.clock = Clock(START_MS, monotonic=lambda: seconds[0])
    assert send(client, f"timestamp={START_MS + 9_000}") == (400, -1021)
    seconds[0] = 9.0
    assert send(client, f"timestamp={START_MS + 9_000}") == (200, 0)
    assert send(client, f"timestamp={START_MS - 5_001}") == (400, -1021)


def test_windows_of_a_fast_clock_are_as_long_in_real_time(client):
    seconds = [0.0]
    client.exchange.clock = Clock(START_MS, speed=60.0, monotonic=lambda: seconds[0])
    seconds[0] = 4.9
    assert send(client, f"timestamp={START_MS + 4_900}") == (200, 0)
    seconds[0] = 6.0
    assert send(client, f"timestamp={START_MS}") == (400, -1021)
