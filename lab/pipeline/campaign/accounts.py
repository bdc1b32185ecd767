"""The accounts of a campaign: each member at each cost level, counted; and buy and hold beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.backtest import BacktestResult, Bars, by_hour, by_market, by_period
from lab.backtest.attribution import by_family
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.costs import Costs
from lab.pipeline.benchmark import buy_and_hold
from lab.pipeline.campaign.config import COST_LEVELS, Member
from lab.pipeline.evaluations import evaluate, trial_of
from lab.pipeline.inputs import Inputs, load_inputs
from lab.pipeline.portfolio_inputs import PortfolioInputs, load_portfolio_inputs
from lab.pipeline.subjects import subject_of
from lab.search import DataIdentity, Ledger
from lab.strategies import Portfolio
from lab.validation.overfitting import SharpeStatistics, sharpe_statistics

__all__ = ["Account", "Holdings", "MemberAccounts", "at_costs", "load_member", "run_member"]

AnyInputs = Inputs | PortfolioInputs


@dataclass(frozen=True, slots=True, eq=False)
class Account:
    """What a member did at one cost level.

    Attributes
    ----------
    bars : Bars
        Of all its bars, those before the first decision included.
    costs : Costs
        Charged.
    statistics : SharpeStatistics
        What its Sharpe ratio is deflated with.
    engine_difference : float
    status : str
    """

    bars: Bars
    costs: Costs
    statistics: SharpeStatistics
    engine_difference: float
    status: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class MemberAccounts:
    """All accounts of a member; its bars are not kept, for a campaign has many members.

    Attributes
    ----------
    member : Member
    identity : DataIdentity
        Which data its trials looked at.
    timeframe : Timeframe
    ts : ndarray of datetime64[us], shape (T,)
        Opening times of its bars.
    first : int
        Row of the first bar that it may hold a position in: what lies before is warm-up.
    stored_bars : int
        Of all its markets.
    features : mapping of str to str
        Features read, by their definition's hash.
    data_hash, config_hash : str
    accounts : mapping of str to Account
        By cost level.
    breakdowns : mapping of str to DataFrame
        At the headline's costs: ``markets``, ``months``, ``quarters``, ``years``, ``hours`` where bars are
        shorter than a day, ``families`` of a portfolio; all its bars.
    """

    member: Member
    identity: DataIdentity
    timeframe: Timeframe
    ts: NDArray[np.datetime64]
    first: int
    stored_bars: int
    features: Mapping[str, str]
    data_hash: str
    config_hash: str
    accounts: Mapping[str, Account]
    breakdowns: Mapping[str, pl.DataFrame]


def load_member(member: Member, *, root: Path) -> AnyInputs:
    """Load a member's bars, and refuse those that have none after the warm-up."""
    window = {"start": member.start, "end": member.end}
    if isinstance(member.subject, Portfolio):
        return load_portfolio_inputs(member.subject, root=root, **window)
    return load_inputs(member.subject, root=root, **window)


def at_costs(inputs: AnyInputs, level: str) -> AnyInputs:
    """Return `inputs` with the costs of a level in place of the file's own."""
    settings = COST_LEVELS[level]
    if settings is None:
        return inputs
    if isinstance(inputs, PortfolioInputs):
        changed = inputs.portfolio.config.model_copy(update={"costs": settings})
        return replace(inputs, portfolio=replace(inputs.portfolio, config=changed))
    config = inputs.instance.config.model_copy(update={"costs": settings})
    return replace(inputs, instance=replace(inputs.instance, config=config))


def run_member(
    member: Member, inputs: AnyInputs, levels: Sequence[str], headline: str, ledger: Ledger
) -> MemberAccounts:
    """Run a member at every level in both engines; every run is a trial of the ledger."""
    accounts: dict[str, Account] = {}
    breakdowns: dict[str, pl.DataFrame] = {}
    for level in levels:
        charged = at_costs(inputs, level)
        result = evaluate(charged).result
        ledger.append(trial_of(charged, result))
        accounts[level] = Account(
            bars=result.bars,
            costs=result.cost_model,
            statistics=sharpe_statistics(result.bars.returns),
            engine_difference=np.inf if result.engine_difference is None else result.engine_difference,
            status=result.status,
            warnings=result.warnings,
        )
        if level == headline:
            breakdowns = _breakdowns(charged, result)
    subject = subject_of(inputs)
    return MemberAccounts(
        member=member,
        identity=subject.identity,
        timeframe=subject.timeframe,
        ts=subject.panel.ts.copy(),
        first=min(_warm_up(inputs), max(len(subject.panel) - 1, 0)),
        stored_bars=subject.bars.height,
        features=subject.features,
        data_hash=subject.data_hash,
        config_hash=subject.config_hash,
        accounts=accounts,
        breakdowns=breakdowns,
    )


def _breakdowns(inputs: AnyInputs, result: BacktestResult) -> dict[str, pl.DataFrame]:
    timeframe = inputs.panel.timeframe
    ts, bars = result.returns["ts"], result.bars
    found = {"markets": by_market(result)}
    for every in ("month", "quarter", "year"):
        found[f"{every}s"] = by_period(ts, bars, every=every, timeframe=timeframe)
    if timeframe.seconds < Timeframe.parse("1d").seconds:
        found["hours"] = by_hour(ts, bars, timeframe=timeframe)
    if isinstance(inputs, PortfolioInputs):
        parts = np.nan_to_num(inputs.parts(inputs.decide()))
        families = inputs.portfolio.families
        wanted = {
            family: parts[:, [k for k, own in enumerate(families) if own == family]].sum(axis=1)
            for family in dict.fromkeys(families)
        }
        found["families"] = by_family(result, wanted, timeframe=timeframe)
    return found


def _warm_up(inputs: AnyInputs) -> int:
    """Return the row of the first bar that a decision with full history can trade in."""
    if isinstance(inputs, Inputs):
        return inputs.instance.lookback
    seconds = inputs.panel.timeframe.seconds
    return max(
        -(-one.instance.lookback * one.instance.timeframe.seconds // seconds) for one in inputs.instances
    )


@dataclass(slots=True, eq=False)
class Holdings:
    """Buy and hold from any bar to any other, at any costs; kept, for members share their markets."""

    _known: dict[tuple[Any, ...], Bars] = field(default_factory=dict)

    def bars(self, panel: Panel, first: int, stop: int, costs: Costs) -> Bars:
        """Return the bars ``first … stop - 1`` of who decided at the close of the bar before the first."""
        held_on = panel.rows(max(first - 1, 0), stop)
        key = (panel.timeframe, panel.markets, int(held_on.bar[0]), int(held_on.bar[-1]), costs)
        if key not in self._known:
            self._known[key] = buy_and_hold(held_on, costs).bars
        held = self._known[key]
        return held.rows(min(first, 1), len(held))
