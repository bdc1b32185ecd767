"""Faults on request: which request they hit, decided by count and seed, and what they do."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

from pydantic import Field, model_validator

from lab.core.settings import Section
from live_bridge.loopback.money import plain

__all__ = ["KLINE_FAULTS", "Fault", "FaultPlan", "spoil_klines"]

KLINE_FAULTS: Final = (
    "stale", "missing", "duplicate", "unsorted", "zero", "nan", "negative_volume", "high_below_low",
    "misaligned", "future", "text", "empty_list",
)  # fmt: skip

Kind = Literal[
    "drop", "reset", "hang", "late", "delay", "status", "body", "empty", "truncated", "cut", "garbage",
    "replay", "skew", "klines",
]  # fmt: skip


class Fault(Section):
    """One fault: a matcher, and what happens to the requests that it hits.

    The matcher counts the requests that fit method, path and symbol; of these `nth`, `every`,
    `probability` and `times` choose.
    """

    kind: Kind
    when: Literal["before", "after"] = Field("before", description="before or after the request is processed")
    method: str | None = Field(None, description="GET, POST, DELETE; none: any")
    path: str = Field("*", description="path with * as wildcard, for example /api/v3/order")
    symbol: str | None = None
    nth: int | tuple[int, ...] | None = Field(None, description="only these matching requests, from 1")
    every: int | None = Field(None, ge=1, description="only every so many-th matching request")
    probability: float = Field(1.0, ge=0, le=1)
    times: int | None = Field(None, ge=1, description="at most so often")
    milliseconds: int = Field(0, ge=-86_400_000, le=86_400_000, description="delay, hang, late, skew")
    status: int = Field(503, ge=200, le=599)
    code: int | None = Field(None, description="Binance's error code in the body")
    message: str = ""
    body: str = Field("", description="text of kind body")
    retry_after: int | None = Field(None, ge=0, description="seconds, as Retry-After")
    klines: str | None = Field(None, description="of kind klines: " + ", ".join(KLINE_FAULTS))
    count: int = Field(1, ge=1, description="bars touched, from the end")

    @model_validator(mode="after")
    def _consistent(self) -> Fault:
        if (self.kind == "klines") != (self.klines is not None):
            raise ValueError("kind klines and the key klines go together")
        if self.klines is not None and self.klines not in KLINE_FAULTS:
            raise ValueError(f"klines is {self.klines!r}; expected one of {', '.join(KLINE_FAULTS)}")
        return self


@dataclass(slots=True)
class _Armed:
    fault: Fault
    generator: random.Random
    seen: int = 0
    hits: int = 0


@dataclass(slots=True)
class FaultPlan:
    """The faults in force. Every fault draws from a generator of its own, seeded by `seed` and its number.

    So the same requests meet the same faults, however many other faults are in force.
    """

    seed: int = 0
    _armed: list[_Armed] = field(default_factory=list)
    _numbered: int = 0

    def add(self, fault: Fault) -> int:
        """Put `fault` in force and return its number."""
        self._numbered += 1
        # Not for secrets: the same seed must give the same faults.
        self._armed.append(_Armed(fault, random.Random(f"{self.seed}:{self._numbered}")))  # noqa: S311
        return self._numbered

    def clear(self) -> None:
        """Take all faults out of force."""
        self._armed.clear()

    def hit(self, method: str, path: str, parameters: Mapping[str, str]) -> list[Fault]:
        """Return the faults that hit this request, in the order they were added."""
        return [armed.fault for armed in self._armed if _hits(armed, method, path, parameters)]

    def report(self) -> list[dict[str, Any]]:
        """Return each fault with how many requests it matched and hit."""
        return [
            {**armed.fault.model_dump(exclude_defaults=True), "seen": armed.seen, "hits": armed.hits}
            for armed in self._armed
        ]


def _hits(armed: _Armed, method: str, path: str, parameters: Mapping[str, str]) -> bool:
    fault = armed.fault
    fits = fault.method in {None, method} and fnmatchcase(path, fault.path)
    if not fits or fault.symbol not in {None, parameters.get("symbol")}:
        return False
    armed.seen += 1
    drawn = armed.generator.random() < fault.probability
    chosen = (fault.nth,) if isinstance(fault.nth, int) else fault.nth
    hit = (
        drawn
        and (chosen is None or armed.seen in chosen)
        and (fault.every is None or armed.seen % fault.every == 0)
        and (fault.times is None or armed.hits < fault.times)
    )
    armed.hits += int(hit)
    return hit


Rows = list[list[Any]]


def _changed(rows: Rows, count: int, change: Callable[[list[Any]], list[Any]]) -> Rows:
    return [*rows[:-count], *(change(list(row)) for row in rows[-count:])]


def _with(position: int, value: Any) -> Callable[[list[Any]], list[Any]]:
    return lambda row: [*row[:position], value, *row[position + 1 :]]


def _prices(value: Any) -> Callable[[list[Any]], list[Any]]:
    return lambda row: [row[0], value, value, value, value, *row[5:]]


def _moved(row: list[Any], milliseconds: int) -> list[Any]:
    return [row[0] + milliseconds, *row[1:6], row[6] + milliseconds, *row[7:]]


def _high_below_low(row: list[Any]) -> list[Any]:
    return [*row[:2], plain(Decimal(row[3]) / 2), *row[3:]]


def spoil_klines(rows: Sequence[list[Any]], kind: str, count: int) -> Rows:
    """Return klines spoiled in the way `kind` names, on the last `count` bars.

    Examples
    --------
    >>> [row[0] for row in spoil_klines([[1], [2], [3]], "stale", 1)]
    [1, 2]
    """
    bars: Rows = [list(row) for row in rows]
    length = bars[0][6] - bars[0][0] + 1 if bars and len(bars[0]) > 6 else 0
    spoil: dict[str, Callable[[], Rows]] = {
        "stale": lambda: bars[:-count],
        "missing": lambda: [*bars[: -count - 1], *bars[-1:]],
        "duplicate": lambda: [*bars, *bars[-count:]],
        "unsorted": lambda: [*bars[-count:], *bars[:-count]],
        "zero": lambda: _changed(bars, count, _prices("0.00000000")),
        "nan": lambda: _changed(bars, count, _prices("NaN")),
        "negative_volume": lambda: _changed(bars, count, _with(5, "-1.00000000")),
        "high_below_low": lambda: _changed(bars, count, _high_below_low),
        "misaligned": lambda: _changed(bars, count, lambda row: _moved(row, 1)),
        "future": lambda: [*bars, *(_moved(row, length * count) for row in bars[-count:])],
        "text": lambda: _changed(bars, count, _prices("not a number")),
        "empty_list": list,
    }
    return spoil[kind]()
