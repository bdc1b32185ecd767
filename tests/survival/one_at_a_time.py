"""Start several ticks at once, and see that one acts.

    python -m tests.survival.one_at_a_time [--cases 39] [--seed 7]

Cases: 2, 4 and 8 processes at once, ten times each; a tick that takes longer than its interval, while the
next one starts at the next bar; a lock that a killed, a stopped or nobody's process has left; the same
bar fifty times. Per bar one process may act, the others say so (exit code 75, or nothing due), and
journal and exchange hold the same. Prints cases, failed and seed.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.oracle.bridge_faults import faults_of
from tests.oracle.bridge_process import Act, Ended, at_point, dying_at
from tests.survival.stage import Show, Stage, chosen, command, options_of

__all__ = ["SHOW"]

LOCKED = 75
_POST = "before POST /api/v3/order"
_PATIENCE_S = 60.0


def _planned(root: Path) -> int:
    with sqlite3.connect(root / "data/live/main.sqlite") as raw:
        count = raw.execute("SELECT count(*) FROM events WHERE kind = 'PLANNED'").fetchone()[0]
    raw.close()
    return int(count)


def _judge(stage: Stage, root: Path, ended: list[Ended], *, decisions: int = 1) -> list[str]:
    """Return what is wrong after ticks of which as many may have acted as there were bars."""
    wrong = [f"exit code {one.code}: {one.error}" for one in ended if one.code not in {0, LOCKED}]
    acted = sum(one.code == 0 and bool(one.document.get("acted")) for one in ended)
    if acted != decisions:
        wrong.append(f"{acted} of {len(ended)} acted, {decisions} expected")
    if _planned(root) != decisions:
        wrong.append(f"{_planned(root)} decisions, {decisions} expected")
    return wrong + faults_of(stage.url, root, None)


def at_once(stage: Stage, count: int, _: random.Random) -> list[str]:
    """Start `count` ticks at once."""
    root = stage.fresh()
    children = [stage.start(stage.tick(root), f"tick-{number}") for number in range(count)]
    return _judge(stage, root, [stage.seen(child.wait()) for child in children])


def _held_at(act: Act, what: str, gate: Path) -> Act:
    """Return `act`, which waits at a request, having said so, until its gate is removed."""

    def run() -> tuple[dict[str, Any], int]:
        held = False

        def passed(point: str) -> None:
            nonlocal held
            if point == what and not held:
                held = True
                gate.touch()
                while gate.exists():
                    time.sleep(0.01)

        at_point(passed)
        return act()

    return run


def _appeared(gate: Path) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not gate.exists():
        assert time.monotonic() < end, "the tick has not come to its request"
        time.sleep(0.01)


def longer_than_its_interval(stage: Stage, draw: random.Random) -> list[str]:
    """Let a tick hang at a request until after the next bar has closed, and cron start the next ones."""
    root, gate = stage.fresh(), stage.folder / "gate"
    gate.unlink(missing_ok=True)
    where = draw.choice((_POST, "before GET /api/v3/klines", "after POST /api/v3/order"))
    slow = stage.start(_held_at(stage.tick(root), where, gate), "slow")
    _appeared(gate)
    stage.control("clock", advance_ms=timedelta(days=1) // timedelta(milliseconds=1))
    others = [stage.run(stage.tick(root)) for _ in range(2)]
    wrong = [f"exit code {one.code} beside a tick at work" for one in others if one.code != LOCKED]
    gate.unlink()
    # The slow one is done with its own bar, or leaves what it did not send; the next acts on the new bar.
    ended = [stage.seen(slow.wait()), stage.finish(root)]
    wrong += [f"exit code {one.code}: {one.error}" for one in ended if one.code]
    newest = {entry["bar"] for entry in ended[1].document.get("decisions", ())}
    if _planned(root) not in {1, 2} or not newest:
        wrong.append(f"{_planned(root)} decisions over two bars, the last for {newest}")
    return wrong + faults_of(stage.url, root, None)


def left_by_the_dead(stage: Stage, _: random.Random) -> list[str]:
    """Kill a tick that holds the lock; the next one takes it."""
    root = stage.fresh()
    killed = stage.run(dying_at(stage.tick(root), _POST))
    lock = root / "data/live/main.sqlite.lock"
    wrong = [] if killed.code == -signal.SIGKILL and lock.exists() else ["no lock was left"]
    return wrong + _judge(stage, root, [stage.run(stage.tick(root))])


def left_by_nobody(stage: Stage, _: random.Random) -> list[str]:
    """Find a lock file of a day ago, with the number of a process that is gone in it."""
    root = stage.fresh()
    lock = root / "data/live/main.sqlite.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("4194304\n")
    yesterday = time.time() - 86_400
    os.utime(lock, (yesterday, yesterday))
    return _judge(stage, root, [stage.run(stage.tick(root)), stage.run(stage.tick(root))])


def held_by_the_stopped(stage: Stage, _: random.Random) -> list[str]:
    """Stop a tick that holds the lock: others leave it alone; once it is killed the next one acts."""
    root, gate = stage.fresh(), stage.folder / "gate"
    gate.unlink(missing_ok=True)
    stopped = stage.start(_held_at(stage.tick(root), _POST, gate), "stopped")
    _appeared(gate)
    os.kill(stopped.pid, signal.SIGSTOP)
    beside = stage.run(stage.tick(root))
    wrong = [] if beside.code == LOCKED else [f"exit code {beside.code} beside a tick that holds the lock"]
    os.kill(stopped.pid, signal.SIGKILL)
    stopped.wait()
    return wrong + _judge(stage, root, [stage.run(stage.tick(root))])


def fifty_times(stage: Stage, _: random.Random) -> list[str]:
    """Run fifty ticks within a bar, each a process of its own."""
    root, start, ended = stage.fresh(), stage.state()["time"], []
    for minute in range(50):
        stage.control("clock", at=start + minute * 60_000)
        ended.append(stage.run(stage.tick(root)))
    return _judge(stage, root, ended)


Case = Callable[[Stage, random.Random], list[str]]


def _several(count: int) -> Case:
    return lambda stage, draw: at_once(stage, count, draw)


CASES: tuple[tuple[str, Case], ...] = (
    *((f"{count} at once, {number}", _several(count)) for count in (2, 4, 8) for number in range(10)),
    *((f"longer than its interval, {number}", longer_than_its_interval) for number in range(5)),
    ("a lock that a killed tick left", left_by_the_dead),
    ("a lock file of nobody's", left_by_nobody),
    ("a lock that a stopped tick holds", held_by_the_stopped),
    ("the same bar fifty times", fifty_times),
)


def play(stage: Stage, options: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    """Yield each case and what is wrong after it."""
    for name, case in chosen(CASES, options, name=lambda case: case[0]):
        yield name, case(stage, random.Random(f"{name} {options.seed}"))


def parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    made = options_of("tests.survival.one_at_a_time", __doc__, cases=len(CASES))
    return made


SHOW = Show(lambda _: "several ticks at once, of which one acts", play, parser)

if __name__ == "__main__":
    sys.exit(command(SHOW))
