"""Let account and journal drift apart in every way there is, and see that they agree again to 1e-8.

    python -m tests.survival.reconciling [--cases 80] [--seed 7]

Eight kinds, ten seeds each: an orphan (an order unknown to the journal), a phantom (what is held is
gone), foreign coins, a partial fill, an expiry with fills, a cancel by the exchange, a missing order
(sent, never placed), and dust. A case draws who it happens to, fees in the coin received, in the quote or
in a third one, their rates, dust in the balances, how thin the book is, and whether the portfolio adopts
what it finds. After it a tick at a later bar trades on. Journal and exchange must hold the same, by
currency, have charged the same fees, by coin, and the journal must name what it met. Prints cases, failed
and seed.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.oracle.bridge_faults import faults_of
from tests.oracle.bridge_harness import START
from tests.survival.drifting import COINS, KINDS, Scene
from tests.survival.stage import Show, Stage, chosen, command, options_of

__all__ = ["SHOW", "run_case"]

FEE_COINS = ("received", "quote", "BNB")


def _furnish(stage: Stage, draw: random.Random, fee_coin: str) -> None:
    """Draw fees, and dust in every balance."""
    stage.control(
        "venue",
        levels=1,
        level_quantity=None,
        fee_asset=fee_coin,
        fee_rates={"USD": "15.37"},
        taker_bps=str(draw.choice((7.5, 10, 13.7))),
        maker_bps=str(draw.choice((2, 7.5, 10))),
    )
    extra = {name: f"{draw.randint(1, 99_999) / 1e8:.8f}" for name in (*COINS, "USD")}
    stage.control("balances", add={**extra, **({"BNB": "5"} if fee_coin == "BNB" else {})})


def _journal(root: Path) -> list[tuple[str, dict[str, Any]]]:
    with sqlite3.connect(root / "data/live/main.sqlite") as raw:
        rows = raw.execute("SELECT kind, body FROM events ORDER BY number").fetchall()
    raw.close()
    return [(kind, json.loads(body)) for kind, body in rows]


def _named(events: Sequence[tuple[str, dict[str, Any]]]) -> set[str]:
    """Return what the journal names: kinds of events, with the status or code of those that have one."""
    names = {kind for kind, _ in events}
    names |= {f"{kind} {body.get('status') or body.get('code')}" for kind, body in events}
    return names | ({"FOREIGN or ADOPTED"} if names & {"FOREIGN", "ADOPTED"} else set())


def _fees(events: Sequence[tuple[str, dict[str, Any]]], state: dict[str, Any]) -> list[str]:
    """Return the coins in which exchange and journal do not know the same fees."""
    booked, charged = defaultdict[str, Decimal](Decimal), defaultdict[str, Decimal](Decimal)
    for kind, body in events:
        for trade in body["trades"] if kind == "RECOVERED_ORPHAN" else [body] if kind == "TRADED" else []:
            booked[trade["fee_asset"]] += Decimal(trade["fee"])
    for trade in state["trades"]:
        charged[trade["commissionAsset"]] += Decimal(trade["commission"])
    return [
        f"fees in {coin}: {charged[coin]} charged, {booked[coin]} booked"
        for coin in sorted({*booked, *charged})
        if charged[coin] != booked[coin]
    ]


def run_case(stage: Stage, kind: str, seed: int) -> tuple[list[str], Counter[str]]:
    """Play one case; return what is wrong afterwards, and the fills counted by the coin of their fee."""
    draw = random.Random(f"{kind} {seed}")
    root = stage.fresh()
    scene = Scene(stage, root, draw, adopt=draw.random() < 0.5)
    scene.configure()
    _furnish(stage, draw, FEE_COINS[seed % len(FEE_COINS)])
    try:
        met = KINDS[kind](scene)
        scene.configure()
        scene.tick()
        later = START + timedelta(days=draw.randint(3, 40))
        stage.control("clock", at=later.isoformat())
        # One tick trades at the later bar; the next compares what it left.
        scene.tick()
        scene.tick()
    except AssertionError as error:
        return [str(error)], Counter()
    events, state = _journal(root), stage.state()
    unnamed = [f"the journal names no {name}" for name in met.events if name not in _named(events)]
    fills = Counter(trade["commissionAsset"] for trade in state["trades"])
    wrong = faults_of(stage.url, root, None, orphans=met.orphans)
    return unnamed + wrong + _fees(events, state), fills


def play(stage: Stage, options: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    """Yield each case and what is wrong after it."""
    cases = [(kind, options.seed + number) for number in range(10) for kind in KINDS]
    fills, kinds = Counter[str](), Counter[str]()
    for kind, seed in chosen(cases, options, name=lambda case: case[0]):
        wrong, found = run_case(stage, kind, seed)
        fills += found
        kinds[kind] += 1
        stage.facts |= {"kinds": dict(kinds), "fills_by_coin_of_fee": dict(fills)}
        yield f"{kind}, seed {seed}", wrong


def parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    made = options_of("tests.survival.reconciling", __doc__, cases=80)
    return made


SHOW = Show(lambda _: "account and journal apart, and together again to 1e-8", play, parser)

if __name__ == "__main__":
    sys.exit(command(SHOW))
