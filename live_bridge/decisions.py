"""Which instances are due, and what they want: the lab's own function on the exchange's bars."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from lab.core.errors import DataError, InsufficientHistoryError
from lab.strategies import Portfolio, StrategyInstance
from live_bridge.bars import Answer, marked_bars, panel_of
from live_bridge.config import LoadedConfig
from live_bridge.inputs import candles_digest
from live_bridge.series import SeriesAnswer, SeriesError, overdue, series_inputs, with_series
from live_bridge.state import BridgeState
from live_bridge.undecided import Notice, SeriesWaiting, Skipped, Waiting
from live_bridge.wishes import Opinion

__all__ = ["Decision", "Decisions", "decide_all", "due_instances"]


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
    series : mapping of str to dict
        By series: which values; see :func:`live_bridge.series.series_inputs`.
    liquidity : mapping
        Where the instance demands a least volume: the least one, and by market the mean daily quote volume
        that was found (None: not known), and which markets it blocked.
    """

    instance: StrategyInstance
    bar: datetime
    closed: datetime
    weights: Mapping[str, float]
    inputs: Mapping[str, dict[str, Any]]
    series: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    liquidity: Mapping[str, Any] = field(default_factory=dict)

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
            # Left out by instances that read bars alone, as in the decisions of before series were read.
            **({"series": dict(self.series)} if self.series else {}),
            **({"liquidity": dict(self.liquidity)} if self.liquidity else {}),
        }


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
    """What came of all instances: decisions of the due ones, who waits or cannot, and everyone's opinion.

    `notices` are of the decisions.
    """

    decisions: tuple[Decision, ...]
    waiting: tuple[Waiting | SeriesWaiting, ...]
    skipped: tuple[Skipped, ...]
    opinions: Mapping[str, Opinion]
    notices: tuple[Notice, ...] = ()


def decide_all(
    portfolio: Portfolio,
    due: Sequence[StrategyInstance],
    answers: Mapping[tuple[str, str], Answer],
    loaded: LoadedConfig,
    now: datetime,
    series: Mapping[str, SeriesAnswer] | None = None,
) -> Decisions:
    """Return each due instance's decision at its last complete bar, or why there is none yet.

    Parameters
    ----------
    portfolio, due
        All instances, and those that decide now.
    answers : mapping
        Bars, as :func:`live_bridge.bars.fetch_bars` returns them.
    loaded : LoadedConfig
    now : datetime
        Exchange time.
    series : mapping, optional
        As :func:`live_bridge.series.fetch_series` returns it; needed where an instance reads one.

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
    waiting: list[Waiting | SeriesWaiting] = []
    skipped: list[Skipped] = []
    opinions: dict[str, Opinion] = {}
    notices: list[Notice] = []
    for instance in portfolio.instances:
        try:
            opinion = _opinion(portfolio, instance, marked[instance.timeframe], loaded, series or {})
            opinions[instance.strategy_id] = opinion
            if instance not in due:
                continue
            found = _decide(opinion, marked[instance.timeframe], answers, loaded, now, series or {})
        except DataError as error:
            opinions.pop(instance.strategy_id, None)
            if instance in due:
                skipped.append(Skipped(_code(error), instance.strategy_id, str(error)))
            continue
        if isinstance(found, Decision):
            decisions.append(found)
            notices += _notices(found, series or {})
        else:
            waiting.append(found)
    return Decisions(tuple(decisions), tuple(waiting), tuple(skipped), opinions, tuple(notices))


def _code(error: DataError) -> str:
    if isinstance(error, SeriesError):
        return "SERIES_MISSING"
    return "SHORT_HISTORY" if isinstance(error, InsufficientHistoryError) else "DATA_PROBLEM"


def _opinion(
    portfolio: Portfolio,
    instance: StrategyInstance,
    marked: pl.DataFrame,
    loaded: LoadedConfig,
    series: Mapping[str, SeriesAnswer],
) -> Opinion:
    panel = panel_of(marked, instance.timeframe, instance.markets, loaded.quality)
    panel = with_series(instance, panel.tail(portfolio.bars_needed(instance)), series)
    return Opinion(instance, panel, instance.decide(panel))


def _decide(
    opinion: Opinion,
    marked: pl.DataFrame,
    answers: Mapping[tuple[str, str], Answer],
    loaded: LoadedConfig,
    now: datetime,
    series: Mapping[str, SeriesAnswer],
) -> Decision | Waiting | SeriesWaiting:
    instance, panel = opinion.instance, opinion.panel
    timeframe = instance.timeframe
    number = timeframe.last_complete(now)
    bar = timeframe.open_time(number)
    closed = bar + timeframe.duration
    newest = int(panel.bar[-1])
    if newest < number:
        return Waiting(instance.strategy_id, bar, timeframe.open_time(newest), number - newest)
    if len(panel) < instance.lookback:
        # No market reaches back far enough, so this names the first.
        instance.require_history(panel)
    read = series_inputs(instance, panel, series)
    late = overdue(instance, closed, series)
    stale = any(entry["unknown"] for entry in read.values())
    # Counted from when it was due, not from each close: or hourly runs would wait for it for ever.
    if late and not stale and now < late.due + timedelta(seconds=loaded.settings.series_wait_s):
        return SeriesWaiting(instance.strategy_id, late.detail)
    row = opinion.weights[-1]
    inputs = {
        name: _inputs(name, answers[loaded.settings.symbol(name), timeframe.name], marked, bar)
        for name in instance.markets
    }
    weights = {name: float(weight) for name, weight in zip(instance.markets, row, strict=True)}
    return Decision(instance, bar, closed, weights, inputs, read, _liquidity(opinion))


def _liquidity(opinion: Opinion) -> dict[str, Any]:
    """Return what the least volume of an instance found and blocked at its last bar; empty without one."""
    rule, volumes = opinion.instance.config.liquidity, opinion.instance.daily_volumes(opinion.panel)
    if rule is None or volumes is None:
        return {}
    found = dict(zip(opinion.instance.markets, volumes.tolist(), strict=True))
    return {
        "min_daily_volume": rule.min_daily_volume.hex(),
        "window_days": rule.window_days,
        "found": {name: None if math.isnan(volume) else volume.hex() for name, volume in found.items()},
        "blocked": [name for name, volume in found.items() if not volume >= rule.min_daily_volume],
    }


def _notices(decision: Decision, series: Mapping[str, SeriesAnswer]) -> list[Notice]:
    """Return what is wrong with the series that a decision was made from all the same."""
    name = decision.instance.strategy_id
    found = []
    for config in decision.instance.config.series:
        unknown = decision.series[config.name]["unknown"]
        if unknown:
            text = (
                f"series {config.name} has no value for {', '.join(unknown)} that is known and at most "
                f"{config.max_age_days:g} days old at {decision.closed:%Y-%m-%d %H:%M}Z; what is NaN in the "
                "backtest is NaN here"
            )
            found.append(Notice("SERIES_STALE", name, text))
    late = overdue(decision.instance, decision.closed, series)
    if late and not found:
        found.append(Notice("SERIES_LATE", name, f"{late.detail}; decided with the one before"))
    return found


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
