"""Run what a live bridge has to survive, one command after the other, and print a line for each.

    python -m tests.survival [NAME ...] [--short] [--seed 7]

In full, that is all of it in about an hour on two processors; in short, a few cases of each on one stage,
and one of a bridge that sends an unclear order again, which must fail.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from tests.survival import (
    chaos,
    every_fault,
    exactly_once,
    failing_disk,
    machine_trouble,
    one_at_a_time,
    reconciling,
    soak,
)
from tests.survival.stage import Show, is_bad, played, staged

__all__ = ["main"]

SHOWS: dict[str, Show] = {
    "exactly_once": exactly_once.SHOW,
    "every_fault": every_fault.SHOW,
    "one_at_a_time": one_at_a_time.SHOW,
    "reconciling": reconciling.SHOW,
    "failing_disk": failing_disk.SHOW,
    "machine_trouble": machine_trouble.SHOW,
    "chaos": chaos.SHOW,
    "soak": soak.SHOW,
}
# A soak of a few bars shows nothing that chaos does not.
SHORT: dict[str, list[str]] = {
    "exactly_once": ["--cases", "3"],
    "every_fault": ["--cases", "3"],
    "one_at_a_time": ["--cases", "1", "--only", "4 at once"],
    "reconciling": ["--cases", "2"],
    "failing_disk": ["--cases", "2"],
    "machine_trouble": ["--cases", "3"],
    "chaos": ["--bars", "3", "--cases", "1"],
}
# The bridge that sends an unclear order again: where it does not fail, the rest proves nothing.
NAIVE = "naive"
FILES = ("damaged_files", "damaged_keys")


def in_short(names: list[str], seed: int) -> Iterator[dict[str, Any]]:
    """Yield the documents of a few cases of each show."""
    with staged() as stage:
        for name in names:
            show = SHOWS[name]
            stage.configure(**show.staging)
            options = show.parser().parse_args([*SHORT[name], "--seed", str(seed)])
            yield {"show": name, **played(show, stage, options)}
        caught = SHOWS["every_fault"]
        stage.configure(**caught.staging)
        options = caught.parser().parse_args(["--cases", "1", "--seed", "3", "--naive"])
        yield {"show": NAIVE, **played(caught, stage, options)}


def in_full(names: list[str], seed: int) -> Iterator[dict[str, Any]]:
    """Yield the documents of whole shows, each on a stage of its own."""
    for name in names:
        if name == NAIVE:
            for caught in ("exactly_once", "every_fault"):
                yield {"show": name, **_alone(SHOWS[caught], ["--naive", "--cases", "25"], seed)}
        elif name in FILES:
            # In a process of its own: it starts threads, after which nobody may fork.
            command = [sys.executable, "-m", f"tests.survival.{name}", "--seed", str(seed)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
            yield from ({"show": name, **json.loads(line)} for line in done.stdout.splitlines())
        else:
            yield {"show": name, **_alone(SHOWS[name], [], seed)}


def _alone(show: Show, arguments: list[str], seed: int) -> dict[str, Any]:
    with staged(**show.staging) as stage:
        return played(show, stage, show.parser().parse_args([*arguments, "--seed", str(seed)]))


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    made = argparse.ArgumentParser(
        prog="python -m tests.survival",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join((*SHOWS, NAIVE, *FILES))}")
    made.add_argument("--short", action="store_true", help="a few cases of each")
    made.add_argument("--seed", type=int, default=7)
    options = made.parse_args(arguments)
    known = list(SHORT) if options.short else [*SHOWS, NAIVE, *FILES]
    unknown = sorted(set(options.names) - set(known))
    if unknown:
        made.error(f"{unknown[0]}: expected one of {', '.join(known)}")
    play = in_short if options.short else in_full
    bad = 0
    for document in play(options.names or known, options.seed):
        bad += is_bad(document) != (document["show"] == NAIVE)
        sys.stdout.write(json.dumps(document) + "\n")
        sys.stdout.flush()
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
