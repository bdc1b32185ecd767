"""Market data behind CCXT's class: rules, prices and times are understood, or refused."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from lab.core.errors import ConfigError, VenueError
from live_bridge.ccxt_exchange import CcxtExchange, client_of
from live_bridge.config import ExchangeConfig
from live_bridge.keys import Keys

D = Decimal
BTC = "BTC/USDT"


class Client:
    """CCXT's class as far as it is asked here."""

    id = "binance"

    def __init__(self, **answers: Any) -> None:
        self.__dict__.update({name: lambda *_, found=found: found for name, found in answers.items()})


def test_the_bridges_own_options_win_over_a_files() -> None:
    config = ExchangeConfig(id="binance", options={"maxRetriesOnFailure": 3, "recvWindow": 60_000, "own": 1})
    client = client_of(config, recv_window_ms=4_000, keys=Keys("key", "secret"))
    assert (client.options["maxRetriesOnFailure"], client.options["recvWindow"]) == (0, 4_000)
    assert (client.options["own"], client.apiKey, client.secret) == (1, "key", "secret")


def listed(**market: Any) -> CcxtExchange:
    client = Client()
    client.precisionMode = 4
    client.markets = {BTC: {"symbol": BTC, "base": "BTC", "quote": "USDT", **market}}
    return CcxtExchange(client)


def test_rules_are_read_in_either_spelling_of_precision() -> None:
    limits = {
        "amount": {"min": 0.001, "max": 90.0},
        "market": {"min": 0.002, "max": 40.0},
        "cost": {"min": 5.0},
    }
    exchange = listed(precision={"amount": 0.0001, "price": 0.01}, limits=limits)
    rules = exchange.rules([BTC])[BTC]
    assert (rules.step, rules.tick) == (D("0.0001"), D("0.01"))
    assert (rules.min_quantity, rules.max_quantity, rules.min_notional) == (D("0.002"), D("40.0"), D("5.0"))
    assert rules.active
    places = listed(precision={"amount": 4, "price": None}, active=False)
    places._client.precisionMode = 2
    rules = places.rules([BTC])[BTC]
    assert (rules.step, rules.tick, rules.active) == (D("0.0001"), D(0), False)
    assert (rules.min_quantity, rules.max_quantity) == (D(0), None)


def test_a_market_that_is_not_listed_is_named_with_its_neighbours() -> None:
    with pytest.raises(ConfigError, match="does not list BTC/USD; nearest: BTC/USDT"):
        listed().rules(["BTC/USD"])
    with pytest.raises(ConfigError, match=r"does not list XYZ\. Correct the market"):
        listed().rules(["XYZ"])


@pytest.mark.parametrize("stamp", [None, 0, -5, "now", 1.5], ids=str)
def test_a_time_that_is_none_is_refused(stamp: Any) -> None:
    with pytest.raises(VenueError, match="expected milliseconds since 1970"):
        CcxtExchange(Client(fetch_time=stamp)).now()


def test_prices_come_from_whichever_list_the_exchange_has() -> None:
    eth = "ETH/USDT"
    for listing, method, key in (
        ({"fetchLastPrices": True}, "fetch_last_prices", "price"),
        ({}, "fetch_tickers", "last"),
    ):
        client = Client(**{method: {BTC: {key: 101.25}, eth: {key: None}, "LTC/USDT": {key: 0.0}}})
        client.has = SimpleNamespace(get=listing.get)
        assert CcxtExchange(client).prices([BTC, eth, "LTC/USDT", "XRP/USDT"]) == {BTC: D("101.25")}
