"""The unmodified ccxt.binance class reads markets and trades against the loopback exchange."""

from decimal import Decimal

import ccxt
import pytest

pytestmark = pytest.mark.integration

START_MS = 1_704_067_200_000
HOUR_MS = 3_600_000


def test_markets_come_with_their_rules(exchange, server):
    assert set(exchange.markets) == {"BTC/USDT", "ETH/USDT"}
    market = exchange.market("BTC/USDT")
    assert (market["id"], market["spot"], market["active"]) == ("BTCUSDT", True, True)
    assert market["precision"] == {"amount": 1e-4, "price": 1e-4, "base": 1e-8, "quote": 1e-8}
    assert market["limits"]["cost"]["min"] == 10.0
    assert server.line["markets"]["BTCUSDT"] == {"1h": "BTC/USDT"}


def test_time_is_the_exchanges_own(exchange, server):
    assert exchange.fetch_time() == START_MS
    server.control("clock", advance_ms=1_234)
    assert exchange.fetch_time() == START_MS + 1_234


def test_bars_come_in_pages_to_the_bit(exchange, server):
    server.control("clock", advance_ms=40 * HOUR_MS + 1)
    rows, since = [], START_MS
    while page := exchange.fetch_ohlcv("BTC/USDT", "1h", since=since, limit=7):
        rows += page
        since = page[-1][0] + 1
    assert [row[0] for row in rows] == [START_MS + hour * HOUR_MS for hour in range(41)]
    opens = [100 + 900 / (hour + 1) for hour in range(41)]
    assert [row[1] for row in rows] == opens
    assert [row[4] for row in rows[:-1]] == [opening * 1.005 for opening in opens[:-1]]
    assert rows[-1][1:] == [opens[-1]] * 4 + [0.0]


def test_tickers_show_the_open_of_the_bar(exchange, server):
    server.control("clock", advance_ms=HOUR_MS)
    server.control("venue", spread_bps="20")
    ticker = exchange.fetch_ticker("BTC/USDT")
    assert (ticker["last"], ticker["bid"], ticker["ask"]) == (550.0, 549.45, 550.55)
    assert exchange.fetch_tickers(["ETH/USDT"])["ETH/USDT"]["last"] == 50.0
    assert exchange.fetch_bids_asks()["BTC/USDT"]["bid"] == 549.45
    assert exchange.fetch_order_book("BTC/USDT")["asks"][0][0] == 550.55


def test_a_round_trip_leaves_exactly_what_the_trades_say(exchange, server):
    bought = exchange.create_order("BTC/USDT", "market", "buy", 1.25, params={"newClientOrderId": "t1-buy"})
    assert (bought["status"], bought["filled"], bought["cost"]) == ("closed", 1.25, 1250.0)
    server.move(exchange, 1)
    exchange.create_order("BTC/USDT", "limit", "sell", 1.0, 540, {"newClientOrderId": "t1-sell"})
    quote = exchange.create_market_buy_order_with_cost("ETH/USDT", 123.45)
    assert quote["filled"] == 2.469
    expected = {"USDT": Decimal(10_000), "BTC": Decimal(0), "ETH": Decimal(0)}
    for symbol in ("BTC/USDT", "ETH/USDT"):
        base, _, asset = symbol.partition("/")
        for trade in exchange.fetch_my_trades(symbol):
            sign = 1 if trade["side"] == "buy" else -1
            expected[base] += sign * Decimal(trade["info"]["qty"])
            expected[asset] -= sign * Decimal(trade["info"]["quoteQty"])
            expected[trade["fee"]["currency"]] -= Decimal(trade["info"]["commission"])
    held = exchange.fetch_balance()["info"]["balances"]
    assert {each["asset"]: Decimal(each["free"]) for each in held} == expected
    assert expected["USDT"] == 10_000 - 1250 + 550 - Decimal("0.55") - Decimal("123.45")


def test_orders_are_found_by_their_client_id_and_cancelled(exchange):
    exchange.create_order("BTC/USDT", "limit", "buy", 0.1, 900, {"newClientOrderId": "rest"})
    found = exchange.fetch_order(None, "BTC/USDT", {"origClientOrderId": "rest"})
    assert (found["status"], found["clientOrderId"], found["price"]) == ("open", "rest", 900.0)
    assert [each["id"] for each in exchange.fetch_open_orders("BTC/USDT")] == [found["id"]]
    assert exchange.fetch_balance()["USDT"] == {"free": 9910.0, "used": 90.0, "total": 10_000.0}
    assert exchange.cancel_order(None, "BTC/USDT", {"origClientOrderId": "rest"})["status"] == "canceled"
    assert exchange.fetch_open_orders("BTC/USDT") == []
    assert exchange.fetch_orders("BTC/USDT")[0]["status"] == "canceled"


def test_an_expired_order_can_carry_fills(exchange, server):
    server.control("venue", level_quantity="0.5")
    order = exchange.create_order("BTC/USDT", "market", "buy", 1)
    assert (order["status"], order["filled"], order["remaining"]) == ("expired", 0.5, 0.5)


def test_refusals_are_the_exceptions_a_bridge_knows(exchange, server):
    order = exchange.create_order
    with pytest.raises(ccxt.InsufficientFunds):
        order("BTC/USDT", "market", "buy", 11)
    with pytest.raises(ccxt.InvalidOrder, match="lot size"):
        exchange.private_post_order(
            {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.1000001"}
        )
    with pytest.raises(ccxt.BadRequest, match="NOTIONAL"):
        order("BTC/USDT", "market", "buy", 0.001)
    with pytest.raises(ccxt.OrderImmediatelyFillable):
        order("BTC/USDT", "limit", "buy", 1, 1_000, {"postOnly": True})
    order("BTC/USDT", "limit", "buy", 1, 900, {"newClientOrderId": "one"})
    with pytest.raises(ccxt.InvalidOrder, match="Duplicate"):
        order("BTC/USDT", "limit", "buy", 1, 900, {"newClientOrderId": "one"})
    with pytest.raises(ccxt.OrderNotFound):
        exchange.fetch_order("77", "BTC/USDT")
    with pytest.raises(ccxt.OrderNotFound):
        exchange.cancel_order("77", "BTC/USDT")
    with pytest.raises(ccxt.BadSymbol):
        exchange.public_get_klines({"symbol": "NOPE", "interval": "1h"})
    server.control("market", halt=["BTCUSDT"])
    with pytest.raises(ccxt.MarketClosed):
        order("BTC/USDT", "market", "buy", 1)


def test_keys_and_clocks_that_are_wrong(server):
    wrong_secret = server.client(secret="wrong")
    with pytest.raises(ccxt.AuthenticationError, match="-1022"):
        wrong_secret.fetch_balance()
    wrong_key = server.client(apiKey="wrong")
    with pytest.raises(ccxt.AuthenticationError, match="-2015"):
        wrong_key.fetch_balance()
    late = server.client()
    late.options["timeDifference"] += 60_000
    with pytest.raises(ccxt.InvalidNonce, match="recvWindow"):
        late.private_get_account()
    revoked = server.client()
    revoked.fetch_balance()
    server.control("permissions", revoked=True)
    with pytest.raises(ccxt.DDoSProtection, match="-2015"):
        revoked.fetch_balance()


def test_the_rights_of_a_key_are_told(exchange, server):
    assert exchange.sapi_get_account_apirestrictions()["enableWithdrawals"] is False
    server.control("permissions", enable_withdrawals=True)
    assert exchange.sapi_get_account_apirestrictions()["enableWithdrawals"] is True


def test_every_call_that_ccxt_makes_with_keys_is_answered(server):
    plain = server.client(settings={"fetchMargins": True, "fetchCurrencies": True})
    assert set(plain.load_markets()) == {"BTC/USDT", "ETH/USDT"}
    assert {"BTC", "ETH", "USDT"} <= set(plain.currencies)
    assert plain.fetch_status()["status"] == "ok"
    assert plain.fetch_trading_fee("BTC/USDT")["taker"] == 0.001


def test_without_rounding_an_order_is_exact(start, tmp_path):
    rules = tmp_path / "filters.yaml"
    rules.write_text("default: {tick_size: 0, step_size: 1e-16, min_quantity: 0, min_notional: 0}\n")
    server = start("--filters", str(rules), "--decimals", "16", "--fee-asset", "quote", "--spread-bps", "10")
    exchange = server.client()
    exchange.load_markets()
    server.move(exchange, 6)
    quantity = 0.12345678901234568
    order = exchange.create_order("BTC/USDT", "market", "buy", quantity)
    opening = Decimal(repr(100 + 900 / 7))
    price = Decimal(order["info"]["fills"][0]["price"])
    assert price == opening * Decimal("1.0005")
    assert abs(Decimal(order["info"]["executedQty"]) - Decimal(repr(quantity))) < Decimal("1e-15")


def test_the_asynchronous_class_trades_too(server):
    import asyncio

    import ccxt.async_support

    from lab.data.venues import ccxt_options

    async def trade():
        keys = {"apiKey": "loopback-key", "secret": "loopback-secret"}
        client = ccxt.async_support.binance({**ccxt_options(server.url), **keys})
        try:
            await client.load_markets()
            return await client.create_order("BTC/USDT", "market", "buy", 1)
        finally:
            await client.close()

    assert asyncio.run(trade())["status"] == "closed"
