"""Run a live bridge for 720 bars, each tick a process of its own, and see that nothing but the record grows.

    python -m tests.survival.soak [--cases 720] [--rate 0.03] [--seed 7]

A case is a bar: a tick, and two more after one that ended with an error, while requests fail. Largest
resident memory and open files of the processes that decided, and how far the journal grew with each bar,
are compared: the last third against the first. The first bar, which brings the history, is left out.
Prints cases, failed and seed.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.oracle.bridge_faults import faults_of
from tests.oracle.bridge_process import Act
from tests.survival.chaos import CODES, history
from tests.survival.stage import Show, Stage, command, options_of

__all__ = ["SHOW"]

# All three markets have the bars that are needed, from here to the end of the bundled ones.
START = datetime(2018, 1, 26, 0, 0, 1, tzinfo=UTC)
LEADER = "{lookback_window: 60}"
# What counts as flat: last third over first.
FLAT = {"memory": 1.05, "handles": 1.0, "journal_per_bar": 1.2, "journal_per_event": 1.2}
UNITS = {
    "memory": "KiB, largest resident",
    "handles": "files",
    "journal_per_bar": "bytes",
    "journal_per_event": "bytes",
}


def with_handles(act: Act) -> Act:
    """Return `act` with the process's open files in its document."""

    def run() -> tuple[dict[str, Any], int]:
        document, code = act()
        handles = sum(1 for _ in Path("/proc/self/fd").iterdir())
        return {**document, "handles": handles}, code

    return run


def thirds(values: Sequence[float]) -> tuple[float, float]:
    """Return the medians of the first and of the last third: one socket more in one tick is no growth."""
    third = max(len(values) // 3, 1)
    return statistics.median(values[:third]), statistics.median(values[-third:])


def growth(series: dict[str, Sequence[float]]) -> dict[str, Any]:
    """Return each series' first and last third, and the names of those that are not flat."""
    pairs = {name: thirds(values) for name, values in series.items()}
    grown = {name for name, (first, last) in pairs.items() if last > FLAT[name] * first}
    # A bar with more orders has more events, and one with fewer shares its bars among fewer of them.
    journal = {"journal_per_bar", "journal_per_event"}
    return {
        "first_and_last_third": {name: [round(value, 1) for value in pair] for name, pair in pairs.items()},
        "units": UNITS,
        "not_flat": sorted(grown if grown >= journal else grown - journal),
    }


def _extent(journal: Path) -> tuple[int, int]:
    """Return the size of the journal in bytes, and how many events it holds."""
    if not journal.exists():
        return 0, 0
    with sqlite3.connect(journal) as raw:
        count = raw.execute("SELECT max(number) FROM events").fetchone()[0]
    raw.close()
    return journal.stat().st_size, int(count or 0)


def play(stage: Stage, options: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    """Yield each bar and what is wrong at it."""
    root, codes = stage.fresh(), Counter[int]()
    journal = root / "data/live/main.sqlite"
    acted, size, events = 0, 0, 0
    series: dict[str, list[float]] = {name: [] for name in FLAT}
    course = history(
        stage, root, stage.run, bars=options.cases, rate=options.rate, seed=options.seed,
        act=with_handles(stage.tick(root)),
    )  # fmt: skip
    for bar, ended in enumerate(course):
        codes.update(one.code for one in ended)
        wrong = [f"exit code {one.code}: {one.error}" for one in ended if one.code not in CODES]
        deciding = [one for one in ended if one.document.get("acted")]
        acted += bool(deciding)
        grown, written = _extent(journal)
        if bar and deciding:
            series["memory"].append(max(one.memory for one in deciding))
            series["handles"].append(deciding[-1].document["handles"])
            series["journal_per_bar"].append(grown - size)
            series["journal_per_event"].append((grown - size) / (written - events))
        size, events = grown, written
        if bar < options.cases:
            yield f"bar {bar}", wrong
    stage.facts |= {
        "ticks": codes.total(),
        "exit_codes": {str(code): count for code, count in codes.items()},
        "bars_decided": acted,
        "orders": len(stage.state()["order_posts"]),
        "journal_kib": size // 1024,
        **growth(series),
    }
    left = [f"exit code {ended[-1].code}: {ended[-1].error}"] if ended[-1].code else []
    left = left or faults_of(stage.url, root, None)
    yield "the end", left + [f"{name} is not flat" for name in stage.facts["not_flat"]]


def parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    made = options_of("tests.survival.soak", __doc__, cases=720)
    made.add_argument("--rate", type=float, default=0.03, help="share of requests that fail")
    return made


SHOW = Show(
    lambda options: f"bars of a soak with {options.rate:.0%} of requests failing, and their end",
    play,
    parser,
    {"start": START, "leader": LEADER},
)

if __name__ == "__main__":
    sys.exit(command(SHOW))
