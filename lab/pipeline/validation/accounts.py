"""Accounts under changed circumstances, each counted as a trial where its bars are those on record."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from lab.costs import Costs
from lab.pipeline.validation.figures import annual_sharpe
from lab.pipeline.validation.judged import Decisions, Judged
from lab.search import TrialBatch

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
    """Makes accounts of a result's decisions, from cash, and keeps each as a trial.

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
        decisions: Decisions,
        *,
        multiple: float = 1.0,
        extra_lag: int = 0,
        skipped: int = 0,
        counted: bool = True,
    ) -> Array:
        """Return the account's simple returns per bar.

        Parameters
        ----------
        decisions : Decisions
            On the result's bars.
        multiple : float
            Of all costs.
        extra_lag, skipped : int
            See :meth:`Judged.account`.
        counted : bool
            Whether it is a trial: not where the bars were made up.
        """
        costs = self.judged.costs if multiple == 1.0 else scaled(self.judged.costs, multiple)
        returns, trial = self.judged.account(decisions, costs=costs, extra_lag=extra_lag, skipped=skipped)
        if counted:
            self.batches.append(trial)
        return returns

    def sharpe(
        self,
        decisions: Decisions,
        *,
        multiple: float = 1.0,
        extra_lag: int = 0,
        skipped: int = 0,
        counted: bool = True,
    ) -> float:
        """Return the annualised Sharpe ratio of such an account; 0 where it never moves."""
        returns = self.returns(
            decisions, multiple=multiple, extra_lag=extra_lag, skipped=skipped, counted=counted
        )
        return annual_sharpe(self.judged, returns)
