"""Run a live bridge for long while every request may fail, and look at what it held and lost.

    python -m tests.survival.chaos [--bars 200] [--cases 20] [--rate 0.1] [--seed 7]

A case is a history: at every bar close there is a tick, and, as cron would have it, two more after one
that ended with an error. At its end the faults stop, clean ticks run, and the journal must be the
exchange's account, every id have had one request at most, and nothing be open. The ticks of a history
share a process; ``tests.survival.soak`` gives each its own. Prints cases, failed and seed.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.oracle.bridge_faults import faults_of
from tests.oracle.bridge_process import Act, Ended
from tests.survival.stage import Show, Stage, command, options_of

__all__ = ["SHOW", "faults_drawn", "history"]

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
ATTEMPTS = 3

Run = Callable[[Act], Ended]


def faults_drawn(generator: random.Random, rate: float) -> list[dict[str, Any]]:
    """Return the faults of one tick: which of its requests fail, and how."""
    # Drawn here, so that a seed is a history whatever happened before.
    numbers = [number for number in range(1, 60) if generator.random() < rate]
    return [{**generator.choice(KINDS), "path": "*", "nth": number} for number in numbers]


def history(
    stage: Stage, root: Path, run: Run, *, bars: int, rate: float, seed: int, act: Act
) -> Iterator[list[Ended]]:
    """Yield, bar by bar, how the ticks of a history ended; the clean ones at its end come last."""
    generator = random.Random(seed)
    start = stage.state()["time"]
    for bar in range(bars):
        ended: list[Ended] = []
        for attempt in range(ATTEMPTS):
            passed = timedelta(days=bar, minutes=attempt) / timedelta(milliseconds=1)
            stage.control("clock", at=int(start + passed))
            stage.control("fault", clear=True, faults=faults_drawn(generator, rate))
            ended.append(run(act))
            if ended[-1].code == 0:
                break
        yield ended
    stage.control("fault", clear=True)
    last: list[Ended] = []
    while len(last) < ATTEMPTS and (not last or last[-1].code):
        last.append(run(act))
    yield last


def in_this_process(act: Act) -> Ended:
    """Run a tick here; what it raises is its error."""
    try:
        document, code = act()
    except Exception as error:
        code, text = int(getattr(error, "exit_code", 1)), f"{type(error).__name__}: {error}"
        return Ended(code, {}, text, (), text.encode(), 0)
    return Ended(code, document, "", (), b"", 0)


def _one(stage: Stage, root: Path, bars: int, rate: float, seed: int) -> dict[str, Any]:
    """Run a history in this process, and return its exit codes, orders, and what is wrong."""
    codes, wrong, before = Counter[int](), list[str](), stage.canaries.texts
    course = history(stage, root, in_this_process, bars=bars, rate=rate, seed=seed, act=stage.tick(root))
    for bar, ended in enumerate(course):
        codes.update(one.code for one in ended)
        for one in ended:
            stage.seen(one)
        wrong += [f"bar {bar}: exit code {one.code}: {one.error}" for one in ended if one.code not in CODES]
    if ended[-1].code:
        wrong.append(f"exit code {ended[-1].code} after the faults: {ended[-1].error}")
    else:
        wrong += faults_of(stage.url, root, None)
    return {
        "codes": {str(code): count for code, count in codes.items()},
        "orders": len(stage.state()["order_posts"]),
        "wrong": wrong,
        "texts": stage.canaries.texts - before,
        "leaks": stage.canaries.found,
    }


def play(stage: Stage, options: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    """Yield each history and what is wrong after it."""
    codes, orders = Counter[str](), 0
    for seed in range(options.seed, options.seed + options.cases):
        root = stage.fresh()

        def one(seed: int = seed, root: Path = root) -> tuple[dict[str, Any], int]:
            return _one(stage, root, options.bars, options.rate, seed), 0

        # Its own process all the same: what it holds in memory goes with it.
        ended = stage.run(one)
        told = ended.document
        if not told:
            yield f"seed {seed}", [f"exit code {ended.code}: {ended.error}"]
            continue
        stage.canaries.texts += told["texts"]
        stage.canaries.found += told["leaks"]
        codes.update(told["codes"])
        orders += told["orders"]
        stage.facts |= {"ticks": codes.total(), "exit_codes": dict(codes), "orders": orders}
        yield f"seed {seed}", told["wrong"][:5]


def parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    made = options_of("tests.survival.chaos", __doc__, cases=20)
    made.add_argument("--bars", type=int, default=200)
    made.add_argument("--rate", type=float, default=0.1, help="share of requests that fail")
    return made


SHOW = Show(lambda options: f"{options.bars} bars with {options.rate:.0%} of requests failing", play, parser)

if __name__ == "__main__":
    sys.exit(command(SHOW))
