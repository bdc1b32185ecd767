"""Whatever is asked in whatever order, money is conserved exactly and nothing goes below zero."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live_bridge.loopback.money import exact, plain
from tests.oracle.loopback import Client, session

quantities = st.integers(1, 4_000).map(lambda units: str(Decimal(units).scaleb(-3)))
prices = st.integers(5_000, 20_000).map(lambda units: str(Decimal(units).scaleb(-2)))
sides = st.sampled_from(["BUY", "SELL"])
actions = st.one_of(
    st.tuples(st.just("market"), sides, quantities),
    st.tuples(st.just("quote"), sides, prices),
    st.tuples(st.just("limit"), sides, quantities, prices, st.sampled_from(["GTC", "IOC", "FOK"])),
    st.tuples(st.just("cancel"), st.integers(1, 12)),
    st.tuples(st.just("move"), st.integers(1, 3)),
)
opens = st.lists(st.one_of(st.none(), st.floats(50, 200)), min_size=6, max_size=30).filter(
    lambda values: any(value is not None for value in values)
)
books = st.fixed_dictionaries(
    {
        "spread_bps": st.sampled_from(["0", "7"]),
        "levels": st.integers(1, 3),
        "level_quantity": st.sampled_from([None, "0.7", "3"]),
        "fee_asset": st.sampled_from(["received", "quote", "BNB"]),
        "maker_bps": st.sampled_from(["0", "8"]),
        "taker_bps": st.sampled_from(["0", "10", "33.3"]),
        "decimals": st.sampled_from([8, 16]),
    }
)
START = {"USDT": "700", "BTC": "5", "BNB": "0.01"}


def act(client, action):
    name, *rest = action
    if name == "market":
        client.order(rest[0], "MARKET", quantity=rest[1])
    elif name == "quote":
        client.order(rest[0], "MARKET", quoteOrderQty=rest[1])
    elif name == "limit":
        client.order(rest[0], "LIMIT", quantity=rest[1], price=rest[2], timeInForce=rest[3])
    elif name == "cancel":
        client.signed("DELETE", "/api/v3/order", symbol="BTCUSDT", orderId=rest[0])
    else:
        client.move(rest[0])


def from_trades(client):
    """Balances rebuilt from nothing but the trades that myTrades lists."""
    total = {asset: Decimal(amount) for asset, amount in START.items()}
    for trade in client.signed("GET", "/api/v3/myTrades", symbol="BTCUSDT", limit=1_000).body:
        sign = 1 if trade["isBuyer"] else -1
        total["BTC"] += sign * Decimal(trade["qty"])
        total["USDT"] -= sign * Decimal(trade["quoteQty"])
        total[trade["commissionAsset"]] -= Decimal(trade["commission"])
    return total


@settings(max_examples=150)
@given(opens=opens, actions=st.lists(actions, max_size=14), book=books)
def test_balances_are_what_the_trades_say(opens, actions, book):
    rates = {"USDT": Decimal(300)} if book["fee_asset"] == "BNB" else {}
    client = Client(session({"x:BTC/USDT": opens}, balances=START, fee_rates=rates, **book))
    for action in actions:
        act(client, action)
        state = client.exchange.state
        assert all(each.free >= 0 and each.locked >= 0 for each in state.balances.values())
        assert {asset: state.balance(asset).total for asset in START} == from_trades(client)
        locked = dict.fromkeys(START, Decimal(0))
        for number in state.open_orders:
            order = state.orders[number]
            assert order.is_open
            locked[order.locked_asset] += order.locked
        assert {asset: state.balance(asset).locked for asset in START} == locked
        for order in state.orders.values():
            assert 0 <= order.executed <= order.quantity
            assert (order.status == "FILLED") == (order.executed == order.quantity > 0)
            if not order.is_open:
                assert order.locked == 0


@settings(max_examples=100)
@given(opens=opens, side=sides, quantity=quantities, price=prices)
def test_no_fill_is_worse_than_the_limit(opens, side, quantity, price):
    client = Client(session({"x:BTC/USDT": opens}, balances=START, levels=3, level_quantity="0.3"))
    client.order(side, "LIMIT", quantity=quantity, price=price)
    client.move(len(opens))
    for trade in client.exchange.state.trades:
        assert trade.price <= Decimal(price) if side == "BUY" else trade.price >= Decimal(price)


@given(st.decimals(min_value=0, max_value=10**12, allow_nan=False, places=14))
def test_written_numbers_read_back(value):
    written = plain(value)
    assert Decimal(written) == value
    assert "E" not in written.upper()


@pytest.mark.parametrize("places", [8, 16])
@given(value=st.floats(min_value=1e-12, max_value=1e12))
def test_floats_survive_being_written(places, value):
    assert float(plain(exact(value), places)) == value
