"""Public endpoints: what is listed, which bars a page holds, what a symbol is worth."""

import pytest

from tests.oracle.loopback import HOUR_MS, START_MS, Client, session


def client_at(hours, opens=(100.0, 101.0, None, 103.0, 104.0), **options):
    client = Client(session({"binance:BTC/USDT": opens}, **options))
    client.move(hours)
    return client


def klines(client, **parameters):
    return client.ask("/api/v3/klines", symbol="BTCUSDT", interval="1h", **parameters).body


def opened(rows):
    return [(row[0] - START_MS) // HOUR_MS for row in rows]


def test_the_bar_that_contains_now_is_unfinished_and_the_ones_before_are_as_stored():
    rows = klines(client_at(1.5))
    assert rows[0][:7] == [
        START_MS, "100.00000000", "101.00000000", "99.00000000", "100.49999999999999", "10.00000000",
        START_MS + HOUR_MS - 1,
    ]  # fmt: skip
    assert rows[1][1:6] == ["101.00000000"] * 4 + ["0.00000000"]
    assert len(rows) == 2


def test_prices_read_back_to_the_bit():
    prices = [0.1 + 0.2, 1e-7 / 3, 12345.678901234567]
    for price in prices:
        row = klines(client_at(1.0, opens=(price, price)))[0]
        assert float(row[1]) == price


def test_a_missing_bar_is_missing():
    assert opened(klines(client_at(4))) == [0, 1, 3, 4]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, [0, 1, 3, 4]),
        ({"limit": 2}, [3, 4]),
        ({"startTime": START_MS + 1}, [1, 3, 4]),
        ({"startTime": START_MS, "limit": 2}, [0, 1]),
        ({"endTime": START_MS + 3 * HOUR_MS}, [0, 1, 3]),
        ({"endTime": START_MS + 3 * HOUR_MS - 1, "limit": 1}, [1]),
        ({"startTime": START_MS + HOUR_MS, "endTime": START_MS + 3 * HOUR_MS}, [1, 3]),
        ({"startTime": START_MS + 5 * HOUR_MS}, []),
    ],
)
def test_pages_are_binances(parameters, expected):
    assert opened(klines(client_at(4), **parameters)) == expected


def test_the_future_is_never_shown():
    assert opened(klines(client_at(1), endTime=START_MS + 10 * HOUR_MS)) == [0, 1]


def test_a_page_holds_at_most_a_thousand_bars():
    client = client_at(1_200, opens=[100.0] * 1_201)
    assert len(klines(client, limit=1_500)) == 1_000
    assert len(klines(client)) == 500


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"symbol": "NOPE", "interval": "1h"}, -1121),
        ({"symbol": "BTCUSDT", "interval": "4h"}, -1120),
        ({"symbol": "BTCUSDT"}, -1102),
        ({"interval": "1h"}, -1102),
        ({"symbol": "BTCUSDT", "interval": "1h", "limit": 0}, -1130),
        ({"symbol": "BTCUSDT", "interval": "1h", "startTime": "soon"}, -1100),
    ],
)
def test_bad_questions_get_binances_codes(parameters, code):
    answer = client_at(1).ask("/api/v3/klines", **parameters)
    assert (answer.status, answer.body["code"]) == (400, code)


def test_a_symbol_trades_inside_received_bars_only():
    client = client_at(0)
    statuses = []
    for _ in range(6):
        statuses.append(client.ask("/api/v3/exchangeInfo").body["symbols"][0]["status"])
        client.move(1)
    assert statuses == ["TRADING", "TRADING", "BREAK", "TRADING", "TRADING", "BREAK"]
    client.move(-10)
    assert client.ask("/api/v3/exchangeInfo").body["symbols"][0]["status"] == "PRE_TRADING"


def test_the_price_is_the_open_of_the_bar_and_in_a_gap_the_last_close():
    client = client_at(1.99)
    ticker = client.ask("/api/v3/ticker/24hr", symbol="BTCUSDT").body
    assert (ticker["lastPrice"], ticker["bidPrice"], ticker["askPrice"]) == ("101.00000000",) * 3
    client.move(0.5)
    ticker = client.ask("/api/v3/ticker/24hr", symbol="BTCUSDT").body
    assert float(ticker["lastPrice"]) == 101.0 * 1.005
    assert (ticker["bidPrice"], ticker["askQty"]) == ("0.00000000", "0.00000000")


def test_the_day_ticker_counts_complete_bars_and_the_present_price():
    ticker = client_at(4).ask("/api/v3/ticker/24hr", symbol="BTCUSDT").body
    assert float(ticker["volume"]) == 30.0
    assert (float(ticker["openPrice"]), float(ticker["lastPrice"])) == (100.0, 104.0)
    assert (float(ticker["highPrice"]), float(ticker["lowPrice"])) == (103.0 * 1.01, 99.0)


def test_half_the_spread_lies_on_each_side_rounded_away_from_the_trader():
    client = client_at(0, spread_bps="25", levels=2, level_bps="10", level_quantity="3")
    book = client.ask("/api/v3/depth", symbol="BTCUSDT").body
    assert book["asks"] == [["100.13000000", "3.00000000"], ["100.23000000", "3.00000000"]]
    assert book["bids"] == [["99.87000000", "3.00000000"], ["99.77000000", "3.00000000"]]


def test_tickers_answer_one_some_or_all():
    client = Client(session({"binance:BTC/USDT": [100.0], "binance:ETH/USDT": [10.0]}))
    path = "/api/v3/ticker/price"
    assert client.ask(path, symbol="ETHUSDT").body == {"symbol": "ETHUSDT", "price": "10.00000000"}
    assert [each["symbol"] for each in client.ask(path).body] == ["BTCUSDT", "ETHUSDT"]
    assert [each["symbol"] for each in client.ask(path, symbols='["ETHUSDT"]').body] == ["ETHUSDT"]
    assert client.ask(path, symbols='["NOPE"]').body["code"] == -1121
    assert client.ask(path, symbols="not json").body["code"] == -1100


def test_a_price_of_zero_or_nan_was_received_but_nobody_trades_at_it():
    for bad in (0.0, float("nan")):
        client = client_at(1, opens=(100.0, bad))
        assert client.ask("/api/v3/exchangeInfo").body["symbols"][0]["status"] == "BREAK"
        assert klines(client)[1][1] in {"0.00000000", "NaN"}


def test_an_unknown_path_is_a_404():
    assert client_at(0).ask("/api/v3/nothing").status == 404


def test_the_weight_used_is_counted_per_minute_of_exchange_time():
    client = client_at(0)
    client.ask("/api/v3/exchangeInfo")
    assert client.ask("/api/v3/ping").headers["X-MBX-USED-WEIGHT-1M"] == "21"
    client.move(1 / 60)
    assert client.ask("/api/v3/ping").headers["X-MBX-USED-WEIGHT-1M"] == "1"


def test_limits_answer_429_with_retry_after_when_enforced():
    client = client_at(0, enforce_limits=True, weight_limit=20)
    assert client.ask("/api/v3/exchangeInfo").status == 200
    answer = client.ask("/api/v3/ping")
    assert (answer.status, answer.body["code"], answer.headers["Retry-After"]) == (429, -1003, "60")
    client.move(1 / 60)
    assert client.ask("/api/v3/ping").status == 200
