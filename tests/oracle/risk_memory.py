"""What risk remembers, in plain Python: virtual equities, breakers, the mode."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any


@dataclass
class Rulebook:
    """What is enforced. Breakers: dicts of scope, name, measure, at, action, reset."""

    figures: dict[str, float]
    instances: dict[str, dict[str, Any]] = field(default_factory=dict)
    families: dict[str, dict[str, Any]] = field(default_factory=dict)
    groups: list[tuple[str, set[int], float]] = field(default_factory=list)
    breakers: list[dict[str, Any]] = field(default_factory=list)
    trade_risk: float | None = None
    volume_share: float | None = None
    max_positions: float | None = None


@dataclass
class Seen:
    """What is observed at one execution time."""

    target: list[float]
    equity: float
    weights: list[float]
    tradeable: list[bool]
    day: int
    marks: list[float]
    volatility: list[float]
    volume: list[float]
    trouble: list[float]
    parts: dict[str, list[float]]


def period(day: int, kind: str) -> Any:
    when = date(1970, 1, 1) + timedelta(days=day)
    if kind.startswith("da"):
        return when
    return when.isocalendar()[:2] if kind.startswith("week") else (when.year, when.month)


class Memory:
    """What an account under a rulebook remembers from step to step."""

    def __init__(self, book: Rulebook, markets: int, capital: float) -> None:
        self.book, self.markets = book, markets
        self.day, self.day_start, self.mode = None, capital, "NORMAL"
        self.past_equity = capital
        self.past_marks: list[float | None] = [None] * markets
        self.banned: set[int] = set()
        self.share = {name: [0.0] * markets for name in book.instances}
        self.worth = {("instance", n): 1.0 for n in book.instances}
        self.worth |= {("family", n): 1.0 for n in book.families}
        self.memory: list[dict[str, Any]] = [{} for _ in book.breakers]

    def revalue(self, seen: Seen) -> None:
        gains = {scope: 0.0 for scope in self.worth}
        for market in range(self.markets):
            past = self.past_marks[market]
            if seen.weights[market] == 0 or past is None:
                continue
            value, mark = seen.weights[market] * seen.equity, seen.marks[market]
            gain = value - value / mark * past if 0 < mark < math.inf else math.nan
            for name, instance in self.book.instances.items():
                if self.share[name][market] > 0:
                    gains["instance", name] += self.share[name][market] * gain
                    gains["family", instance["family"]] += self.share[name][market] * gain
        for (kind, name), gain in gains.items():
            table = self.book.instances if kind == "instance" else self.book.families
            capital = table[name]["allocation"] * self.past_equity
            if capital > 0:
                self.worth[kind, name] *= 1 + gain / capital
            elif gain != 0:
                self.worth[kind, name] = math.nan
        self.past_equity = seen.equity
        for market, mark in enumerate(seen.marks):
            if not math.isnan(mark):
                self.past_marks[market] = mark

    def breakers(self, seen: Seen) -> dict[Any, list[tuple[str, str]]]:
        """Return what tripped, by scope: pairs of action and reason."""
        found: dict[Any, list[tuple[str, str]]] = {}
        for rule, memory in zip(self.book.breakers, self.memory, strict=True):
            scope = "portfolio" if rule["scope"] == "portfolio" else (rule["scope"], rule["name"])
            ends = None if rule["reset"] == "person" else period(seen.day, rule["reset"])
            over = memory.get("tripped", False) and memory["until"] != ends
            if over and scope != "portfolio" and not 0 < self.worth[scope] < math.inf:
                self.worth[scope] = 1.0
            now = seen.equity if scope == "portfolio" else self.worth[scope]
            if over:
                memory["tripped"] = False
            if rule["measure"] == "drawdown":
                if "from" not in memory or over:
                    memory["from"] = now
                if not memory.get("tripped") and now > memory["from"]:
                    memory["from"] = now
            elif memory.get("period") != period(seen.day, rule["measure"].replace("daily", "day")):
                memory["period"] = period(seen.day, rule["measure"].replace("daily", "day"))
                memory["from"] = now
            fine = math.isfinite(now) and now > 0 and now > memory["from"] * (1 - rule["at"])
            if not memory.get("tripped") and not fine:
                memory.update(tripped=True, until=ends)
            if memory.get("tripped"):
                reason = {"daily_loss": "DAILY_LOSS", "weekly_loss": "WEEKLY_LOSS"}.get(
                    rule["measure"], "MONTHLY_LOSS" if rule["measure"] == "monthly_loss" else "DRAWDOWN"
                )
                found.setdefault(scope, []).append((rule["action"], reason))
        return found

    def account_mode(self, seen: Seen, actions) -> tuple[set[str], set[str]]:
        tripped = actions.get("portfolio", [])
        action = strictest(tripped)
        reasons = {reason for own, reason in tripped if own == action}
        floor = self.day_start * (1 - self.book.figures["max_daily_loss"])
        if self.mode == "NORMAL" and not (floor < seen.equity < math.inf and seen.equity > 0):
            self.mode = "REDUCE_ONLY"
        stop = set()
        if self.mode == "HALTED" or action == "halt":
            stop.add("HALTED")
        if action in ("reduce_only", "halt"):
            stop |= reasons
            self.mode = "HALTED" if action == "halt" or self.mode == "HALTED" else "REDUCE_ONLY"
        elif self.mode == "REDUCE_ONLY":
            stop.add("DAILY_LOSS")
        return stop, reasons if action == "no_entries" else set()


def strictest(tripped: list[tuple[str, str]]) -> str | None:
    for action in ("halt", "reduce_only", "no_entries"):
        if any(own == action for own, _ in tripped):
            return action
    return None
