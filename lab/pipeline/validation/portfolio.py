"""A portfolio's result: its instances' decisions on one account, under its limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.backtest import run_backtest
from lab.core.panel import Panel
from lab.costs import Costs
from lab.pipeline.evaluations import trial_of
from lab.pipeline.parity import certificate_of
from lab.pipeline.portfolio_inputs import PortfolioInputs
from lab.pipeline.subjects import PORTFOLIO_FAMILY, subject_of
from lab.pipeline.validation.judged import Decisions, Judged, Noise
from lab.risk import plan_of
from lab.search import DataIdentity, TrialBatch, cost_hash
from lab.validation.robustness import noisy

__all__ = ["JudgedPortfolio"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class JudgedPortfolio(Judged):
    """The result of a portfolio; nothing was searched, and its shares have no neighbours."""

    inputs: PortfolioInputs

    @property
    def facts(self) -> Mapping[str, str]:
        """Identity."""
        return {
            "strategy_id": self.inputs.portfolio.portfolio_id,
            "family": PORTFOLIO_FAMILY,
            "data_hash": self.inputs.data_hash,
            "config_hash": self.inputs.portfolio.config_hash,
        }

    @property
    def identity(self) -> DataIdentity:
        """Which data its trials looked at."""
        return subject_of(self.inputs).identity

    @property
    def costs(self) -> Costs:
        """Costs of its account."""
        return self.inputs.portfolio.costs

    @property
    def history(self) -> Panel:
        """All bars that it trades on."""
        return self.inputs.panel

    @property
    def panel(self) -> Panel:
        """The account's bars: all of them."""
        return self.inputs.panel

    def decisions(self, noise: Noise | None = None) -> Decisions:
        """Return what the portfolio decides; each instance sees noise of its own."""
        if noise is None:
            decided = self.inputs.decide()
        else:
            seeds = np.random.SeedSequence(noise.seed).generate_state(len(self.inputs.instances)).tolist()
            panels = [
                noisy(one.panel, noise.scale, seed)
                for one, seed in zip(self.inputs.instances, seeds, strict=True)
            ]
            decided = self.inputs.portfolio.decide(panels)
        return Decisions(self.inputs.targets(decided), self.inputs.parts(decided))

    def account(
        self, decisions: Decisions, *, costs: Costs, extra_lag: int = 0, skipped: int = 0
    ) -> tuple[Array, TrialBatch]:
        """Return the returns of the decisions and the trial they are."""
        portfolio = self.inputs.portfolio
        panel = self.panel.rows(skipped, len(self.panel))
        left = decisions.later(skipped)
        plan = plan_of(portfolio.risk, costs=costs, markets=panel.markets, sleeves=portfolio.sleeves)
        result = run_backtest(
            panel,
            left.weights,
            costs=costs,
            risk=plan,
            parts=left.parts,
            cash=portfolio.capital,
            lag=1 + extra_lag,
        )
        batch = trial_of(replace(self.inputs, panel=panel), result)
        if costs != portfolio.costs:
            batch = replace(batch, cost_hash=cost_hash(costs))
        return result.bars.returns, batch

    def certificate(self, *, seed: int, progress: Callable[[float], None]) -> dict[str, Any]:
        """Certify every instance: bars and findings added up, lookbacks the longest."""
        found = [
            certificate_of(one.instance, one.panel, seed=seed, progress=progress).report()
            for one in self.inputs.instances
        ]
        return {
            "bars_checked": sum(one["bars_checked"] for one in found),
            "mismatches": sum(one["mismatches"] for one in found),
            "max_ulp": max(one["max_ulp"] for one in found),
            "lookback_declared": max(one["lookback_declared"] for one in found),
            "lookback_measured": max(one["lookback_measured"] or 0 for one in found),
            "leaks": [leak for one in found for leak in one["leaks"]],
        }
