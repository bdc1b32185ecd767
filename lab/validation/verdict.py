"""What a careful person concludes from the evidence: the one place for such rules."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lab.core.tolerances import ENGINE_TOLERANCE

__all__ = ["REQUIRED_CONFIDENCE", "TOLERATED_OVERFITTING", "Evidence", "Verdict", "conclude"]

REQUIRED_CONFIDENCE: Final = 0.95
TOLERATED_OVERFITTING: Final = 0.2


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a result; None where it is not. Sharpe ratios are annualised.

    Parameters
    ----------
    sharpe : float
        NaN where the account never moved.
    held_out : bool
        Whether the bars were kept from whoever chose the parameters.
    deflated_sharpe : float or None
        Probability that it is above what the trials on record give by luck.
    expected_max_sharpe : float or None
        That luck.
    n_trials : int or None
        Trials on record.
    pbo : float or None
        Probability of backtest overfitting of the search behind it.
    engine_difference : float or None
    failed : bool
        Whether the run's own checks failed.
    certificate : mapping or None
        As ``mnemo parity --json`` prints it.
    interval : pair of float or None
        Of the Sharpe ratio, with 95 % confidence.
    superiority : float or None
        p-value of the test whether the best of all sets beats cash.
    weaknesses : tuple of str
        What does not hold up when circumstances change, worst first.
    of_every_family : pair of int and float or None
        Trials of all families on the same data, and the deflated Sharpe ratio if all of them count. It is
        said beside the odds where it is less; the level is that of the result's own family.
    next_step : str
        A sentence on what would hold something out, where nothing was.
    """

    sharpe: float
    held_out: bool
    deflated_sharpe: float | None = None
    expected_max_sharpe: float | None = None
    n_trials: int | None = None
    pbo: float | None = None
    engine_difference: float | None = None
    failed: bool = False
    certificate: Mapping[str, Any] | None = None
    interval: tuple[float, float] | None = None
    superiority: float | None = None
    weaknesses: tuple[str, ...] = ()
    of_every_family: tuple[int, float] | None = None
    next_step: str = "A walk-forward run is the next step."


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a result is worth.

    Attributes
    ----------
    level : str
        ``invalid`` (the figures must not be used), ``weak``, ``open`` (not enough evidence) or ``supported``.
    title, sentence : str
        Plain text; not escaped.
    gaps : tuple of str
        Evidence that was not recorded.
    """

    level: str
    title: str
    sentence: str
    gaps: tuple[str, ...] = ()

    @property
    def conclusion(self) -> str:
        """Title and reasons as one sentence.

        Examples
        --------
        >>> Verdict("weak", "Not proven", "The odds are 80%. 95% is asked for.").conclusion
        'Not proven: the odds are 80%; 95% is asked for.'
        """
        parts = self.sentence.removesuffix(".").split(". ")
        joined = "; ".join(part if _is_name(part) else part[0].lower() + part[1:] for part in parts if part)
        return f"{self.title}: {joined}."


def conclude(evidence: Evidence, gaps: tuple[str, ...] = ()) -> Verdict:
    """Judge a result by its evidence: engines, certificate, folds, luck, overfitting, robustness, in turn."""
    invalid = _invalid(evidence)
    if invalid:
        return Verdict("invalid", "Do not use this result", invalid, gaps)
    if not math.isfinite(evidence.sharpe):
        return Verdict(
            "open", "Nothing to judge", "The account never moved, so there is no Sharpe ratio.", gaps
        )
    if evidence.deflated_sharpe is None:
        return Verdict(
            "open",
            "Not judged",
            f"The Sharpe ratio of {evidence.sharpe:.2f} was recorded without the number of trials behind it. "
            "Until it is deflated it says nothing about skill.",
            gaps,
        )
    odds = f"{_odds(evidence, evidence.deflated_sharpe)}{_every(evidence)}{_reach(evidence)}"
    if not evidence.held_out:
        seen = (
            f"A Sharpe ratio of {evidence.sharpe:.2f} on bars that were seen when the parameters were "
            f"written down. {odds}"
        )
        if evidence.deflated_sharpe < 0.5:
            return Verdict("weak", "No better than luck, though nothing was held out", seen, gaps)
        return Verdict(
            "open",
            "One set of parameters, nothing held out",
            f"{seen}{_first_weakness(evidence)} {evidence.next_step}",
            gaps,
        )
    opening = f"Out of sample the Sharpe ratio is {evidence.sharpe:.2f}. {odds}"
    return _judged(evidence, evidence.deflated_sharpe, opening, gaps)


def _judged(evidence: Evidence, deflated: float, opening: str, gaps: tuple[str, ...]) -> Verdict:
    if deflated < 0.5:
        return Verdict("weak", "No better than luck", opening, gaps)
    if deflated < REQUIRED_CONFIDENCE:
        return Verdict("weak", "Not proven", f"{opening} {REQUIRED_CONFIDENCE:.0%} is asked for.", gaps)
    if evidence.pbo is not None and evidence.pbo > TOLERATED_OVERFITTING:
        return Verdict(
            "weak",
            "The selection is overfit",
            f"{opening} But the best parameters of one half of history land below the median of the other in "
            f"{evidence.pbo:.0%} of the splits; {TOLERATED_OVERFITTING:.0%} is tolerated.",
            gaps,
        )
    if evidence.superiority is not None and evidence.superiority > 1 - REQUIRED_CONFIDENCE:
        return Verdict(
            "weak",
            "The search found nothing",
            f"{opening} But so good a best set comes out of sets that are no better than cash with a "
            f"probability of {evidence.superiority:.0%}; {1 - REQUIRED_CONFIDENCE:.0%} is tolerated.",
            gaps,
        )
    if evidence.weaknesses:
        return Verdict("weak", "Fragile", f"{opening}{_first_weakness(evidence)}", gaps)
    return Verdict(
        "supported",
        "Holds up so far",
        f"{opening} That passes the {REQUIRED_CONFIDENCE:.0%} asked for; paper trading is the next test.",
        gaps,
    )


def _chance(share: float) -> str:
    return "less than 1%" if share < 0.01 else "more than 99%" if share > 0.99 else f"{share:.0%}"


def _every(evidence: Evidence) -> str:
    if evidence.of_every_family is None or evidence.deflated_sharpe is None:
        return ""
    trials, deflated = evidence.of_every_family
    if trials <= (evidence.n_trials or 0) or _chance(deflated) == _chance(evidence.deflated_sharpe):
        return ""
    if deflated > evidence.deflated_sharpe:
        return ""
    return f" If all {trials:,} trials of every family on these markets count, it is {_chance(deflated)}."


def _odds(evidence: Evidence, deflated: float) -> str:
    chance = _chance(deflated)
    if evidence.n_trials == 1:
        return f"It is the only trial on record; the probability that it is more than luck is {chance}."
    trials = "" if evidence.n_trials is None else f" of {evidence.n_trials:,} trials"
    luck = evidence.expected_max_sharpe
    best = "" if luck is None else f" (their best would be {luck:.2f})"
    return f"The probability that this is more than the luck{trials} without skill{best} is {chance}."


def _reach(evidence: Evidence) -> str:
    if evidence.interval is None or not evidence.interval[0] <= 0 <= evidence.interval[1]:
        return ""
    low, high = evidence.interval
    return f" Resampled, it could be anything from {low:.2f} to {high:.2f}."


def _first_weakness(evidence: Evidence) -> str:
    return f" But {evidence.weaknesses[0]}." if evidence.weaknesses else ""


def _invalid(evidence: Evidence) -> str:
    difference = evidence.engine_difference
    if difference is not None and not difference <= ENGINE_TOLERANCE:
        return (
            f"Two engines that keep the same accounts differ by {difference:.2g} of equity; at most "
            f"{ENGINE_TOLERANCE:.0e} is rounding. One of them is wrong."
        )
    if evidence.failed:
        return "The run is marked FAILED: its own checks do not agree."
    proof = evidence.certificate
    if proof is not None and (proof.get("mismatches") or proof.get("leaks")):
        return (
            "The signal is not causal: recomputed from its last window, or without the future, it gives "
            f"other weights ({proof.get('mismatches', 0)} of {proof.get('bars_checked', '?')} bars)."
        )
    return ""


def _is_name(text: str) -> bool:
    """Whether the first word keeps its capital: it is more than one capital letter and small ones."""
    first = text.split(" ", 1)[0]
    return len(first) > 1 and not first[1:].islower()
