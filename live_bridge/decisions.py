"""Which instances are due, and what they want: the lab's own function on the exchange's bars."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from lab.core.errors import DataError, InsufficientHistoryError
from lab.strategies import Portfolio, StrategyInstance
from live_bridge.bars import Answer, marked_bars, panel_of
from live_bridge.config import LoadedConfig
from live_bridge.inputs import candles_digest
from live_bridge.state import BridgeState
from live_bridge.wishes import Opinion

__all__ = ["Decision", "Decisions", "Skipped", "Waiting", "decide_all", "due_instances"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What an instance wants at the close of one bar.

    Attributes
    ----------
    instance : StrategyInstance
    bar, closed : datetime
        Opening and closing time of the bar.
    weights : mapping of str to float
        By market, fractions of the instance's capital; NaN keeps the quantity.
    inputs : mapping of str to dict
        By market: which bars it was decided from, their digest and quality marks.
    """

    instance: StrategyInstance
    bar: datetime
    closed: datetime
    weights: Mapping[str, float]
    inputs: Mapping[str, dict[str, Any]]

    def document(self) -> dict[str, Any]:
        """Return the decision as exact JSON."""
        instance = self.instance
        return {
            "instance": instance.strategy_id,
            "family": instance.strategy.family,
            "family_version": instance.strategy.version,
            "version": instance.config.version,
            "config_hash": instance.config_hash,
            "stage": instance.config.mode,
            "timeframe": instance.timeframe.name,
            "lookback": instance.lookback,
            "bar": self.bar.isoformat(),
            "closed": self.closed.isoformat(),
            "weights": {name: None if math.isnan(w) else w.hex() for name, w in self.weights.items()},
            "inputs": dict(self.inputs),
        }


@dataclass(frozen=True, slots=True)
class Waiting:
    """An instance whose bar has closed and that the exchange has not published in any of its markets.

    `behind` counts the bars from the newest one published to the one that is due: 1 is ordinary just after a
    close.
    """

    instance: str
    due: datetime
    newest: datetime
    behind: int

    def __str__(self) -> str:
        return (
            f"WAITING_FOR_BAR {self.instance}: bar {self.due:%Y-%m-%d %H:%M}Z has closed, the newest one the "
            f"exchange has opened {self.newest:%Y-%m-%d %H:%M}Z"
        )


@dataclass(frozen=True, slots=True)
class Skipped:
    """A due instance that cannot decide on the bars there are; it keeps its quantities."""

    instance: str
    code: str
    detail: str

    def __str__(self) -> str:
        return f"{self.code} {self.instance}: {self.detail}"

    def document(self) -> dict[str, str]:
        """Return it as JSON."""
        return {"instance": self.instance, "code": self.code, "detail": self.detail}


def due_instances(portfolio: Portfolio, state: BridgeState, now: datetime) -> list[StrategyInstance]:
    """Return the instances with a bar that closed since their last decision, in the portfolio's order."""
    due = []
    for instance in portfolio.instances:
        closed = instance.timeframe.open_time(instance.timeframe.last_complete(now) + 1)
        last = state.decided.get(instance.strategy_id)
        if last is None or closed > last.closed:
            due.append(instance)
    return due


@dataclass(frozen=True, slots=True)
class Decisions:
    """What came of all instances: decisions of the due ones, who waits or cannot, and everyone's opinion."""

    decisions: tuple[Decision, ...]
    waiting: tuple[Waiting, ...]
    skipped: tuple[Skipped, ...]
    opinions: Mapping[str, Opinion]


def decide_all(
    portfolio: Portfolio,
    due: Sequence[StrategyInstance],
    answers: Mapping[tuple[str, str], Answer],
    loaded: LoadedConfig,
    now: datetime,
) -> Decisions:
    """Return each due instance's decision at its last complete bar, or why there is none yet.

    Raises
    ------
    WeightError
        As the lab's functions raise it; nothing is decided then.
    """
    marked = {}
    for timeframe in dict.fromkeys(instance.timeframe for instance in portfolio.instances):
        names = dict.fromkeys(n for i in portfolio.instances if i.timeframe == timeframe for n in i.markets)
        symbols = {name: loaded.settings.symbol(name) for name in names}
        marked[timeframe] = marked_bars(answers, symbols, timeframe, loaded.quality)
    decisions: list[Decision] = []
    waiting: list[Waiting] = []
    skipped: list[Skipped] = []
    opinions: dict[str, Opinion] = {}
    for instance in portfolio.instances:
        try:
            opinion = _opinion(portfolio, instance, marked[instance.timeframe], loaded)
            opinions[instance.strategy_id] = opinion
            if instance not in due:
                continue
            found = _decide(opinion, marked[instance.timeframe], answers, loaded, now)
        except DataError as error:
            opinions.pop(instance.strategy_id, None)
            short = isinstance(error, InsufficientHistoryError)
            code = "SHORT_HISTORY" if short else "DATA_PROBLEM"
            if instance in due:
                skipped.append(Skipped(instance.strategy_id, code, str(error)))
            continue
        if isinstance(found, Decision):
            decisions.append(found)
        else:
            waiting.append(found)
    return Decisions(tuple(decisions), tuple(waiting), tuple(skipped), opinions)


def _opinion(
    portfolio: Portfolio, instance: StrategyInstance, marked: pl.DataFrame, loaded: LoadedConfig
) -> Opinion:
    panel = panel_of(marked, instance.timeframe, instance.markets, loaded.quality)
    panel = panel.tail(portfolio.bars_needed(instance))
    return Opinion(instance, panel, instance.decide(panel))


def _decide(
    opinion: Opinion,
    marked: pl.DataFrame,
    answers: Mapping[tuple[str, str], Answer],
    loaded: LoadedConfig,
    now: datetime,
) -> Decision | Waiting:
    instance, panel = opinion.instance, opinion.panel
    timeframe = instance.timeframe
    number = timeframe.last_complete(now)
    bar = timeframe.open_time(number)
    newest = int(panel.bar[-1])
    if newest < number:
        return Waiting(instance.strategy_id, bar, timeframe.open_time(newest), number - newest)
    if len(panel) < instance.lookback:
        # No market reaches back far enough, so this names the first.
        instance.require_history(panel)
    row = opinion.weights[-1]
    inputs = {
        name: _inputs(name, answers[loaded.settings.symbol(name), timeframe.name], marked, bar)
        for name in instance.markets
    }
    weights = {name: float(weight) for name, weight in zip(instance.markets, row, strict=True)}
    return Decision(instance, bar, bar + timedelta(seconds=timeframe.seconds), weights, inputs)


def _inputs(name: str, answer: Answer, marked: pl.DataFrame, bar: datetime) -> dict[str, Any]:
    rows = marked.filter(pl.col("market") == name)
    last = rows.filter(pl.col("ts") == bar).select("quality", "reason").rows()
    quality, reason = last[0] if last else ("MISSING", "")
    return {
        "symbol": answer.symbol,
        "start": answer.start.isoformat(),
        "end": answer.end.isoformat(),
        "bars": len(answer.candles),
        "digest": candles_digest(answer.candles),
        "quality": {quality: count for quality, count in rows["quality"].value_counts(sort=True).rows()},
        "last_quality": quality,
        "last_reason": reason,
    }
