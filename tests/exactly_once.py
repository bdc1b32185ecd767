"""Kill a live tick everywhere, and count what was lost or sent twice.

    python -m tests.exactly_once [--seed 7] [--cases 300] [--naive]

Cases: a kill at every point of a tick, then a clean tick; and a kill at a point of the tick followed by a
kill at a point of the recovery, both drawn by the seed, then a clean tick. Prints cases, failed and seed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

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

__all__ = ["kill_cases", "main", "run_case"]


def kill_cases(points: int, *, cases: int, seed: int) -> Iterator[tuple[int, int]]:
    """Yield (point of the tick, point of the recovery; 0: none): every point once, then pairs at random."""
    generator = random.Random(seed)
    singles = [(point, 0) for point in range(1, points + 1)]
    if cases < points:
        singles = sorted(generator.sample(singles, cases))
    yield from singles
    for _ in range(max(cases - points, 0)):
        yield generator.randint(points // 4, points), generator.randint(1, points // 2)


def run_case(
    case: tuple[int, int],
    config: Path,
    url: str,
    folder: Path,
    expected: dict[str, Decimal],
    *,
    naive: bool = False,
) -> list[str]:
    """Kill, recover, and return what is wrong afterwards."""
    root = fresh(folder / "root", url)
    for point in case:
        if point:
            in_child(tick(config, root, naive=naive), kill_at=point, scratch=folder)
    ended = finish(config, root, folder, naive=naive)
    if ended.code:
        return [f"exit code {ended.code}: {ended.error}"]
    return faults_of(url, root, expected)


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    made = argparse.ArgumentParser(prog="python -m tests.exactly_once", description=__doc__)
    made.add_argument("--seed", type=int, default=7)
    made.add_argument("--cases", type=int, default=320)
    made.add_argument("--naive", action="store_true", help="the bridge that sends an unclear order again")
    options = made.parse_args(arguments)
    failed: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = install_bars(folder)
        pairs = [word for balance in BALANCES for word in ("--balance", balance)]
        with loopback(store, *OPTIONS, *pairs) as url:
            config = write_configs(folder / "config", url)
            clean = finish(config, fresh(folder / "root", url), folder)
            expected = balances(exchange_state(url))
            cases = list(kill_cases(len(clean.points), cases=options.cases, seed=options.seed))
            for case in cases:
                wrong = run_case(case, config, url, folder, expected, naive=options.naive)
                if wrong:
                    failed[f"{case[0]} ({clean.points[case[0] - 1]}), {case[1]}"] = wrong
    document = {
        "what": "kill -9 at every request, statement and fsync of a tick, and in its recovery",
        "points": len(clean.points),
        "orders": len(clean.document["orders"]),
        "cases": len(cases),
        "failed": len(failed),
        "seed": options.seed,
        "failures": dict(list(failed.items())[:10]),
    }
    sys.stdout.write(json.dumps(document, indent=1) + "\n")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
