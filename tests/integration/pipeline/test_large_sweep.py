"""A hundred thousand parameter sets on recorded bars: planned, killed half-way, ended in the same bytes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CONFIG = Path(__file__).parents[3] / "research" / "strategies" / "binance_tsm_33_1d.yaml"
AXES = (
    "lookback_window=5:200:5",
    "vol_window=10:60:10",
    "threshold=0:0.205:0.005",
    "target_volatility=0.2:1.1:0.1",
)
SETS = 40 * 6 * 42 * 10


def mnemo(*arguments: str, root: Path) -> list[str]:
    return [sys.executable, "-m", "lab.cli", *arguments, "--root", str(root)]


def sweep(root: Path) -> list[str]:
    axes = [part for axis in AXES for part in ("--grid", axis)]
    return mnemo("sweep", str(CONFIG), *axes, "--json", root=root)


def rooted(root: Path, bars: Path) -> Path:
    command = mnemo("data", "import", str(bars), "--exchange", "binance", "--timeframe", "1d", root=root)
    subprocess.run(command, capture_output=True, check=True)
    return root


def blocks(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(root.glob("data/sweeps/*/block-*.parquet"))}


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.integration
@pytest.mark.timeout(7_200)
def test_100_800_sets_killed_half_way_end_in_the_same_bytes(real_data: Path, tmp_path: Path) -> None:
    bars = real_data / "binance_spot_1d.parquet"
    whole, killed = rooted(tmp_path / "whole", bars), rooted(tmp_path / "killed", bars)
    document = json.loads(subprocess.run(sweep(whole), capture_output=True, text=True, check=True).stdout)
    assert document["sets_run"] == document["n_trials_ledger"] == SETS

    child = subprocess.Popen(sweep(killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while child.poll() is None and len(blocks(killed)) < len(blocks(whole)) // 2:
        time.sleep(0.2)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    kept = len(blocks(killed))
    assert kept < len(blocks(whole))
    resumed = json.loads(subprocess.run(sweep(killed), capture_output=True, text=True, check=True).stdout)
    assert resumed["n_trials_ledger"] == SETS
    assert blocks(killed) == blocks(whole)
    errors = {name: f"{error:+.1%}" for name, error in document["plan_error"].items()}
    print(
        f"\n{SETS:,} sets: {document['seconds']:.0f} s, {document['processor_seconds']:.0f} s of processors, "
        f"peak {document['peak_rss_mb']:.0f} MB, plan off by {errors}; killed after {kept} of "
        f"{len(blocks(whole))} blocks, resumed to the same bytes"
    )
