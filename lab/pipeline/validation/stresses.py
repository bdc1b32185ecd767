"""The robustness tests of a result: neighbours, costs, starts, delays and noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from lab.pipeline.validation.accounts import Accounts
from lab.pipeline.validation.candidates import Candidates, neighbouring_sets, run_candidates
from lab.pipeline.validation.judged import Noise
from lab.pipeline.validation.strategy import JudgedStrategy
from lab.validation.robustness import (
    Case,
    break_even_costs,
    cost_stress,
    lag_decay,
    plateau,
    price_noise,
    start_shift,
    summarise,
    weaknesses,
)

__all__ = ["Robustness", "stress"]

# Later starts, as shares of the sample; and one bar.
_STARTS: Final = (0.05, 0.1, 0.2, 0.3)

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class Robustness:
    """What changed circumstances did to a result.

    Attributes
    ----------
    cases : tuple of Case
    break_even_costs : float
        Multiple of all costs at which nothing is left, by a straight line.
    neighbours : Candidates or None
        The result's own set, first, and its neighbours, over the whole history; a portfolio has none.
    """

    cases: tuple[Case, ...]
    break_even_costs: float
    neighbours: Candidates | None

    @property
    def weaknesses(self) -> tuple[str, ...]:
        """What does not hold up, worst first."""
        return weaknesses(self.cases)

    def rows(self) -> list[dict[str, Any]]:
        """Return the table: one row per test and case."""
        return summarise(self.cases)


def stress(
    accounts: Accounts,
    *,
    baseline: float,
    seed: int,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Robustness:
    """Run every robustness test of a result.

    Parameters
    ----------
    accounts : Accounts
        Of the result; counts the trials on recorded bars.
    baseline : float
        The result's own Sharpe ratio, annualised.
    seed : int
        Of the noise.
    workers, progress
        Of the sweep over neighbouring sets.
    """
    judged = accounts.judged
    decided = judged.decisions()
    bars = len(decided.weights)
    costs = cost_stress(lambda each: accounts.sharpe(decided, multiple=each), baseline=baseline)
    starts = sorted({1, *(int(share * bars) for share in _STARTS)})
    shifts = [start for start in starts if 0 < start < bars // 2]

    def noised(scale: float, draw: int) -> float:
        # Bars that never were are no trials on this data.
        return accounts.sharpe(judged.decisions(Noise(scale, draw)), counted=False)

    neighbours: Candidates | None = None
    around: tuple[Case, ...] = ()
    if isinstance(judged, JudgedStrategy):
        neighbours, around = _plateau(judged, workers, progress)
    cases = (
        *around,
        *costs,
        *start_shift(lambda each: accounts.sharpe(decided, skipped=each), shifts, baseline=baseline),
        *lag_decay(lambda each: accounts.sharpe(decided, extra_lag=each), baseline=baseline),
        *price_noise(noised, seed=seed, baseline=baseline),
    )
    by_multiple = {float(case.case.split()[0]): case.sharpe for case in costs}
    return Robustness(cases, break_even_costs(by_multiple), neighbours)


def _plateau(
    judged: JudgedStrategy, workers: int | None, progress: Progress | None
) -> tuple[Candidates, tuple[Case, ...]]:
    """Sweep the neighbourhood of the set that would decide next, over the whole history."""
    instances, varied = neighbouring_sets(judged)
    found = run_candidates(judged, instances, workers=workers, progress=progress)
    sharpes = np.array(found.sharpes(judged.panel.timeframe.periods_per_year))

    def known(sets: Sequence[Mapping[str, Any]]) -> list[float]:
        return sharpes[1 : len(sets) + 1].tolist()

    return found, plateau(known, varied[1:], baseline=float(sharpes[0]))
