"""Search on one stretch of bars and judge the best by what was tried: selection without a held-out part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lab.core.panel import Panel
from lab.search.evaluation import Window, longest_lookback
from lab.search.fold import search_fold
from lab.search.ledger import TrialCounter
from lab.search.objectives import Objective
from lab.search.proposals import proposer_of
from lab.search.trials import DataIdentity, TrialBatch, panel_hash
from lab.strategies import StrategyInstance
from lab.validation.overfitting import (
    BlockMoments,
    block_moments,
    probability_of_backtest_overfitting,
    sharpe_statistics,
)

__all__ = ["Selection", "select", "warm_up_of"]

_BLOCKS = 16


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """The best of some trials on the same bars, and how much of it luck explains.

    Attributes
    ----------
    winner : StrategyInstance
        With the parameters of the highest score, the earliest of equal ones.
    sharpe : float
        Its Sharpe ratio, annualised.
    deflated_sharpe : float
        Probability that it is above what the trials on record give by luck.
    n_trials : int
        Distinct trials on record.
    overfitting : callable
        Returns the probability of backtest overfitting of the choice; runs the trials again.
    """

    winner: StrategyInstance
    sharpe: float
    deflated_sharpe: float
    n_trials: int
    overfitting: Callable[[], float]


def warm_up_of(instance: StrategyInstance) -> int:
    """Return the bars before the first that counts: enough for every set in the family's space."""
    return longest_lookback(instance, instance.space).lookback - 1


def select(
    instance: StrategyInstance, panel: Panel, *, trials: int, seed: int, ledger: TrialCounter
) -> Selection:
    """Try parameter sets with the instance's sampler on all bars after the warm-up, and judge the best.

    Parameters
    ----------
    instance : StrategyInstance
        Strategy, costs, limits and sampler; its family's space is what is searched.
    panel : Panel
        Bars of its timeframe and markets.
    trials, seed : int
        Sets proposed; every draw of the sampler.
    ledger : Ledger
        Where trials are recorded and counted.
    """
    panel, space = panel.select(instance.markets), instance.space
    warm_up = warm_up_of(instance)
    counted = np.arange(warm_up, len(panel))
    window = Window(panel, warm_up, len(panel), warm_up=warm_up, instance=instance)
    objective = Objective.of(instance.search, trials=trials, observations=len(counted))
    found = search_fold(
        window,
        instance,
        proposer_of(
            instance.search.sampler,
            space,
            trials=trials,
            seed=seed,
            objectives=1 + len(objective.tradeoffs),
        ),
        trials=trials,
        space=space,
        bars=panel.bar[counted],
        executor=None,
        advanced=lambda _: None,
        objective=objective,
    )
    numbers, best = found.complete, found.best()
    batch = TrialBatch.of(
        instance,
        panel,
        positions=counted,
        parameter_hashes=[found.hash_of(number) for number in numbers.tolist()],
        sharpes=found.figures[numbers, 0] / np.sqrt(panel.timeframe.periods_per_year),
        sketches=found.sketches,
        content_hash=panel_hash(panel),
    )
    ledger.append(batch)
    winner = instance.with_params(found.proposal(best))
    judgement = ledger.judge(batch.family, DataIdentity.of(instance.markets, instance.timeframe))

    def overfitting() -> float:
        candidates = (instance.with_params(found.proposal(number)) for number in numbers.tolist())
        moments = [block_moments(window.evaluate(one).returns, blocks=_BLOCKS) for one in candidates]
        return probability_of_backtest_overfitting(BlockMoments.concatenate(moments))

    return Selection(
        winner=winner,
        sharpe=float(found.figures[best, 0]),
        deflated_sharpe=judgement.deflated(sharpe_statistics(window.evaluate(winner).returns)),
        n_trials=judgement.n_trials,
        overfitting=overfitting,
    )
