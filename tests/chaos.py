"""Run a live bridge for long while every request may fail, and look at what it held, grew and lost.

    python -m tests.chaos [--bars 200] [--seeds 20] [--rate 0.1]      many histories, ticks in one process
    python -m tests.chaos --soak [--bars 720] [--rate 0.03]           one, each tick a process of its own

At every bar close there is a tick, and, as cron would have it, two more after one that ended with an error.
At the end the faults stop, clean ticks run, and the journal must be the exchange's account, every id have had
one request at most, and nothing be open. A soak measures memory, open files and the journal's size as well:
the last quarter of the ticks against the first. Prints cases, failed and seed.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.oracle.bridge_faults import faults_of
from tests.oracle.bridge_harness import (
    BALANCES,
    OPTIONS,
    START,
    control,
    exchange_state,
    fresh,
    in_child,
    install_bars,
    tick,
    write_configs,
)
from tests.oracle.loopback_server import loopback

__all__ = ["main"]

Act = Callable[[], tuple[dict[str, Any], int]]

KINDS: tuple[dict[str, Any], ...] = (
    {"kind": "drop", "when": "before"},
    {"kind": "drop", "when": "after"},
    {"kind": "reset", "when": "after"},
    {"kind": "late", "milliseconds": 900},
    {"kind": "late", "milliseconds": 30_000},
    {"kind": "status", "status": 503, "when": "before"},
    {"kind": "status", "status": 504, "when": "after"},
    {"kind": "status", "status": 400, "code": -1007, "when": "after"},
    {"kind": "empty", "when": "after"},
    {"kind": "garbage", "when": "after"},
    {"kind": "truncated", "when": "after"},
    {"kind": "replay"},
)
CODES = {0, 3, 4}
_MORE_TICKS = 2


@dataclass(slots=True)
class Course:
    """What one history did: exit codes, and what each tick's process took."""

    codes: dict[int, int] = field(default_factory=dict)
    memory: list[int] = field(default_factory=list)
    handles: list[int] = field(default_factory=list)
    journal: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def run_history(
    config: Path, url: str, folder: Path, *, bars: int, rate: float, seed: int, processes: bool
) -> Course:
    """Run ticks over `bars` bars under faults, then clean ones; return what happened."""
    course = Course()
    root = fresh(folder / "root", url)
    generator = random.Random(seed)
    one = _measured(tick(config, root))
    for bar in range(bars):
        at = START + timedelta(days=bar)
        for attempt in range(1 + _MORE_TICKS):
            control(url, "clock", at=(at + timedelta(minutes=attempt)).isoformat())
            # Which requests fail is drawn here, so that a seed is a history whatever happened before.
            control(url, "fault", clear=True, faults=_faults(generator, rate))
            document, code, error = _run(one, folder, processes=processes)
            course.codes[code] = course.codes.get(code, 0) + 1
            if code not in CODES:
                course.wrong.append(f"bar {bar}: exit code {code}: {error}")
            if document:
                course.memory.append(document["memory"])
                course.handles.append(document["handles"])
            if code == 0:
                break
        course.journal.append((root / "data/live/main.sqlite").stat().st_size if _journal(root) else 0)
    control(url, "fault", clear=True)
    code, error = 1, ""
    for _ in range(1 + _MORE_TICKS):
        _, code, error = _run(one, folder, processes=processes)
        if code == 0:
            course.wrong += faults_of(url, root, None)
            return course
    course.wrong.append(f"exit code {code} after the faults: {error}")
    return course


def _faults(generator: random.Random, rate: float) -> list[dict[str, Any]]:
    numbers = [number for number in range(1, 60) if generator.random() < rate]
    return [{**generator.choice(KINDS), "path": "*", "nth": number} for number in numbers]


def _journal(root: Path) -> bool:
    return (root / "data/live/main.sqlite").exists()


def _measured(act: Act) -> Act:
    def run() -> tuple[dict[str, Any], int]:
        document, code = act()
        handles = sum(1 for _ in Path("/proc/self/fd").iterdir())
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {"memory": memory, "handles": handles, "tick": document.get("tick")}, code

    return run


def _run(act: Act, folder: Path, *, processes: bool) -> tuple[dict[str, Any], int, str]:
    if processes:
        ended = in_child(act, scratch=folder)
        return ended.document, ended.code, ended.error
    try:
        document, code = act()
    except Exception as error:
        return {}, int(getattr(error, "exit_code", 1)), f"{type(error).__name__}: {error}"
    return document, code, ""


def growth(course: Course) -> dict[str, Any]:
    """Return medians of the first and the last quarter, and what is not flat."""
    size = max(len(course.memory) // 4, 1)
    memory = [statistics.median(part) for part in (course.memory[:size], course.memory[-size:])]
    handles = [statistics.median(part) for part in (course.handles[:size], course.handles[-size:])]
    grown = [later - earlier for earlier, later in zip(course.journal, course.journal[1:], strict=False)]
    quarter = max(len(grown) // 4, 1)
    # The first bar brings the whole history; after it, every bar should cost the same.
    bytes_per_bar = [statistics.mean(part) for part in (grown[1 : quarter + 1], grown[-quarter:])]
    uneven = []
    if memory[1] > 1.05 * memory[0]:
        uneven.append("memory")
    if handles[1] > handles[0]:
        uneven.append("handles")
    if bytes_per_bar[1] > 1.2 * bytes_per_bar[0]:
        uneven.append("journal")
    return {
        "memory_kib": memory,
        "handles": handles,
        "journal_bytes_per_bar": [round(value) for value in bytes_per_bar],
        "not_flat": uneven,
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    made = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    made.add_argument(
        "--soak", action="store_true", help="each tick a process of its own; memory and files too"
    )
    made.add_argument("--bars", type=int, default=200)
    made.add_argument("--seeds", type=int, default=20)
    made.add_argument("--seed", type=int, default=7, help="the first of them")
    made.add_argument("--rate", type=float, default=0.1, help="share of requests that fail")
    options = made.parse_args(arguments)
    seeds = range(options.seed, options.seed + (1 if options.soak else options.seeds))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = install_bars(folder)
        pairs = [word for balance in BALANCES for word in ("--balance", balance)]
        with loopback(store, *OPTIONS, *pairs) as url:
            config = write_configs(folder / "config", url)
            courses = {
                seed: run_history(
                    config,
                    url,
                    folder,
                    bars=options.bars,
                    rate=options.rate,
                    seed=seed,
                    processes=options.soak,
                )
                for seed in seeds
            }
            orders = len(exchange_state(url)["order_posts"])
    failures = {seed: course.wrong[:5] for seed, course in courses.items() if course.wrong}
    document: dict[str, Any] = {
        "what": f"{options.bars} bars with {options.rate:.0%} of requests failing",
        "cases": len(courses),
        "failed": len(failures),
        "seed": options.seed,
        "ticks": sum(sum(course.codes.values()) for course in courses.values()),
        "exit_codes": _summed(courses),
        "orders_of_the_last": orders,
        "failures": failures,
    }
    if options.soak:
        document |= growth(courses[options.seed])
    sys.stdout.write(json.dumps(document, indent=1) + "\n")
    return int(bool(failures) or bool(document.get("not_flat")))


def _summed(courses: dict[int, Course]) -> dict[int, int]:
    codes: dict[int, int] = {}
    for course in courses.values():
        for code, count in course.codes.items():
            codes[code] = codes.get(code, 0) + count
    return codes


if __name__ == "__main__":
    sys.exit(main())
