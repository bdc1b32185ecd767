"""The real command against the loopback exchange, on the bundled bars."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from lab.data import demo
from lab.data.catalog import Catalog
from lab.data.panels import panel_from_bars
from lab.strategies import load_portfolio
from live_bridge.runner import run
from tests.oracle.canaries import KEY, SECRET, Canaries
from tests.oracle.loopback_server import control, loopback

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("live_bridge")]

STRATEGY = """
family: {family}
strategy_id: {name}
version: 1.0.0
mode: paper
timeframe: {timeframe}
markets: [{markets}]
parameters: {parameters}
"""
PORTFOLIO = """
portfolio_id: trio
reference_currency: USD
capital: 10000
instances:
  - {config: trend.yaml, allocation: 0.5}
  - {config: leader.yaml, allocation: 0.5}
"""
FIRST = datetime(2018, 6, 1, 0, 0, 1, tzinfo=UTC)


def market(symbol: str) -> str:
    return f"{{exchange: bitstamp, symbol: {symbol}}}"


def write_configs(folder: Path, url: str) -> Path:
    every = ", ".join(market(symbol) for symbol in ("LTC/USD", "BTC/USD", "ETH/USD"))
    files = {
        "trend": STRATEGY.format(
            family="time_series_momentum",
            name="trend",
            timeframe="1d",
            markets=every,
            parameters="{lookback_window: 60, vol_window: 20}",
        ),
        "leader": STRATEGY.format(
            family="dual_momentum", name="leader", timeframe="1d", markets=every, parameters="{}"
        ),
        "trio": PORTFOLIO,
        "bridge": f"""
exchange: {{id: binance, base_url: "{url}"}}
market_map: {{"bitstamp:BTC/USD": BTC/USD, "bitstamp:ETH/USD": ETH/USD, "bitstamp:LTC/USD": LTC/USD}}
portfolio: trio.yaml
""",
    }
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / "bridge.yaml"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    demo.install(root)
    return root


@pytest.fixture(scope="module")
def url(store: Path) -> Iterator[str]:
    with loopback(store, "--exchange", "bitstamp", "--at", FIRST.isoformat()) as address:
        yield address


@pytest.fixture
def config(tmp_path: Path, url: str) -> Path:
    control(url, "clock", at=FIRST.isoformat())
    return write_configs(tmp_path, url)


def bridge(config: Path, *more: str, **environment: str) -> tuple[int, dict[str, Any], str]:
    command = [
        sys.executable,
        "-m",
        "live_bridge",
        "run",
        "--config",
        str(config),
        "--root",
        str(config.parent),
    ]
    done = subprocess.run(
        [*command, "--json", *more],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


def count(config: Path, what: str) -> int:
    with sqlite3.connect(config.parent / "data/live/main.sqlite") as raw:
        number = int(raw.execute(f"SELECT count(*) FROM {what}").fetchone()[0])
    raw.close()
    return number


def test_decisions_equal_the_labs_on_stored_bars_bit_for_bit(config: Path, store: Path, url: str) -> None:
    portfolio = load_portfolio(config.parent / "trio.yaml")
    catalog, expected = Catalog(store), {}
    for instance in portfolio.instances:
        bars = catalog.bars(list(instance.markets), "1d")
        panel = panel_from_bars(bars, timeframe="1d", markets=instance.markets)
        expected[instance.strategy_id] = (panel, instance.decide(panel))
    decided, ordered = 0, 0
    for day in (0, 1, 2, 7, 293, 308, 309):  # 293: the last bar before a hole of twelve days
        control(url, "clock", at=(FIRST + timedelta(days=day)).isoformat())
        document, code = run(config, root=config.parent)
        assert code == 0
        for decision in document["decisions"]:
            panel, weights = expected[decision["instance"]]
            row = int(np.searchsorted(panel.ts, np.datetime64(decision["bar"].removesuffix("Z"))))
            weight = float(weights[row, panel.markets.index(decision["market"])])
            assert decision["weight_hex"] == (None if np.isnan(weight) else weight.hex())
            decided += not np.isnan(weight)
        ordered += len(document["orders"])
    assert decided > 10
    assert ordered > 3


def test_the_same_bar_twice_is_one_decision_and_keys_in_the_environment_never_show(
    config: Path, url: str
) -> None:
    first = bridge(config)[1]
    control(url, "clock", at=(FIRST + timedelta(hours=20)).isoformat())
    keys = {"MNEMO_BINANCE_API_KEY": KEY, "MNEMO_BINANCE_API_SECRET": SECRET}
    code, again, errors = bridge(config, **keys)
    assert code == 0
    canaries = Canaries()
    canaries.look("output", (json.dumps(again) + errors).encode())
    canaries.look_through([config.parent])
    assert canaries.found == []
    assert (first["acted"], again["acted"]) == (True, False)
    assert again["orders"] == []
    assert again["state"] == first["state"]
    assert (count(config, "decisions"), count(config, "orders")) == (2, len(first["orders"]))


def test_a_held_lock_exits_75_at_once(config: Path) -> None:
    lock = config.parent / "data/live/main.sqlite.lock"
    lock.parent.mkdir(parents=True)
    with FileLock(lock):
        code, document, errors = bridge(config)
    assert (code, document) == (75, {})
    assert "another run holds the lock" in errors
    assert errors.count("\n") == 1


def test_a_bad_configuration_exits_2(config: Path) -> None:
    config.write_text(config.read_text() + "mode: live\n")
    code, _, errors = bridge(config)
    assert code == 2
    assert "mode: live needs --live on the command line too" in errors
    assert not (config.parent / "data/live/main.sqlite").exists()


def test_an_exchange_that_is_down_or_broken_exits_4_and_decides_nothing(config: Path, url: str) -> None:
    control(url, "fault", faults=[{"kind": "status", "status": 503, "path": "/api/v3/klines"}])
    try:
        code, document, errors = bridge(config)
    finally:
        control(url, "fault", clear=True)
    assert (code, document) == (4, {})
    assert errors.startswith("error: binance: ")
    assert errors.count("\n") == 1
    assert count(config, "decisions") == 0
    code, document, _ = bridge(config)
    assert (code, document["acted"]) == (0, True)


def test_too_little_history_exits_3(config: Path, url: str) -> None:
    control(url, "clock", at="2014-12-10T00:00:01+00:00")
    code, document, errors = bridge(config)
    assert code == 3
    lines = errors.splitlines()
    assert [line.split()[1] for line in lines] == ["SHORT_HISTORY", "SHORT_HISTORY"]
    assert "strategy trend: bitstamp:" in lines[0]
    assert "needs" in lines[0]
    assert document["decisions"] == []


KILLER = """
import os, sys
from feature_store.atomic import on_fault_point
left = int(sys.argv.pop(1))
def die(operation, path):
    global left
    left -= operation.startswith("journal")
    if left == 0:
        os._exit(137)
on_fault_point(die)
from live_bridge.cli import main
main()
"""


@pytest.mark.slow
def test_a_killed_process_leaves_a_journal_that_the_next_run_finishes(config: Path) -> None:
    clean = bridge(config)[1]
    # Every third point; the test of the runner dies at each of them, within one process.
    survived, point = False, -1
    while not survived:
        point += 3
        root = config.parent / f"root-{point}"
        arguments = ["run", "--config", str(config), "--root", str(root), "--json"]
        killed = subprocess.run(
            [sys.executable, "-c", KILLER, str(point), *arguments], capture_output=True, check=False
        )
        assert killed.returncode in {0, 137}
        survived = killed.returncode == 0
        code, document, errors = bridge(config, "--root", str(root))
        assert code == 0, errors
        assert document["state"] == clean["state"], f"killed at point {point}"
        with sqlite3.connect(root / "data/live/main.sqlite") as raw:
            assert raw.execute("SELECT count(*) FROM decisions").fetchone() == (2,)
            assert raw.execute("SELECT count(*), count(DISTINCT id) FROM fills").fetchone() == (
                len(clean["orders"]),
                len(clean["orders"]),
            )
        raw.close()
    assert point > 12
