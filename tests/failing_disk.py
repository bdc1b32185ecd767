"""Let the disk fail at every write, sync and rename of a live tick, and count what was lost or doubled.

    python -m tests.failing_disk [--cases 1000] [--seed 7]

A case is a tick in which file operations fail from one of them on, because the disk is full, read-only or
broken, then clean ticks. No order may have left without its row: requests and SENT rows are compared before
the recovery.
Prints cases, failed and seed.
"""

from __future__ import annotations

import argparse
import errno
import json
import random
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.oracle.bridge_faults import balances, faults_of
from tests.oracle.bridge_harness import (
    BALANCES,
    OPTIONS,
    exchange_state,
    finish,
    fresh,
    in_child,
    install_bars,
    tick,
    write_configs,
)
from tests.oracle.loopback_server import loopback

__all__ = ["main"]

ERRORS = (errno.ENOSPC, errno.EROFS, errno.EIO)
CODES = {0, 1, 3}

Act = Callable[[], tuple[dict[str, Any], int]]


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


def run_case(
    number: int, code: int, config: Path, url: str, folder: Path, expected: dict[str, Decimal]
) -> list[str]:
    """Fail, compare what left with what was recorded, recover, and return what is wrong."""
    root = fresh(folder / "root", url)
    ended = in_child(failing(tick(config, root), number, code), scratch=folder)
    if ended.code not in CODES:
        return [f"exit code {ended.code}: {ended.error}"]
    wrong = _unrecorded(root, url)
    finished = finish(config, root, folder)
    if finished.code:
        return [*wrong, f"exit code {finished.code} afterwards: {finished.error}"]
    return wrong + faults_of(url, root, expected)


def _unrecorded(root: Path, url: str) -> list[str]:
    posted = set(exchange_state(url)["order_posts"])
    state = root / "data/live/main.sqlite"
    recorded: set[str] = set()
    if state.exists():
        with sqlite3.connect(state) as raw:
            tables = raw.execute("SELECT count(*) FROM sqlite_master WHERE name = 'events'").fetchone()[0]
            query = "SELECT json_extract(body, '$.order.id') FROM events WHERE kind = 'SENT'"
            recorded = {row[0] for row in raw.execute(query)} if tables else set()
        raw.close()
    return [f"{name} was sent without a durable row" for name in sorted(posted - recorded)]


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    made = argparse.ArgumentParser(prog="python -m tests.failing_disk", description=__doc__)
    made.add_argument("--seed", type=int, default=7)
    made.add_argument("--cases", type=int, default=1_000, help="at most; every operation with every error")
    options = made.parse_args(arguments)
    failed: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = install_bars(folder)
        pairs = [word for balance in BALANCES for word in ("--balance", balance)]
        with loopback(store, *OPTIONS, *pairs) as url:
            config = write_configs(folder / "config", url)
            clean = in_child(counted(tick(config, fresh(folder / "root", url))), scratch=folder)
            expected = balances(exchange_state(url))
            names = clean.document["operations"]
            every = [(number, code) for number in range(1, len(names) + 1) for code in ERRORS]
            if options.cases < len(every):
                every = sorted(random.Random(options.seed).sample(every, options.cases))
            for number, code in every:
                wrong = run_case(number, code, config, url, folder, expected)
                if wrong:
                    failed[f"{number} ({names[number - 1]}), {errno.errorcode[code]}"] = wrong
    document = {
        "what": "a disk that fails from one operation of a live tick on",
        "points": len(names),
        "orders": len(clean.document["orders"]),
        "cases": len(every),
        "failed": len(failed),
        "seed": options.seed,
        "failures": dict(list(failed.items())[:10]),
    }
    sys.stdout.write(json.dumps(document, indent=1) + "\n")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
