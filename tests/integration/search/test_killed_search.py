"""A search killed with SIGKILL at random moments, taken up by another process, ends in the same bytes."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.data.demo import install
from lab.search import Ledger
from lab.search.checkpoint import code_identity
from lab.strategies import load
from lab.tracking import Tracker
from tests.oracle.killed_search import RESULT, found_in, search

pytestmark = pytest.mark.integration

WORKERS = (1, 2, 4)
SEED = 11


def processes():
    # Children start from a process that has imported everything and done nothing.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.oracle.killed_search"])
    return context


def killed_or_finished(root, sampler, workers, delay):
    """Start a search, kill it `delay` seconds after its first batch; return whether it was killed."""
    context = processes()
    told = context.Event()
    child = context.Process(target=search, args=(root, sampler, workers, told))
    child.start()
    told.wait(120)
    child.join(delay)
    if child.is_alive():
        os.kill(child.pid, signal.SIGKILL)
    child.join(60)
    assert child.exitcode in {0, -signal.SIGKILL}
    return child.exitcode != 0


def whole(root, sampler):
    """Return what an undisturbed search finds, and the seconds that it takes after its first batch."""
    root.mkdir()
    context = processes()
    told = context.Event()
    child = context.Process(target=search, args=(root, sampler, 1, told))
    child.start()
    assert told.wait(120)
    began = time.monotonic()
    child.join(120)
    assert child.exitcode == 0
    return found_in(root), time.monotonic() - began


def test_killed_at_random_moments_it_ends_in_the_same_bytes(tmp_path, tally):
    expected, seconds = whole(tmp_path / "whole", "tpe")
    draw = random.Random(SEED)
    root, kills = tmp_path / "killed", 0
    root.mkdir()
    for run in range(4):
        kills += killed_or_finished(root, "tpe", WORKERS[run % 3], draw.uniform(0, 0.3) * seconds)
    if not (root / RESULT).exists():
        assert not killed_or_finished(root, "tpe", 1, 120)
    failed = int(found_in(root) != expected)
    tally("search killed -9", cases=kills, failed=failed, seed=SEED, workers="1, 2, 4")
    assert kills > 0
    assert failed == 0


CONFIG = """
family: time_series_momentum
strategy_id: killed_v1
version: 1.0.0
timeframe: 1d
markets: [{exchange: bitstamp, symbol: BTC/USD}]
parameters: {vol_window: 30}
risk: {max_position_pct: 0.8}
search: {trials: 150, sampler: tpe, train_bars: 365, test_bars: 180, purged_bars: 1}
"""
VARYING = ("run_id", "seconds", "tracking_seconds", "peak_rss_mb")


def command(config, root, workers):
    return [
        sys.executable, "-m", "lab.cli", "tune", str(config), "--root", str(root), "--seed", "5",
        "--workers", str(workers), "--log-trials", "1", "--json",
    ]  # fmt: skip


def tuned(config, root, workers):
    """Run ``mnemo tune`` to its end; return its document and its tables and ledger as bytes."""
    done = subprocess.run(command(config, root, workers), capture_output=True, text=True, check=True)
    document = json.loads(done.stdout)
    artifacts = Tracker(root).load_run(document["run_id"]).artifacts
    tables = {name: path.read_bytes() for name, path in artifacts.items() if name.endswith(".parquet")}
    kept = {name: value for name, value in document.items() if name not in VARYING}
    return kept, tables, Ledger(root).path.read_bytes(), document["seconds"]


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_mnemo_tune_killed_twenty_times(tmp_path: Path, tally):
    config = tmp_path / "killed.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    prepared = tmp_path / "prepared"
    install(prepared)
    Tracker(prepared).prepare()
    began = time.monotonic()
    shutil.copytree(prepared, tmp_path / "whole")
    code = code_identity(load(config))
    *expected, seconds = tuned(config, tmp_path / "whole", 1)
    starting = time.monotonic() - began - seconds
    draw = random.Random(SEED)
    kills, failed, chains = 0, 0, 0
    while kills < 20:
        root = tmp_path / f"killed-{chains}"
        shutil.copytree(prepared, root)
        for part in range(4):
            workers = WORKERS[(chains + part) % 3]
            child = subprocess.Popen(
                command(config, root, workers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            try:
                child.wait(starting + draw.uniform(0, 0.5) * seconds)
                break
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                kills += 1
        *found, _ = tuned(config, root, WORKERS[chains % 3])
        failed += found != expected
        chains += 1
        assert code_identity(load(config)) == code, "the sources were edited while this test ran"
    tally("mnemo tune killed -9", cases=kills, failed=failed, seed=SEED, workers="1, 2, 4")
    assert failed == 0
