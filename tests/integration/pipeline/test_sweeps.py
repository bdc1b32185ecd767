"""A sweep over stored bars: counted, planned, and whole after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.backtest import run_backtest
from lab.cli.sweeping import parse_axis
from lab.core.errors import ConfigError
from lab.data.demo import install
from lab.pipeline.inputs import load_inputs
from lab.pipeline.sweeps import BLOCK, sweep
from lab.search import Ledger

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("sweeps")]

CONFIG = """
family: time_series_momentum
strategy_id: sweep_test_v1
version: 1.0.0
mode: backtest
timeframe: 1d
markets: [{exchange: bitstamp, symbol: BTC/USD}]
parameters: {vol_window: 30}
risk: {max_position_pct: 0.8}
costs: {preset: base}
"""
GRID = {"lookback_window": [10, 20, 30, 40, 50], "threshold": [k / 1_000 for k in range(1_300)]}
COMMAND = "lookback_window=10:50:10", "threshold=0:1.299:0.001"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "sweep.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def whole(config: Path, tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("whole")
    install(root)
    return root, sweep(config, GRID, root=root, workers=2)


def blocks(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("block-*.parquet"))}


def test_rows_are_backtests_and_every_set_is_counted(config: Path, whole) -> None:
    root, run = whole
    inputs = load_inputs(config, root=root)
    table = run.frame().collect()
    assert table.height == run.document["sets"] == 6_500
    assert run.document["n_trials_ledger"] == 6_500
    assert run.document["features"] == 6
    for row in (table.row(0, named=True), table.row(4_321, named=True)):
        parameters = {name: row[name] for name in (*GRID, "vol_window")}
        instance = inputs.instance.with_params(parameters)
        result = run_backtest(
            inputs.panel, instance.decide(inputs.panel), costs=instance.costs, risk=instance.risk
        )
        assert row["total_return"] == result.metrics["total_return"]
    assert 0 < run.plan.memory_mb < 100
    assert run.plan.seconds > 0


def test_run_again_it_counts_and_computes_nothing(config: Path, whole) -> None:
    root, run = whole
    before = blocks(run.folder)
    again = sweep(config, GRID, root=root, workers=1)
    assert again.document["sets_run"] == 0
    assert again.document["n_trials_ledger"] == 6_500
    assert blocks(again.folder) == before
    assert len(before) == -(-6_500 // BLOCK)


def test_killed_half_way_it_ends_in_the_same_bytes(config: Path, whole, tmp_path: Path) -> None:
    install(tmp_path)
    command = [
        sys.executable,
        "-m",
        "lab.cli",
        "sweep",
        str(config),
        "--root",
        str(tmp_path),
        "--workers",
        "1",
        "--json",
    ]
    for axis in COMMAND:
        command += ["--grid", axis]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while child.poll() is None and not list(tmp_path.glob("data/sweeps/*/block-000000.parquet")):
        time.sleep(0.005)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    (folder,) = tmp_path.glob("data/sweeps/*")
    kept = blocks(folder)
    assert 1 <= len(kept) < 4
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    document = json.loads(done.stdout)
    assert document["sets_run"] == 6_500 - BLOCK * len(kept)
    assert document["n_trials_ledger"] == 6_500
    assert blocks(folder) == blocks(whole[1].folder)
    assert Ledger(tmp_path).verify().trials >= 6_500


@pytest.mark.parametrize(
    "text",
    [
        *("window", "window=", "window=10:5:1", "window=1:2:0", "window=1:2", "w=a,b"),
        *("w=nan", "w=1,inf", "w=1:inf:1", "w=0:1e308:1e-308"),
    ],
)
def test_an_axis_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not understood"):
        parse_axis(text)


@pytest.mark.parametrize("text", ["w=0:1000000000:1", "w=1:1e308:1", "w=20:180:1e-9"])
def test_an_axis_that_no_memory_holds_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="at most 1,000,000"):
        parse_axis(text)
