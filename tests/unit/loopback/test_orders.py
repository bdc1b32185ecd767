"""The order side: placing, filling, cancelling, asking; checked against figures worked out by hand."""

from decimal import Decimal

import pytest

from tests.oracle.loopback import START_MS, Client, session


def trader(opens=(100.0, 90.0, 110.0), *, usdt="1000", btc="2", **options):
    return Client(session({"binance:BTC/USDT": opens}, balances={"USDT": usdt, "BTC": btc}, **options))


def test_a_market_buy_pays_the_ask_and_its_fee_from_what_it_receives():
    client = trader(spread_bps="20")
    body = client.order("BUY", "MARKET", quantity="1.5", newClientOrderId="a").body
    assert (body["status"], body["executedQty"]) == ("FILLED", "1.50000000")
    assert body["cummulativeQuoteQty"] == "150.15000000"
    assert body["fills"] == [
        {
            "price": "100.10000000",
            "qty": "1.50000000",
            "commission": "0.00150000",
            "commissionAsset": "BTC",
            "tradeId": 1,
        }
    ]
    assert (client.free("USDT"), client.free("BTC")) == (Decimal("849.85"), Decimal("3.4985"))


def test_a_market_sell_gets_the_bid_less_its_fee():
    client = trader(spread_bps="20")
    client.order("SELL", "MARKET", quantity="1")
    assert (client.free("USDT"), client.free("BTC")) == (Decimal("1099.8001"), Decimal("1"))


def test_fees_in_quote_come_out_of_the_cash_of_a_buy():
    client = trader(fee_asset="quote")
    client.order("BUY", "MARKET", quantity="1")
    assert (client.free("USDT"), client.free("BTC")) == (Decimal("899.9"), Decimal("3"))
    refused = client.order("BUY", "MARKET", quantity="8.999")
    assert refused.body["code"] == -2010


def test_fees_in_a_third_coin_until_it_runs_out():
    client = trader(fee_asset="BNB", fee_rates={"USDT": Decimal(50)})
    client.exchange.state = client.exchange.state.with_balance("BNB", free=Decimal("0.003"))
    first = client.order("BUY", "MARKET", quantity="1").body["fills"][0]
    assert (first["commission"], first["commissionAsset"]) == ("0.00200000", "BNB")
    second = client.order("BUY", "MARKET", quantity="1").body["fills"][0]
    assert (second["commission"], second["commissionAsset"]) == ("0.00100000", "BTC")
    assert client.free("BNB") == Decimal("0.001")


def test_a_quote_quantity_buys_whole_steps_for_at_most_that_much():
    client = trader()
    body = client.order("BUY", "MARKET", quoteOrderQty="123.456").body
    assert (body["executedQty"], body["cummulativeQuoteQty"]) == ("1.23400000", "123.40000000")
    assert body["status"] == "FILLED"


def test_a_resting_buy_locks_its_cash_and_fills_as_maker_at_its_own_price():
    client = trader()
    body = client.order("BUY", "LIMIT", quantity="2", price="95").body
    assert (body["status"], body["fills"]) == ("NEW", [])
    assert (client.free("USDT"), client.locked("USDT")) == (Decimal(810), Decimal(190))
    client.move(1)
    trade = client.signed("GET", "/api/v3/myTrades", symbol="BTCUSDT").body[0]
    assert (trade["price"], trade["isMaker"], trade["isBuyer"]) == ("95.00000000", True, True)
    assert trade["time"] == START_MS + 3_600_000
    assert (client.free("USDT"), client.locked("USDT")) == (Decimal(810), Decimal(0))
    assert client.free("BTC") == Decimal("3.998")


def test_a_jump_over_many_bars_fills_at_the_first_open_that_reaches_the_price():
    client = trader(opens=(100.0, 99.0, 98.0, 97.0, 96.0))
    client.order("BUY", "LIMIT", quantity="1", price="98")
    client.move(4)
    trade = client.signed("GET", "/api/v3/myTrades", symbol="BTCUSDT").body[0]
    assert trade["time"] == START_MS + 2 * 3_600_000


def test_a_limit_that_crosses_takes_at_the_better_price_and_gets_the_rest_back():
    client = trader()
    body = client.order("BUY", "LIMIT", quantity="2", price="105").body
    assert (body["status"], body["cummulativeQuoteQty"]) == ("FILLED", "200.00000000")
    assert (client.free("USDT"), client.locked("USDT")) == (Decimal(800), Decimal(0))


def test_a_thin_book_fills_in_parts_over_its_levels_and_refills_with_the_next_bar():
    client = trader(levels=2, level_bps="100", level_quantity="0.4")
    body = client.order("BUY", "LIMIT", quantity="2", price="105").body
    assert body["status"] == "PARTIALLY_FILLED"
    assert [(fill["price"], fill["qty"]) for fill in body["fills"]] == [
        ("100.00000000", "0.40000000"),
        ("101.00000000", "0.40000000"),
    ]
    client.move(1)
    order = client.signed("GET", "/api/v3/order", symbol="BTCUSDT", orderId=1).body
    assert (order["status"], order["executedQty"]) == ("PARTIALLY_FILLED", "1.60000000")
    cancelled = client.signed("DELETE", "/api/v3/order", symbol="BTCUSDT", orderId=1).body
    assert (cancelled["status"], cancelled["executedQty"]) == ("CANCELED", "1.60000000")
    assert client.locked("USDT") == 0


def test_a_market_order_beyond_the_book_expires_with_what_it_got():
    client = trader(level_quantity="0.5")
    body = client.order("SELL", "MARKET", quantity="2").body
    assert (body["status"], body["executedQty"]) == ("EXPIRED", "0.50000000")
    again = client.order("SELL", "MARKET", quantity="1").body
    assert (again["status"], again["executedQty"]) == ("EXPIRED", "0.00000000")
    assert client.free("BTC") == Decimal("1.5")
    assert client.locked("BTC") == 0


def test_immediate_or_cancel_and_fill_or_kill():
    client = trader(level_quantity="0.5")
    killed = client.order("BUY", "LIMIT", quantity="1", price="100", timeInForce="FOK").body
    assert (killed["status"], killed["executedQty"]) == ("EXPIRED", "0.00000000")
    part = client.order("BUY", "LIMIT", quantity="1", price="100", timeInForce="IOC").body
    assert (part["status"], part["executedQty"]) == ("EXPIRED", "0.50000000")
    assert client.locked("USDT") == 0


def test_the_book_offers_a_share_of_the_bars_volume():
    client = trader(participation="0.05")
    body = client.order("BUY", "MARKET", quantity="2").body
    assert (body["status"], body["executedQty"]) == ("EXPIRED", "0.50000000")


def test_a_client_id_is_unique_among_open_orders_only():
    client = trader()
    first = client.order("BUY", "MARKET", quantity="1", newClientOrderId="same")
    second = client.order("BUY", "MARKET", quantity="1", newClientOrderId="same")
    assert (first.status, second.status) == (200, 200)
    assert client.order("BUY", "LIMIT", quantity="1", price="50", newClientOrderId="same").status == 200
    refused = client.order("BUY", "LIMIT", quantity="1", price="50", newClientOrderId="same")
    assert refused.body == {"code": -2010, "msg": "Duplicate order sent."}
    found = client.signed("GET", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="same").body
    assert found["orderId"] == 3


@pytest.mark.parametrize(
    ("parameters", "code", "text"),
    [
        ({"side": "BUY", "kind": "MARKET", "quantity": "100"}, -2010, "insufficient balance"),
        ({"side": "SELL", "kind": "MARKET", "quantity": "2.001"}, -2010, "insufficient balance"),
        ({"side": "BUY", "kind": "MARKET", "quantity": "1.0001"}, -1013, "LOT_SIZE"),
        ({"side": "BUY", "kind": "MARKET", "quantity": "0"}, -1013, "LOT_SIZE"),
        ({"side": "BUY", "kind": "MARKET", "quantity": "0.099"}, -1013, "NOTIONAL"),
        ({"side": "BUY", "kind": "MARKET", "quoteOrderQty": "9.99"}, -1013, "NOTIONAL"),
        ({"side": "BUY", "kind": "LIMIT", "quantity": "1", "price": "50.001"}, -1013, "PRICE_FILTER"),
        ({"side": "BUY", "kind": "LIMIT", "quantity": "1", "price": "19"}, -1013, "PERCENT_PRICE_BY_SIDE"),
        ({"side": "SELL", "kind": "LIMIT", "quantity": "1", "price": "501"}, -1013, "PERCENT_PRICE"),
        ({"side": "BUY", "kind": "LIMIT", "quantity": "0.1", "price": "90"}, -1013, "NOTIONAL"),
        ({"side": "BUY", "kind": "LIMIT_MAKER", "quantity": "1", "price": "100"}, -2010, "immediately match"),
        ({"side": "BUY", "kind": "MARKET"}, -1102, "quoteOrderQty"),
        ({"side": "BUY", "kind": "MARKET", "quantity": "1", "price": "5"}, -1106, "price"),
        ({"side": "BUY", "kind": "MARKET", "quantity": "1", "quoteOrderQty": "50"}, -1106, "quoteOrderQty"),
        ({"side": "BUY", "kind": "LIMIT", "quantity": "1"}, -1102, "price"),
        ({"side": "BUY", "kind": "LIMIT", "quantity": "1", "price": "90", "timeInForce": "GTX"}, -1115, ""),
        ({"side": "HOLD", "kind": "MARKET", "quantity": "1"}, -1117, "side"),
        ({"side": "BUY", "kind": "STOP_LOSS", "quantity": "1"}, -1116, "orderType"),
        ({"side": "BUY", "kind": "MARKET", "quantity": "0.123456789"}, -1111, "precision"),
        ({"side": "BUY", "kind": "MARKET", "quantity": "-1"}, -1100, "quantity"),
        ({"side": "BUY", "kind": "MARKET", "quantity": "1e3"}, -1100, "quantity"),
        ({"side": "BUY", "kind": "MARKET", "quantity": "1", "newClientOrderId": "a b"}, -1100, "newClient"),
        (
            {"side": "BUY", "kind": "MARKET", "quantity": "1", "newClientOrderId": "x" * 37},
            -1100,
            "newClient",
        ),
        ({"side": "BUY", "kind": "MARKET", "quantity": "1", "symbol": "NOPE"}, -1121, "symbol"),
    ],
)
def test_refusals_are_binances_and_change_nothing(parameters, code, text):
    client = trader(opens=(100.0,))
    before = client.exchange.state
    answer = client.order(**parameters)
    assert (answer.status, answer.body["code"]) == (400, code)
    assert text in answer.body["msg"]
    assert client.exchange.state.balances == before.balances
    assert client.exchange.state.orders == {}


def test_nobody_trades_while_a_bar_is_missing():
    client = trader(opens=(100.0, None, 100.0))
    client.move(1)
    answer = client.order("BUY", "MARKET", quantity="1")
    assert answer.body == {"code": -1013, "msg": "Market is closed."}
    client.move(1)
    assert client.order("BUY", "MARKET", quantity="1").status == 200


def test_a_trial_order_is_checked_and_not_placed():
    client = trader()
    ask = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET"}
    assert client.signed("POST", "/api/v3/order/test", **ask, quantity="1").body == {}
    assert client.signed("POST", "/api/v3/order/test", **ask, quantity="99").body["code"] == -2010
    assert client.exchange.state.orders == {}


def test_answers_come_in_three_lengths():
    client = trader()
    short = client.order("BUY", "MARKET", quantity="1", newOrderRespType="ACK").body
    assert set(short) == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
    middle = client.order("BUY", "MARKET", quantity="1", newOrderRespType="RESULT").body
    assert middle["status"] == "FILLED"
    assert "fills" not in middle


def test_asking_for_and_cancelling_what_is_not_there():
    client = trader()
    path = "/api/v3/order"
    assert client.signed("GET", path, symbol="BTCUSDT", orderId=7).body["code"] == -2013
    assert client.signed("GET", path, symbol="BTCUSDT").body["code"] == -1102
    assert client.signed("DELETE", path, symbol="BTCUSDT", origClientOrderId="x").body["code"] == -2011
    assert client.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSDT").body["code"] == -2011
    client.order("BUY", "MARKET", quantity="1")
    assert client.signed("DELETE", path, symbol="BTCUSDT", orderId=1).body["code"] == -2011


def test_lists_of_orders_and_trades_are_paged_by_id_and_time():
    client = trader(opens=[100.0] * 4, usdt="100000")
    for _ in range(4):
        client.order("BUY", "LIMIT", quantity="1", price="50")
        client.order("BUY", "MARKET", quantity="1")
        client.move(0.5)

    def numbers(path, key, **parameters):
        body = client.signed("GET", path, symbol="BTCUSDT", **parameters).body
        return [each[key] for each in body]

    assert numbers("/api/v3/openOrders", "orderId") == [1, 3, 5, 7]
    assert numbers("/api/v3/allOrders", "orderId") == list(range(1, 9))
    assert numbers("/api/v3/allOrders", "orderId", limit=3) == [6, 7, 8]
    assert numbers("/api/v3/allOrders", "orderId", orderId=3, limit=2) == [3, 4]
    assert numbers("/api/v3/myTrades", "id", fromId=2, limit=2) == [2, 3]
    assert numbers("/api/v3/myTrades", "id", orderId=4) == [2]
    assert numbers("/api/v3/myTrades", "id", startTime=START_MS + 1, endTime=START_MS + 3_600_000) == [2, 3]
    wide = client.signed(
        "GET", "/api/v3/myTrades", symbol="BTCUSDT", startTime=START_MS, endTime=START_MS + 86_400_001
    )
    assert wide.body["code"] == -1127
    cancelled = client.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSDT").body
    assert [each["status"] for each in cancelled] == ["CANCELED"] * 4
    assert client.locked("USDT") == 0
    assert client.signed("GET", "/api/v3/openOrders").body == []


def test_the_number_of_open_orders_is_limited():
    client = trader(filters={"max_open_orders": 2})
    for _ in range(2):
        assert client.order("BUY", "LIMIT", quantity="0.2", price="60").status == 200
    refused = client.order("BUY", "LIMIT", quantity="0.2", price="60")
    assert refused.body == {"code": -1013, "msg": "Filter failure: MAX_NUM_ORDERS"}


def test_without_lots_and_ticks_a_fill_is_exact():
    free = {"tick_size": 0, "step_size": 0, "min_notional": 0}
    client = trader(opens=(0.1234567890123,), filters=free, decimals=16, spread_bps="10", fee_asset="quote")
    body = client.order("BUY", "MARKET", quantity="1.2345678901234567").body
    price = Decimal("0.1234567890123") * Decimal("1.0005")
    assert Decimal(body["fills"][0]["price"]) == price
    assert body["executedQty"] == "1.2345678901234567"


def test_a_listed_symbol_prices_the_fee_coin():
    exchange = session(
        {"x:BTC/USDT": [100.0], "x:BNB/USDT": [25.0]},
        balances={"USDT": "1000", "BNB": "1"},
        fee_asset="BNB",
    )
    fill = Client(exchange).order("BUY", "MARKET", quantity="1").body["fills"][0]
    assert (fill["commission"], fill["commissionAsset"]) == ("0.00400000", "BNB")


def test_market_orders_have_a_largest_quantity_of_their_own():
    client = trader(filters={"market_max_quantity": "1.5"})
    assert client.order("SELL", "MARKET", quantity="1.6").body["msg"] == "Filter failure: MARKET_LOT_SIZE"
    assert client.order("SELL", "LIMIT", quantity="1.6", price="101").status == 200


def test_orders_are_counted_and_limited():
    client = trader(enforce_limits=True, weight_limit=10_000)
    for _ in range(100):
        answer = client.order("BUY", "LIMIT", quantity="1", price="1")
    assert (answer.headers["X-MBX-ORDER-COUNT-10S"], answer.body["code"]) == ("100", -1013)
    assert client.order("BUY", "MARKET", quantity="1").body["code"] == -1015
    counts = client.signed("GET", "/api/v3/rateLimit/order").body
    assert [(each["interval"], each["count"]) for each in counts] == [("SECOND", 101), ("DAY", 101)]
    client.move(1 / 360)
    assert client.order("BUY", "MARKET", quantity="1").status == 200


def test_commission_and_average_price_are_told():
    client = trader(taker_bps="7.5")
    body = client.signed("GET", "/api/v3/account/commission", symbol="BTCUSDT").body
    assert body["standardCommission"]["taker"] == "0.00075000"
    assert client.ask("/api/v3/avgPrice", symbol="BTCUSDT").body["price"] == "100.00000000"
