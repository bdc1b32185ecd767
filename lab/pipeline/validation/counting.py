"""How many trials a result has to answer for, and where that number comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lab.pipeline.validation.judged import Judged
from lab.search import Judgement, Ledger, TrialBatch, effective_of, judge_batches
from lab.validation.clustering import EffectiveTrials
from lab.validation.overfitting import SharpeStatistics, deflated_sharpe_ratio

__all__ = ["Counted", "count_trials"]


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """The trials on record when a result is judged.

    Attributes
    ----------
    before : int
        Distinct trials of the family on the data before this validation added its own.
    judgement : Judgement
        With them: what the headline figures use. It is never smaller than the effective number.
    effective : EffectiveTrials or None
        What they amount to once those that moved together are counted as one.
    families : mapping of str to int
        Distinct trials on the same data, by family.
    every : Judgement
        Of all families on the same data.
    """

    before: int
    judgement: Judgement
    effective: EffectiveTrials | None
    families: dict[str, int]
    every: Judgement

    def deflated_effective(self, statistics: SharpeStatistics) -> float | None:
        """Return the deflated Sharpe ratio by the effective number of trials."""
        if self.effective is None:
            return None
        return deflated_sharpe_ratio(
            statistics.sharpe,
            n_observations=statistics.n_observations,
            n_trials=max(self.effective.number, 1.0),
            variance=self.judgement.variance(statistics.n_observations),
            skewness=statistics.skewness,
            kurtosis=statistics.kurtosis,
        )

    def document(self) -> dict[str, Any]:
        """Return where the number of trials comes from, as JSON values."""
        found = self.effective
        return {
            "family": self.judgement.n_trials,
            "before_this_validation": self.before,
            "families": dict(self.families),
            "all_families": self.every.n_trials,
            "effective": None if found is None else found.number,
            "clusters": None if found is None else found.clusters,
            "silhouette": None if found is None else found.silhouette,
            "compared": None if found is None else found.trials,
            "mean_correlation": None if found is None else found.mean_correlation,
            "ledger_head": self.judgement.head,
        }


def count_trials(ledger: Ledger, judged: Judged, added: Sequence[TrialBatch]) -> Counted:
    """Record the trials that this validation made, then count all on record."""
    family, identity = judged.facts["family"], judged.identity
    before = ledger.judge(family, identity).n_trials
    for batch in added:
        ledger.append(batch)
    judgement = ledger.judge(family, identity)
    same = [batch for batch in ledger.batches(head=judgement.head) if batch.identity == identity]
    names = sorted({batch.family for batch in same})
    by_family = {name: [batch for batch in same if batch.family == name] for name in names}
    return Counted(
        before=before,
        judgement=judgement,
        effective=effective_of(by_family.get(family, [])),
        families={name: judge_batches(batches).n_trials for name, batches in by_family.items()},
        every=judge_batches(same, head=judgement.head),
    )
