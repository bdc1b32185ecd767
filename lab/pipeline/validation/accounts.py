"""Accounts under changed circumstances, each counted as a trial where its bars are those on record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from lab.backtest import ExecutionPrices, simulate_weights
from lab.costs import Costs
from lab.pipeline.validation.figures import annual_sharpe
from lab.pipeline.validation.judged import Judged
from lab.risk import Limits
from lab.search import TrialBatch, cost_hash, panel_hash, parameter_hash, sketch
from lab.validation.overfitting import sharpe_statistics

__all__ = ["Accounts", "scaled"]

Array = NDArray[np.float64]


def scaled(costs: Costs, multiple: float) -> Costs:
    """Return `costs` with every rate multiplied; caps and rounding stay.

    Examples
    --------
    >>> scaled(Costs(10.0, 5.0), 2.0)
    Costs(fee_bps=20.0, slippage_bps=10.0)
    """
    return replace(
        costs,
        fee_bps=costs.fee_bps * multiple,
        slippage_bps=costs.slippage_bps * multiple,
        slippage_volatility=costs.slippage_volatility * multiple,
        impact_bps=costs.impact_bps * multiple,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Accounts:
    """Simulates decisions of a result on its own bars, from cash, and keeps each as a trial.

    Parameters
    ----------
    judged : Judged
    batches : list of TrialBatch
        The trials made so far.
    """

    judged: Judged
    batches: list[TrialBatch] = field(default_factory=list)

    def returns(
        self,
        weights: Array,
        *,
        multiple: float = 1.0,
        extra_lag: int = 0,
        skipped: int = 0,
        counted: bool = True,
    ) -> Array:
        """Return the account's simple returns per bar.

        Parameters
        ----------
        weights : ndarray, shape (T, N)
            Decisions at the closes of the result's bars.
        multiple : float
            Of all costs.
        extra_lag : int
            Bars by which every decision trades later than it should.
        skipped : int
            Bars by which the account starts later.
        counted : bool
            Whether it is a trial: not where the bars were made up.
        """
        instance = self.judged.instance
        costs = scaled(instance.costs, multiple)
        panel = self.judged.panel.rows(skipped, len(self.judged.panel))
        simulation = simulate_weights(
            ExecutionPrices.from_panel(panel),
            np.ascontiguousarray(weights[skipped:]),
            costs=costs,
            limits=Limits.from_settings(instance.risk, costs, panel.markets),
            lag=1 + extra_lag,
        )
        returns = simulation.bars.returns
        if counted:
            self._count(returns, multiple, skipped)
        return returns

    def sharpe(
        self,
        weights: Array,
        *,
        multiple: float = 1.0,
        extra_lag: int = 0,
        skipped: int = 0,
        counted: bool = True,
    ) -> float:
        """Return the annualised Sharpe ratio of such an account; 0 where it never moves."""
        returns = self.returns(
            weights, multiple=multiple, extra_lag=extra_lag, skipped=skipped, counted=counted
        )
        return annual_sharpe(self.judged, returns)

    def _count(self, returns: Array, multiple: float, skipped: int) -> None:
        judged = self.judged
        panel = judged.inputs.panel
        positions = np.arange(judged.first + skipped, judged.stop)
        batch = TrialBatch.of(
            judged.instance,
            panel,
            positions=positions,
            parameter_hashes=[_choice(judged)],
            sharpes=np.array([sharpe_statistics(returns).sharpe]),
            sketches=sketch(returns[None, :], panel.bar[positions]),
            content_hash=panel_hash(panel),
        )
        if multiple != 1.0:
            batch = replace(batch, cost_hash=cost_hash(scaled(judged.instance.costs, multiple)))
        self.batches.append(batch)


def _choice(judged: Judged) -> str:
    """Return the hash of the parameters in force: the set's own, or of all folds' winners together."""
    sets: Sequence[dict[str, object]] = [
        one.instance.params.model_dump(mode="json") for one in judged.segments
    ]
    return parameter_hash(sets[0]) if len(sets) == 1 else parameter_hash({"folds": list(sets)})
