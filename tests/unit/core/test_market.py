from __future__ import annotations

import pytest

from lab.core.errors import ConfigError
from lab.core.market import Market


@pytest.mark.parametrize(
    ("name", "parts", "derivative"),
    [
        ("binance:BTC/USDT", ("binance", "BTC", "USDT", None), False),
        ("okx:BTC/USDT:USDT", ("okx", "BTC", "USDT", "USDT"), True),
        ("okx:BTC/USD:BTC-240628", ("okx", "BTC", "USD", "BTC-240628"), True),
        ("coinbase-pro:1INCH/EUR", ("coinbase-pro", "1INCH", "EUR", None), False),
    ],
)
def test_names_are_read_and_written_back(name, parts, derivative):
    market = Market.parse(name)
    assert (market.exchange, market.base, market.quote, market.settle) == parts
    assert str(market) == name
    assert market.is_derivative is derivative
    assert market.symbol == name.partition(":")[2]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "BTC/USDT",
        "binance:BTC",
        "binance:BTC-USDT",
        "binance:BTC/USDT:",
        "../binance:BTC/USDT",
        "binance:../BTC/USDT",
        "binance:BTC/../../x",
        "binance:<script>/USDT",
        "binance:BTC/USDT\n",
        "binance:BTC/US'DT",
        'binance:B"TC/USDT',
        "Binance:BTC/USDT",
        "binance:BTC/USDT:USDT:USDT",
        f"binance:{'B' * 40}/USDT",
    ],
)
def test_anything_else_is_refused(name):
    with pytest.raises(ConfigError, match="expected exchange:BASE/QUOTE"):
        Market.parse(name)
