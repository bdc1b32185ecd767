"""A strategy's result: one instance on all bars, or a search's winners on the bars held out from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.backtest import ExecutionPrices, simulate_weights
from lab.core.panel import Panel
from lab.costs import Costs
from lab.pipeline.inputs import Inputs
from lab.pipeline.parity import certificate_of
from lab.pipeline.validation.judged import Decisions, Judged, Noise
from lab.risk import Limits
from lab.search import DataIdentity, TrialBatch, cost_hash, panel_hash, parameter_hash, sketch
from lab.strategies import StrategyInstance
from lab.validation.overfitting import sharpe_statistics
from lab.validation.robustness import noisy

__all__ = ["JudgedStrategy", "Segment"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Bars ``start … stop - 1`` of a panel, and the instance that decided on them."""

    start: int
    stop: int
    instance: StrategyInstance


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class JudgedStrategy(Judged):
    """The result of one strategy.

    Parameters
    ----------
    inputs : Inputs
        Bars, with the instance as its file has it.
    segments : tuple of Segment
        In time order, without gaps: the folds of a search, or one.
    trials : polars.DataFrame or None
        Of a search.
    moments : polars.DataFrame or None
        What a search's probability of overfitting is made of.
    """

    inputs: Inputs
    segments: tuple[Segment, ...]
    trials: pl.DataFrame | None = None
    moments: pl.DataFrame | None = None

    @property
    def instance(self) -> StrategyInstance:
        """The instance that would decide next."""
        return self.segments[-1].instance

    @property
    def facts(self) -> Mapping[str, str]:
        """Identity."""
        return {
            "strategy_id": self.instance.strategy_id,
            "family": self.instance.strategy.family,
            "data_hash": self.inputs.data_hash,
            "config_hash": self.instance.config_hash,
        }

    @property
    def identity(self) -> DataIdentity:
        """Which data its trials looked at."""
        return DataIdentity.of(self.instance.markets, self.instance.timeframe)

    @property
    def costs(self) -> Costs:
        """Costs of its account."""
        return self.instance.costs

    @property
    def history(self) -> Panel:
        """All bars that it was given."""
        return self.inputs.panel

    @property
    def panel(self) -> Panel:
        """The account's bars."""
        return self.inputs.panel.rows(self.segments[0].start, self.segments[-1].stop)

    def decisions(self, noise: Noise | None = None) -> Decisions:
        """Return the decisions of every segment's instance on its bars."""
        seen = self.inputs.panel if noise is None else noisy(self.inputs.panel, noise.scale, noise.seed)
        parts = [one.instance.decide(seen)[one.start : one.stop] for one in self.segments]
        return Decisions(np.concatenate(parts))

    def account(
        self, decisions: Decisions, *, costs: Costs, extra_lag: int = 0, skipped: int = 0
    ) -> tuple[Array, TrialBatch]:
        """Return the returns of the decisions and the trial they are."""
        panel = self.panel.rows(skipped, len(self.panel))
        simulation = simulate_weights(
            ExecutionPrices.from_panel(panel),
            decisions.later(skipped).weights,
            costs=costs,
            limits=Limits.from_settings(self.instance.risk, costs, panel.markets),
            lag=1 + extra_lag,
        )
        returns = simulation.bars.returns
        return returns, self._trial(returns, costs, skipped)

    def certificate(self, *, seed: int, progress: Callable[[float], None]) -> dict[str, Any]:
        """Certify the instance that would decide next."""
        return certificate_of(self.instance, self.history, seed=seed, progress=progress).report()

    def _trial(self, returns: Array, costs: Costs, skipped: int) -> TrialBatch:
        positions = np.arange(self.segments[0].start + skipped, self.segments[-1].stop)
        batch = TrialBatch.of(
            self.instance,
            self.history,
            positions=positions,
            parameter_hashes=[self._choice()],
            sharpes=np.array([sharpe_statistics(returns).sharpe]),
            sketches=sketch(returns[None, :], self.history.bar[positions]),
            content_hash=panel_hash(self.history),
        )
        return replace(batch, cost_hash=cost_hash(costs))

    def _choice(self) -> str:
        """Return the hash of the parameters in force: the set's own, or of all folds' winners together."""
        sets: Sequence[dict[str, Any]] = [
            one.instance.params.model_dump(mode="json") for one in self.segments
        ]
        return parameter_hash(sets[0]) if len(sets) == 1 else parameter_hash({"folds": list(sets)})
