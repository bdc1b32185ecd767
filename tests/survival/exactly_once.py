"""Kill a live tick everywhere, and count what was lost or sent twice.

    python -m tests.survival.exactly_once [--seed 7] [--cases 320] [--naive]

Cases: a kill at every point of a tick, then a clean tick; and a kill at a point of the tick followed by a
kill at a point of the recovery, both drawn by the seed, then a clean tick. Prints cases, failed and seed.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator
from decimal import Decimal

from tests.oracle.bridge_faults import balances, faults_of
from tests.survival.stage import Show, Stage, command, options_of

__all__ = ["SHOW", "kill_cases", "run_case"]


def kill_cases(points: int, *, cases: int, seed: int) -> Iterator[tuple[int, int]]:
    """Yield (point of the tick, point of the recovery; 0: none): every point once, then pairs at random."""
    generator = random.Random(seed)
    singles = [(point, 0) for point in range(1, points + 1)]
    if cases < points:
        singles = sorted(generator.sample(singles, cases))
    yield from singles
    for _ in range(max(cases - points, 0)):
        yield generator.randint(points // 4, points), generator.randint(1, points // 2)


def run_case(stage: Stage, case: tuple[int, int], expected: dict[str, Decimal], *, naive: bool) -> list[str]:
    """Kill, recover, and return what is wrong afterwards."""
    root = stage.fresh()
    for point in case:
        if point:
            stage.run(stage.tick(root, naive=naive), kill_at=point)
    ended = stage.finish(root, naive=naive)
    if ended.code:
        return [f"exit code {ended.code}: {ended.error}"]
    return faults_of(stage.url, root, expected)


def play(stage: Stage, options: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    """Yield each kill and what is wrong after it."""
    clean = stage.finish(stage.fresh())
    expected = balances(stage.state())
    stage.facts |= {"points": len(clean.points), "orders": len(clean.document["orders"])}
    for case in kill_cases(len(clean.points), cases=options.cases, seed=options.seed):
        name = f"{case[0]} ({clean.points[case[0] - 1]}), {case[1]}"
        yield name, run_case(stage, case, expected, naive=options.naive)


def parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    made = options_of("tests.survival.exactly_once", __doc__, cases=320)
    made.add_argument("--naive", action="store_true", help="the bridge that sends an unclear order again")
    return made


SHOW = Show(
    lambda _: "kill -9 at every request, statement and fsync of a tick, and in its recovery", play, parser
)

if __name__ == "__main__":
    sys.exit(command(SHOW))
