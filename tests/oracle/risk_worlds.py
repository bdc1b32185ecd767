"""Random rulebooks, accounts and courses of the world, as plain Python and as the package's values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lab.risk import Limits
from tests.oracle.risk_layers import Rulebook, Seen

MEASURES = ("daily_loss", "weekly_loss", "monthly_loss", "drawdown")
RESETS = ("day", "week", "month", "person")
ACTIONS = ("none", "no_entries", "reduce_only", "halt")


@dataclass
class World:
    """A rulebook, the same as limits, and a course of events; weights follow what was permitted."""

    book: Rulebook
    limits: Limits
    markets: int
    random: np.random.Generator

    def seen(self, day: int, equity: float, weights: list[float], marks: list[float]) -> Seen:
        """Return a random observation of the account."""
        draw, count = self.random, self.markets
        target = draw.dirichlet(np.full(count, 0.6)) * draw.choice([0.3, 0.9, 1.0])
        target[draw.random(count) < draw.choice([0.0, 0.25])] = np.nan
        target[draw.random(count) < 0.1] = 0.0
        held = np.array(weights)
        stay = draw.random(count) < 0.1
        target[stay] = held[stay] * draw.choice([1.0, 0.99, 0.5])
        volatility = draw.choice([0.0, 0.01, 0.05, 0.3, np.nan], count)
        return Seen(
            target.tolist(),
            equity,
            list(weights),
            (draw.random(count) < 0.9).tolist(),
            day,
            list(marks),
            volatility.tolist(),
            draw.choice([0.0, 3.0, 5_000.0, 1e9, np.nan], count, p=[0.05, 0.1, 0.3, 0.5, 0.05]).tolist(),
            draw.choice([0.0, 1.0, 2.0, 3.0, np.nan], count, p=[0.93, 0.03, 0.02, 0.005, 0.015]).tolist(),
            self._parts(target),
        )

    def _parts(self, target: np.ndarray) -> dict[str, list[float]]:
        draw, names = self.random, list(self.book.instances)
        if not names:
            return {}
        shares = draw.dirichlet(np.full(len(names) + 1, 0.5), len(target))
        if draw.random() < 0.7:
            shares = shares[:, :-1] / shares[:, :-1].sum(axis=1, keepdims=True)
        parts = shares[:, : len(names)] * np.nan_to_num(target)[:, None]
        parts[draw.random(len(target)) < 0.05] = np.nan
        return {name: parts[:, k].tolist() for k, name in enumerate(names)}


def limits_of(book: Rulebook, groups: dict[str, list[int]], markets: int) -> Limits:
    """Write a rulebook as the package's tables; `groups`: of each market, by kind."""
    names, families = list(book.instances), list(book.families)
    rows = [*book.instances.values(), *book.families.values()]
    tables: dict[str, Any] = {
        "groups": np.zeros((0, 0), dtype=np.int64),
        "group_caps": np.array([cap for _, _, cap in book.groups]),
        "sleeves": np.array(
            [(families.index(one["family"]), one["priority"]) for one in book.instances.values()],
            dtype=np.int64,
        ).reshape(-1, 2),
        "scopes": np.array(
            [(r["cap"], math.inf if r["most"] is None else r["most"], r["allocation"]) for r in rows]
        ).reshape(-1, 3),
        "breakers": np.array([_breaker_row(rule, names, families) for rule in book.breakers]).reshape(-1, 5),
    }
    if book.groups:
        tables["groups"] = np.array([groups[kind] for kind in ("asset", "exchange", "currency")])
    for table in tables.values():
        table.flags.writeable = False
    return Limits(
        **book.figures,
        trade_risk=math.inf if book.trade_risk is None else book.trade_risk,
        volume_share=math.inf if book.volume_share is None else book.volume_share,
        max_positions=math.inf if book.max_positions is None else book.max_positions,
        **tables,
    )


def _breaker_row(rule: dict[str, Any], names: list[str], families: list[str]) -> tuple[float, ...]:
    scopes = {"portfolio": [-1], "instance": range(len(names)), "family": range(len(names), 99)}
    of = {"portfolio": [""], "instance": names, "family": families}[rule["scope"]]
    return (
        scopes[rule["scope"]][of.index(rule["name"])],
        MEASURES.index(rule["measure"]),
        rule["at"],
        ACTIONS.index(rule["action"]),
        RESETS.index(rule["reset"]),
    )


def world(*seed: int, quiet: bool = False, markets: int | None = None, figures: bool = True) -> World:
    """Return a random world; a quiet one has no breakers and no plain daily loss."""
    draw = np.random.default_rng(seed)
    count = int(draw.integers(1, 8)) if markets is None else markets
    plain = {
        "max_position": float(draw.choice([0.25, 0.5, 1.0])),
        "max_exposure": float(draw.choice([0.6, 0.9, 1.0])),
        "rebalance_band": float(draw.choice([0.0, 0.02, 0.05])),
        "min_order": float(draw.choice([0.0, 0.01])),
        "max_daily_loss": 1.0 if quiet else float(draw.choice([1.0, 0.05])),
        "cost_rate": float(draw.choice([0.0, 0.0015, 0.05])),
        "min_cash": float(draw.choice([0.0, 0.1])),
    }
    if not figures:
        plain |= {"rebalance_band": 0.0, "min_order": 0.0}
    book = Rulebook(plain)
    _add_instances(book, draw)
    groups = _add_groups(book, draw, count)
    book.trade_risk = float(draw.choice([0.005, 0.02])) if draw.random() < 0.5 else None
    book.volume_share = 0.05 if draw.random() < 0.4 else None
    book.max_positions = float(draw.integers(1, 5)) if draw.random() < 0.4 else None
    if not quiet:
        _add_breakers(book, draw)
    if limits_of(book, groups, count).neutral:
        # Neutral limits have a step of their own, which looks at less.
        book.max_positions = 50.0
    return World(book, limits_of(book, groups, count), count, draw)


def _add_instances(book: Rulebook, draw: np.random.Generator) -> None:
    most: list[Any] = [None, None, 1.0, 2.0]
    for k in range(int(draw.integers(0, 5))):
        family = f"family{draw.integers(0, 3)}"
        book.instances[f"instance{k}"] = {
            "family": family,
            "priority": int(draw.choice([1, 100, 100, 200])),
            "cap": float(draw.choice([0.1, 0.3, 1.0])),
            "most": draw.choice(most),
            "allocation": float(draw.choice([0.1, 0.25])),
        }
    for family in dict.fromkeys(one["family"] for one in book.instances.values()):
        own = [one["allocation"] for one in book.instances.values() if one["family"] == family]
        cap = float(draw.choice([0.15, 0.4, 1.0]))
        book.families[family] = {"cap": cap, "most": draw.choice(most), "allocation": sum(own)}


def _add_groups(book: Rulebook, draw: np.random.Generator, markets: int) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    if draw.random() < 0.3:
        return found
    for kind, caps in (("asset", [0.3]), ("exchange", [0.6, 0.35]), ("currency", [1.0, 0.5])):
        names = draw.integers(0, 3, markets)
        found[kind] = [0] * markets
        for own in dict.fromkeys(names.tolist()):
            inside = {m for m in range(markets) if names[m] == own}
            for market in inside:
                found[kind][market] = len(book.groups)
            book.groups.append((kind, inside, float(draw.choice(caps))))
    return found


def _add_breakers(book: Rulebook, draw: np.random.Generator) -> None:
    for _ in range(int(draw.integers(0, 6))):
        scope = str(draw.choice(["portfolio", "family", "instance"]))
        names = {"portfolio": [""], "family": list(book.families), "instance": list(book.instances)}[scope]
        if not names:
            continue
        action = str(draw.choice(["no_entries", "reduce_only", "reduce_only", "halt"]))
        book.breakers.append(
            {
                "scope": scope,
                "name": str(draw.choice(names)),
                "measure": str(draw.choice(MEASURES)),
                "at": float(draw.choice([0.02, 0.05, 0.15])),
                "action": action,
                "reset": "person" if action == "halt" else str(draw.choice(RESETS)),
            }
        )
