"""A machine in trouble: no order without a durable row, a clean end, and recovery by the next tick."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.oracle.bridge_harness import KEYS

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("live_bridge")]

INSTANCE = """
family: time_series_momentum
strategy_id: trend
version: 1.0.0
mode: live
timeframe: 1d
markets: [{exchange: binance, symbol: BTC/USDT}]
parameters: {lookback_window: 60, vol_window: 20}
"""
PORTFOLIO = """
portfolio_id: one
reference_currency: USDT
capital: 10000
instances: [{config: trend.yaml, allocation: 1.0}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "trend.yaml").write_text(INSTANCE)
    (tmp_path / "one.yaml").write_text(PORTFOLIO)
    return tmp_path


def run(folder: Path, url: str, *more: str) -> tuple[int, str, float]:
    (folder / "bridge.yaml").write_text(
        f'exchange: {{id: binance, base_url: "{url}"}}\nportfolio: one.yaml\nmode: live\n'
    )
    command = [sys.executable, "-m", "live_bridge", "run", "--live", "--new-account"]
    command += ["--config", str(folder / "bridge.yaml"), "--root", str(folder), *more]
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, env={**KEYS, "PATH": ""}, check=False)
    return done.returncode, done.stderr, time.monotonic() - started


def test_a_name_that_does_not_resolve_is_an_exchange_that_cannot_be_reached(folder: Path) -> None:
    code, error, _ = run(folder, "https://exchange.invalid")
    assert code == 4
    assert "Traceback" not in error
    assert not (folder / "data/live/main.sqlite").exists()


@pytest.mark.slow
def test_a_black_hole_ends_within_the_deadline(folder: Path) -> None:
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        # Connections are accepted by the system, and nobody ever answers.
        hole.listen(8)
        code, error, seconds = run(folder, f"http://127.0.0.1:{hole.getsockname()[1]}")
    assert code == 4
    assert "Traceback" not in error
    # One request's time-out is ten seconds; asking the time is tried a few times, and imports take theirs.
    assert seconds < 120
    assert not (folder / "data/live/main.sqlite").exists()
