"""Meet every fault at every endpoint of a live tick, and count what was lost, doubled or left open.

    python -m tests.survival.every_fault [--seed 7] [--cases 400] [--naive]

A case is a tick under one fault, then clean ticks. Whatever the answer was, no id is sent twice, the
journal is the exchange's account afterwards, nothing is open, and the exit code is a documented one.
Where the answer was no definite refusal, the account is also what it is without any fault. Prints cases,
failed and seed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from tests.oracle.bridge_faults import balances, faults_of
from tests.oracle.bridge_harness import KEYS
from tests.survival.stage import Show, Stage, command, options_of

__all__ = ["ENDPOINTS", "FAULTS", "SHOW", "fault_cases", "run_case"]

CODES = {0, 2, 3, 4, 5}
ENDPOINTS = (
    ("GET", "/api/v3/time"),
    ("GET", "/sapi/v1/account/apiRestrictions"),
    ("GET", "/api/v3/exchangeInfo"),
    ("GET", "/api/v3/account"),
    ("GET", "/api/v3/openOrders"),
    ("GET", "/api/v3/klines"),
    ("GET", "/api/v3/ticker/price"),
    ("POST", "/api/v3/order"),
    ("GET", "/api/v3/order"),
    ("GET", "/api/v3/myTrades"),
    ("GET", "/api/v3/allOrders"),
)
_AMBIGUOUS: tuple[dict[str, Any], ...] = (
    *({"kind": kind, "when": when} for kind in ("drop", "reset", "empty", "garbage", "cut", "truncated")
      for when in ("before", "after")),
    *({"kind": "status", "status": status, "when": when} for status in (500, 502, 503, 504, 408)
      for when in ("before", "after")),
    *({"kind": "status", "status": 400, "code": code, "when": when}
      for code in (-1000, -1001, -1006, -1007, -1008) for when in ("before", "after")),
    {"kind": "late", "milliseconds": 700},
    {"kind": "late", "milliseconds": 1_400},
    {"kind": "late", "milliseconds": 60_000},
    {"kind": "hang", "milliseconds": 50},
    {"kind": "hang", "milliseconds": 50, "when": "after"},
    {"kind": "delay", "milliseconds": 50},
    {"kind": "replay"},
    {"kind": "replay", "when": "after"},
    {"kind": "body", "body": "{}"},
    {"kind": "body", "body": "[]", "when": "after"},
    {"kind": "body", "body": "null"},
    {"kind": "status", "status": 429, "when": "before"},
    {"kind": "status", "status": 418, "when": "before"},
    {"kind": "status", "status": 429, "when": "after"},
    {"kind": "status", "status": 400, "code": -1021, "when": "before"},
    {"kind": "status", "status": 400, "code": -1021, "when": "after"},
)  # fmt: skip
_DEFINITE: tuple[dict[str, Any], ...] = tuple(
    {"kind": "status", "status": 400, "code": code, "message": text, "when": when}
    for code, text in (
        (-2010, "Account has insufficient balance for requested action."),
        (-1013, "Filter failure: LOT_SIZE"),
        (-1100, "Illegal characters found in a parameter."),
        (-2010, "Duplicate order sent."),
        (-1013, "Market is closed."),
        (-2015, "Invalid API-key, IP, or permissions for action."),
        (-2013, "Order does not exist."),
    )
    for when in ("before", "after")
)
NOTHING = Decimal(0)
FAULTS = (*_AMBIGUOUS, *_DEFINITE)


def fault_cases(*, cases: int, seed: int) -> list[dict[str, Any]]:
    """Return faults at endpoints: those at order requests first, then the rest, both drawn by the seed."""
    places = [(method, path, nth) for method, path in ENDPOINTS for nth in (1, 2)]
    every = [
        {**fault, "method": method, "path": path, "nth": nth}
        for method, path, nth in places
        for fault in FAULTS
    ]
    orders = [case for case in every if case["path"] == "/api/v3/order"]
    rest = [case for case in every if case["path"] != "/api/v3/order"]
    generator = random.Random(seed)
    chosen = generator.sample(orders, min(cases, len(orders)))
    return chosen + generator.sample(rest, min(max(cases - len(chosen), 0), len(rest)))


def run_case(stage: Stage, case: dict[str, Any], expected: dict[str, Decimal], **options: Any) -> list[str]:
    """Run a tick under a fault, then clean ones, and return what is wrong afterwards."""
    root = stage.fresh()
    begun = balances(stage.state())
    faults = [case]
    if case["method"] == "GET" and case["path"] in {"/api/v3/order", "/api/v3/allOrders"}:
        # Asked only about an order whose own answer was lost.
        faults.append({"kind": "drop", "when": "after", "method": "POST", "path": "/api/v3/order", "nth": 1})
    stage.control("fault", faults=faults)
    first = stage.run(stage.tick(root, **options))
    stage.control("fault", clear=True)
    if first.code not in CODES:
        return [f"exit code {first.code}: {first.error}"]
    ended = first if first.code == 5 else stage.finish(root, **options)
    if ended.code not in {0, 5}:
        return [f"exit code {ended.code} after the fault: {ended.error}"]
    if first.code == 4 and case.get("status") == 418 and case["path"] != "/api/v3/order":
        # Banned before it ordered: only reductions pass until a person resumes.
        coins = (begun.keys() | expected.keys()) - {"USD"}
        expected = {coin: min(begun.get(coin, NOTHING), expected.get(coin, NOTHING)) for coin in coins}
    definite = any(fault in _DEFINITE for fault in [_bare(case)])
    return faults_of(stage.url, root, None if definite or ended.code == 5 else expected)


def _bare(case: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in case.items() if name not in {"method", "path", "nth"}}


def play(stage: Stage, options: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    """Yield each fault and what is wrong after it."""
    stage.finish(stage.fresh())
    expected = balances(stage.state())
    for number, case in enumerate(fault_cases(cases=options.cases, seed=options.seed)):
        # In every other case keys and passphrase are what an encrypted file has and takes.
        keys = stage.sealed_keys() if number % 2 else KEYS
        yield json.dumps(case), run_case(stage, case, expected, naive=options.naive, keys=keys)


def parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    made = options_of("tests.survival.every_fault", __doc__, cases=400)
    made.add_argument("--naive", action="store_true", help="the bridge that sends an unclear order again")
    return made


SHOW = Show(lambda _: "faults at endpoints of a live tick", play, parser, {"settle": 6.0})

if __name__ == "__main__":
    sys.exit(command(SHOW))
