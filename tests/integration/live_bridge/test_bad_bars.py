"""Spoiled, stale and open bars: decided on complete good ones only, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lab.core.errors import MnemoError
from lab.data import demo
from live_bridge.loopback.faults import KLINE_FAULTS
from live_bridge.runner import run
from tests.oracle.bridge_harness import control
from tests.oracle.loopback_server import loopback

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("live_bridge")]

CLOSE = datetime(2018, 6, 1, tzinfo=UTC)
INSTANCE = """
family: time_series_momentum
strategy_id: trend
version: 1.0.0
mode: paper
timeframe: 1d
markets: [{exchange: bitstamp, symbol: BTC/USD}, {exchange: bitstamp, symbol: ETH/USD}]
parameters: {lookback_window: 60, vol_window: 20}
"""
PORTFOLIO = """
portfolio_id: pair
reference_currency: USD
capital: 10000
instances: [{config: trend.yaml, allocation: 1.0}]
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    store = tmp_path_factory.mktemp("bars")
    demo.install(store)
    with loopback(store, "--exchange", "bitstamp", "--at", CLOSE.isoformat()) as address:
        yield address


@pytest.fixture
def config(tmp_path: Path, url: str) -> Path:
    control(url, "fault", clear=True)
    for name, text in (
        ("trend", INSTANCE),
        ("pair", PORTFOLIO),
        (
            "bridge",
            f'exchange: {{id: binance, base_url: "{url}"}}\nportfolio: pair.yaml\n'
            'market_map: {"bitstamp:BTC/USD": BTC/USD, "bitstamp:ETH/USD": ETH/USD}\n',
        ),
    ):
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path / "bridge.yaml"


def tick(config: Path, url: str, at: datetime) -> tuple[dict[str, Any], int]:
    """Run a tick; a tick that refused is an empty document and its exit code."""
    control(url, "clock", at=at.isoformat())
    try:
        return run(config, root=config.parent, local_now=lambda: at)
    except MnemoError as error:
        return {}, error.exit_code


def weights(document: dict[str, Any]) -> dict[str, str | None]:
    return {entry["symbol"]: entry["weight_hex"] for entry in document.get("decisions", ())}


def _bars(document: dict[str, Any], symbol: str) -> int:
    return next((e["inputs"]["bars"] for e in document.get("decisions", ()) if e["symbol"] == symbol), 0)


@pytest.mark.parametrize(
    ("seconds", "bar"),
    [(-1, "2018-05-30"), (0, "2018-05-31"), (1, "2018-05-31"), (86_399, "2018-05-31")],
    ids=["a second before the close", "at the close", "a second after", "a second before the next"],
)
def test_a_bar_is_used_from_its_close_on(config: Path, url: str, seconds: int, bar: str) -> None:
    document, code = tick(config, url, CLOSE + timedelta(seconds=seconds))
    assert code == 0
    assert document["bar"] == f"{bar}T00:00:00Z"
    assert {entry["inputs"]["end"] for entry in document["decisions"]} == {
        (datetime.fromisoformat(f"{bar}T00:00:00+00:00") + timedelta(days=1)).isoformat()
    }


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("kind", KLINE_FAULTS)
def test_spoiled_bars_lead_to_the_clean_decision_or_to_none(
    config: Path, url: str, kind: str, count: int, tally: Callable[..., None]
) -> None:
    at = CLOSE + timedelta(seconds=1)
    clean, _ = tick(config, url, at)
    assert clean["orders"], "otherwise nothing could go wrong"
    root = config.parent / "second"
    root.mkdir()
    fault = {"kind": "klines", "klines": kind, "count": count, "path": "/api/v3/klines", "symbol": "BTCUSD"}
    control(url, "fault", clear=True, faults=[fault])
    control(url, "clock", at=at.isoformat())
    try:
        spoiled, code = run(config, root=root, local_now=lambda: at)
    except MnemoError as error:
        spoiled, code = {}, error.exit_code
    told = [*spoiled.get("reasons", ()), *(i["code"] for i in spoiled.get("incidents", ()))]
    decided = weights(spoiled) if spoiled.get("acted") else {}
    same = decided == weights(clean)
    # NaN keeps the quantity: the spoiled market alone, or all where a first bar is missing.
    kept = decided.get("BTC/USD", None) is None
    quality = [reason for entry in spoiled.get("decisions", ()) for reason in entry["reasons"]]
    # A bar the exchange does not have is a hole, with which the lab decides too; the record says so.
    hole = kind == "missing" and _bars(spoiled, "BTC/USD") < _bars(clean, "BTC/USD")
    fine = same or hole or (kept and (code in {3, 4} or told or quality))
    tally("spoiled klines", cases=1, failed=int(not fine), seed="none", kind=f"{kind} {count}")
    assert fine, (code, decided, weights(clean), told)
    if not (same or hole):
        assert not [order for order in spoiled.get("orders", ()) if order["symbol"] == "BTC/USD"]


def test_a_stale_feed_is_waited_for_and_never_decided_on(config: Path, url: str) -> None:
    at = CLOSE + timedelta(seconds=1)
    fault = {"kind": "klines", "klines": "stale", "count": 2, "path": "/api/v3/klines"}
    control(url, "fault", clear=True, faults=[fault])
    document, code = tick(config, url, at)
    assert not document.get("acted")
    assert code in {0, 3}
    control(url, "fault", clear=True)
    document, code = tick(config, url, at + timedelta(minutes=1))
    assert (document["acted"], code, document["bar"]) == (True, 0, "2018-05-31T00:00:00Z")


def test_the_same_bar_fifty_times_is_one_decision(config: Path, url: str, tally: Callable[..., None]) -> None:
    acted = [tick(config, url, CLOSE + timedelta(minutes=minute))[0]["acted"] for minute in range(50)]
    tally("the same bar", cases=50, failed=int(sum(acted) != 1), seed="none", decisions=sum(acted))
    assert acted == [True] + [False] * 49
