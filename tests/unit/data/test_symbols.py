from __future__ import annotations

import pytest

from lab.core.errors import DataError
from lab.data.symbols import market_name, market_names


@pytest.mark.parametrize(
    ("symbol", "exchange", "quote", "name"),
    [
        ("BTC/USDT", "binance", None, "binance:BTC/USDT"),
        ("binance:BTC/USDT", "binance", None, "binance:BTC/USDT"),
        ("okx:BTC/USDT:USDT", None, None, "okx:BTC/USDT:USDT"),
        ("BTC/USDT:USDT", "okx", "USD", "okx:BTC/USDT:USDT"),
        ("bitfinex:BTC", None, "USD", "bitfinex:BTC/USD"),
        ("BTC", "kraken", "EUR", "kraken:BTC/EUR"),
    ],
)
def test_symbols_become_market_names(symbol, exchange, quote, name):
    assert market_name(symbol, exchange=exchange, quote=quote) == name


@pytest.mark.parametrize(
    ("symbol", "exchange", "quote", "message"),
    [
        ("bitfinex:BTC", None, None, "no quote currency"),
        ("BTCUSDT", "binance", None, "no quote currency"),
        ("BTC/USDT", None, None, "names no exchange"),
        ("okx:BTC/USDT", "binance", None, "names the exchange okx, not binance"),
        ("BTC-PERP", "ftx", "USD", "names a derivative"),
        ("../../etc/passwd", "binance", None, "makes no market name"),
        ("<script>alert(1)</script>", "binance", None, "makes no market name"),
        ("BTC/US'DT", "binance", None, "makes no market name"),
        ("", "binance", "USD", "makes no market name"),
    ],
)
def test_what_makes_no_name_is_refused_by_name(symbol, exchange, quote, message):
    with pytest.raises(DataError, match=message) as caught:
        market_name(symbol, exchange=exchange, quote=quote)
    assert repr(symbol) in str(caught.value)


def test_every_refused_symbol_of_a_file_is_named():
    with pytest.raises(DataError, match=r"'BTC' has no quote.*\(2 more refused: 'ETH', 'LTC'\)"):
        market_names(["BTC", "ETH", "LTC", "BTC/USD"], exchange="x")
