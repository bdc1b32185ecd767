"""Let the disk fail at every write, sync and rename of a live tick, and count what was lost or doubled.

    python -m tests.survival.failing_disk [--cases 1000] [--seed 7]

A case is a tick in which file operations fail from one of them on, because the disk is full, read-only or
broken, then clean ticks. No order may have left without its row: requests and SENT rows are compared
before the recovery. Prints cases, failed and seed.
"""

from __future__ import annotations

import argparse
import errno
import random
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.oracle.bridge_faults import balances, faults_of, unrecorded
from tests.oracle.bridge_process import Act
from tests.survival.stage import Show, Stage, command, options_of

__all__ = ["SHOW"]

ERRORS = (errno.ENOSPC, errno.EROFS, errno.EIO)
CODES = {0, 1, 3}


def failing(act: Act, number: int, code: int) -> Act:
    """Return `act` with the `number`-th file operation and all after it failing: the disk is gone."""

    def run() -> tuple[dict[str, Any], int]:
        from feature_store.atomic import on_fault_point

        seen = 0

        def fail(operation: str, path: Path) -> None:
            nonlocal seen
            seen += 1
            if seen >= number:
                raise OSError(code, f"{operation} failed", str(path))

        on_fault_point(fail)
        return act()

    return run


def counted(act: Act) -> Act:
    """Return `act` with the announced file operations counted in its document."""

    def run() -> tuple[dict[str, Any], int]:
        from feature_store.atomic import on_fault_point

        names: list[str] = []
        on_fault_point(lambda operation, _: names.append(operation))
        document, code = act()
        return {"operations": names, "orders": document["orders"]}, code

    return run


def run_case(stage: Stage, number: int, code: int, expected: dict[str, Decimal]) -> list[str]:
    """Fail, compare what left with what was recorded, recover, and return what is wrong."""
    root = stage.fresh()
    ended = stage.run(failing(stage.tick(root), number, code))
    if ended.code not in CODES:
        return [f"exit code {ended.code}: {ended.error}"]
    wrong = unrecorded(stage.url, root)
    finished = stage.finish(root)
    if finished.code:
        return [*wrong, f"exit code {finished.code} afterwards: {finished.error}"]
    return wrong + faults_of(stage.url, root, expected)


def play(stage: Stage, options: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    """Yield each failure and what is wrong after it."""
    clean = stage.run(counted(stage.tick(stage.fresh())))
    expected = balances(stage.state())
    names = clean.document["operations"]
    stage.facts |= {"points": len(names), "orders": len(clean.document["orders"])}
    every = [(number, code) for number in range(1, len(names) + 1) for code in ERRORS]
    if options.cases < len(every):
        every = sorted(random.Random(options.seed).sample(every, options.cases))
    for number, code in every:
        name = f"{number} ({names[number - 1]}), {errno.errorcode[code]}"
        yield name, run_case(stage, number, code, expected)


def parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    made = options_of("tests.survival.failing_disk", __doc__, cases=1000)
    return made


SHOW = Show(lambda _: "a disk that fails from one operation of a live tick on", play, parser)

if __name__ == "__main__":
    sys.exit(command(SHOW))
