"""Let the machine fail around a live tick: disk, database, clock, network.

    python -m tests.survival.machine_trouble [--cases 100] [--seed 7]

Disk full, read-only, database locked, missing, foreign or an old backup, clock off by a second to a day
in both directions (the exchange's or this machine's), no name resolution, a black hole. In half of the
cases the bridge has traded before. No order may have left without its durable row, the tick must end
within the deadline with a documented exit code, and after the trouble clean ticks must bring journal and
exchange together. Prints cases, failed and seed.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from tests.oracle.bridge_faults import faults_of, unrecorded
from tests.oracle.bridge_harness import START
from tests.survival.stage import Show, Stage, chosen, command, options_of
from tests.survival.troubles import KINDS, Scene, Trouble, old_backup

__all__ = ["SHOW", "run_case"]

CODES = {0, 2, 3, 4}
SETTLE_S = 6.0
# Of a run: what it may take to settle, and the time-outs of the requests before and after that.
DEADLINE_S = 60.0


def run_case(stage: Stage, name: str, trouble: Trouble, *, begun: bool, seed: int) -> tuple[list[str], int]:
    """Trade where the case says so, meet trouble, recover; return what is wrong, and the first exit code."""
    draw = random.Random(f"{name} {seed}")
    root = stage.fresh()
    begun = begun or draw.random() < 0.5
    scene = Scene(stage, root, draw, begun)
    if begun:
        first = stage.run(scene.tick())
        assert first.code == 0, first.error
        stage.control("clock", at=(START + timedelta(days=draw.randint(5, 30))).isoformat())
    with trouble(scene) as act:
        started = time.monotonic()
        ended = stage.run(act)
        taken = time.monotonic() - started
    wrong = [] if ended.code in CODES else [f"exit code {ended.code}: {ended.error}"]
    if taken > DEADLINE_S:
        wrong.append(f"took {taken:.0f} s")
    orphans = 0
    if trouble is old_backup:
        # The journal is an older one: what it does not know is what it has to find.
        orphans = sum(code["code"] == "RECOVERED_ORPHAN" for code in ended.document.get("incidents", ()))
        wrong += [] if orphans else ["an older journal found nothing to recover"]
    else:
        wrong += unrecorded(stage.url, root)
    finished = stage.finish(root)
    if finished.code:
        return [*wrong, f"exit code {finished.code} afterwards: {finished.error}"], ended.code
    return wrong + faults_of(stage.url, root, None, orphans=orphans), ended.code


def play(stage: Stage, options: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    """Yield each trouble and what is wrong after it."""
    codes = Counter[str]()
    for name, trouble, begun in chosen(KINDS, options, name=lambda case: case[0]):
        wrong, code = run_case(stage, name, trouble, begun=begun, seed=options.seed)
        codes[str(code)] += 1
        stage.facts |= {"exit_codes": dict(codes)}
        yield name, wrong


def parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    made = options_of("tests.survival.machine_trouble", __doc__, cases=100)
    return made


SHOW = Show(lambda _: "a machine in trouble", play, parser, {"settle": SETTLE_S})

if __name__ == "__main__":
    sys.exit(command(SHOW))
