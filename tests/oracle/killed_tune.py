"""``mnemo tune`` as a process that is killed, watched from outside by the files that it changes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from lab.search import Ledger
from lab.tracking import Tracker, search_runs

CONFIG = """
family: time_series_momentum
strategy_id: killed_v1
version: 1.0.0
timeframe: 1d
markets: [{exchange: bitstamp, symbol: BTC/USD}]
parameters: {vol_window: 30}
risk: {max_position_pct: 0.8}
search: {trials: 48, sampler: tpe, train_bars: 365, test_bars: 180, purged_bars: 1}
"""
# What a tune writes while it runs; the bars beside them it only reads.
AREAS = {"progress": "data/tunes", "ledger": "data/ledger", "runs": "mlruns"}
LONGEST = 180.0


@dataclass
class Watched:
    """What was seen of one process.

    `killed` names the area that it had written to last; None if the tune was complete: its run logged and its
    progress removed. `at` holds the seconds of every change up to there, counted from the first.
    """

    killed: str | None = None
    at: list[float] = field(default_factory=list)


def run_watched(config: Path, root: Path, workers: int, *, after: int | None = None, delay: float = 0.0):
    """Run ``mnemo tune``; kill it with SIGKILL `delay` seconds after change number `after` of its files."""
    arguments = [
        sys.executable, "-m", "lab.cli", "tune", str(config), "--root", str(root), "--seed", "5",
        "--workers", str(workers), "--log-trials", "1", "--json",
    ]  # fmt: skip
    child = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        watched = _watch(child, root, after, delay)
    finally:
        child.kill()
        told = child.communicate()[1].decode(errors="replace")
    assert watched.killed or child.returncode in {0, -signal.SIGKILL}, told
    return watched


def _watch(child, root, after, delay):
    watched, seen, deadline = Watched(), _states(root), time.monotonic() + LONGEST
    first = None
    while child.poll() is None:
        assert time.monotonic() < deadline, "the tune neither ended nor wrote what it was to be killed at"
        states, now = _states(root), time.monotonic()
        changed = [area for area in AREAS if states[area] != seen[area]]
        if changed and not (seen["progress"] and not states["progress"]):
            first = now if first is None else first
            watched.at.append(now - first)
            if after is not None and len(watched.at) >= after:
                time.sleep(delay)
                child.kill()
                child.wait()
                watched.killed = None if complete(root) else changed[-1]
                return watched
        elif changed:
            # Complete: the rest is the interpreter's way out.
            child.wait(LONGEST)
        seen = states
        time.sleep(0.003)
    return watched


def complete(root: Path) -> bool:
    """Whether a tune was logged and left no progress behind."""
    finished = search_runs(root, tags={"kind": "tune"}).filter(pl.col("status") == "FINISHED")
    kept = [path for path in (root / AREAS["progress"]).glob("*") if path.suffix != ".removed"]
    return bool(finished.height) and not kept


def _states(root):
    return {area: _state(root / folder) for area, folder in AREAS.items()}


def _state(folder):
    """Names, sizes and times of everything below a folder."""
    found = []
    # What is removed or renamed between two looks is seen at the next one.
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                status = entry.stat()
                found.append((entry.name, status.st_size, status.st_mtime_ns))
                if entry.is_dir():
                    found.append(_state(entry.path))
    return found


def results(root: Path):
    """Every finished tune's document and tables, and the ledger, as bytes."""
    finished = search_runs(root, tags={"kind": "tune"}).filter(pl.col("status") == "FINISHED")
    found = []
    for run_id in finished["run_id"]:
        artifacts = Tracker(root).load_run(run_id).artifacts
        found.append({name: path.read_bytes() for name, path in artifacts.items()})
    return found, Ledger(root).path.read_bytes()
