"""How much of every limit is used, now."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lab.risk.layers import NEGLIGIBLE
from lab.risk.plan import RiskPlan
from lab.risk.state import REFERENCE, TRIPPED, RiskState

__all__ = ["Budget", "budgets"]


@dataclass(frozen=True, slots=True)
class Budget:
    """The use of one limit.

    Attributes
    ----------
    limit : str
        Which: ``daily loss``, ``exposure``, ``asset BTC``, ``drawdown`` …
    scope : str
        Of whom: ``portfolio``, ``family NAME``, ``instance NAME``, or the market.
    used, of : float
        Figure now and figure allowed, in the same unit: fractions of equity, or markets.
    tripped : bool
        Whether it is a breaker that has tripped and is not reset.

    Examples
    --------
    >>> print(Budget("daily loss", "portfolio", 0.036, 0.05))
    72 % of the daily loss limit
    """

    limit: str
    scope: str
    used: float
    of: float
    tripped: bool = False

    @property
    def fraction(self) -> float:
        """``used / of``; NaN where something is used of a limit of 0 or is not known."""
        if self.of > 0.0:
            return self.used / self.of
        return 0.0 if self.used == 0.0 else math.nan

    def document(self) -> dict[str, Any]:
        """Return the row for machines."""
        return {
            "limit": self.limit,
            "scope": self.scope,
            "used": self.used,
            "of": self.of,
            "fraction": self.fraction,
            "tripped": self.tripped,
        }

    def __str__(self) -> str:
        whose = "" if self.scope == "portfolio" else f" of {self.scope}"
        known = "unknown share" if math.isnan(self.fraction) else f"{self.fraction:.0%}".replace("%", " %")
        return f"{known} of the {self.limit} limit{whose}" + (", tripped" if self.tripped else "")


def budgets(state: RiskState, plan: RiskPlan) -> list[Budget]:
    """Return the use of every limit that can bind, in the order of the layers.

    Parameters
    ----------
    state : RiskState
        As observed, or as :func:`lab.risk.step` returned it: weights are those before its trades.
    plan : RiskPlan
        What is enforced. Limits that are off (a weight of 1, a loss of 1, any number) have no row.

    Examples
    --------
    >>> from lab.core.settings import RiskSettings
    >>> from lab.risk import initial_state, observe, plan_of
    >>> plan = plan_of(RiskSettings(max_daily_loss_pct=0.05), markets=["binance:BTC/USDT"])
    >>> day = observe(initial_state(1, 100.0), 100.0, np.array([0.0]), np.array([True]), 19_000)
    >>> later = observe(day, 96.4, np.array([0.0]), np.array([True]), 19_000)
    >>> [str(row) for row in budgets(later, plan)]
    ['72 % of the daily loss limit']
    """
    limits = plan.limits
    rows = [*_losses(state, plan)]
    held = state.weights
    if limits.max_exposure < 1.0 or limits.min_cash > 0.0:
        most = min(limits.max_exposure, 1.0 - limits.min_cash)
        rows.append(Budget("exposure", "portfolio", float(held.sum()), most))
    if limits.max_positions < math.inf:
        rows.append(Budget("positions", "portfolio", float((held > NEGLIGIBLE).sum()), limits.max_positions))
    if limits.max_position < 1.0:
        rows += [
            Budget("position", market, float(held[i]), limits.max_position)
            for i, market in enumerate(plan.markets)
            if held[i] != 0.0
        ]
    rows += _groups(state, plan)
    rows += _scopes(state, plan)
    return rows


def _losses(state: RiskState, plan: RiskPlan) -> Iterator[Budget]:
    limits = plan.limits
    if limits.max_daily_loss < 1.0:
        loss = 1.0 - state.equity / state.day_start_equity if state.day_start_equity > 0.0 else math.nan
        reached = not loss < limits.max_daily_loss
        yield Budget("daily loss", "portfolio", _positive(loss), limits.max_daily_loss, reached)
    for b, rule in enumerate(plan.breakers):
        reference, tripped = state.breakers[b, REFERENCE], bool(state.breakers[b, TRIPPED])
        equity = state.equity if rule.place < 0 else state.virtual[rule.place]
        begun = reference != 0.0
        loss = float(1.0 - equity / reference) if begun else 0.0
        name = f"{rule.measure.replace('_', ' ')}" + (" (entries)" if rule.action == "no_entries" else "")
        yield Budget(name, rule.scope, _positive(loss), rule.at, tripped)


def _positive(loss: float) -> float:
    """Return a loss, 0 for a gain; NaN stays."""
    return 0.0 if loss <= 0.0 else loss


def _groups(state: RiskState, plan: RiskPlan) -> Iterator[Budget]:
    for g, name in enumerate(plan.groups):
        inside = (plan.limits.groups == g).any(axis=0)
        used = float(state.weights[inside].sum())
        if plan.limits.group_caps[g] < 1.0 and used != 0.0:
            yield Budget(name, "portfolio", used, float(plan.limits.group_caps[g]))


def _scopes(state: RiskState, plan: RiskPlan) -> Iterator[Budget]:
    for s, name in enumerate(plan.scopes):
        own = _rows_of(s, plan)
        held = (state.sleeves[own] * state.weights).sum(axis=0)
        cap, most = plan.limits.scopes[s, 0], plan.limits.scopes[s, 1]
        if cap < 1.0:
            yield Budget("exposure", name, float(held.sum()), float(cap))
        if most < math.inf:
            yield Budget("positions", name, float((held > NEGLIGIBLE).sum()), float(most))


def _rows_of(scope: int, plan: RiskPlan) -> np.ndarray[Any, np.dtype[np.int64]]:
    count = len(plan.instances)
    if scope < count:
        return np.array([scope])
    return np.flatnonzero(plan.limits.sleeves[:, 0] == scope - count)
