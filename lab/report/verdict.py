"""One sentence on what a result is worth, and why."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from lab.core.tolerances import ENGINE_TOLERANCE
from lab.report.inputs import ReportInput
from lab.report.tables.evidence import Luck, luck

__all__ = ["REQUIRED_CONFIDENCE", "TOLERATED_OVERFITTING", "Verdict", "verdict"]

REQUIRED_CONFIDENCE: Final = 0.95
TOLERATED_OVERFITTING: Final = 0.2


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
    gaps: tuple[str, ...]


def verdict(report: ReportInput) -> Verdict:
    """Judge a run by what it recorded: engines, certificate, folds, luck, overfitting, in that order."""
    found = luck(report)
    gaps = _gaps(report, found)
    invalid = _invalid(report)
    if invalid:
        return Verdict("invalid", "Do not use this result", invalid, gaps)
    if not math.isfinite(found.sharpe):
        return Verdict(
            "open", "Nothing to judge", "The account never moved, so there is no Sharpe ratio.", gaps
        )
    if found.deflated_sharpe is None:
        return Verdict(
            "open",
            "Not judged",
            f"The Sharpe ratio of {found.sharpe:.2f} was recorded without the number of trials behind it. "
            "Until it is deflated it says nothing about skill.",
            gaps,
        )
    if report.table("folds") is None:
        return Verdict(
            "open",
            "One set of parameters, nothing held out",
            f"A Sharpe ratio of {found.sharpe:.2f} on bars that were seen when the parameters were written "
            f"down. {_odds(found, found.deflated_sharpe)} A walk-forward run is the next step.",
            gaps,
        )
    return _judged(found, found.deflated_sharpe, gaps)


def _judged(found: Luck, deflated: float, gaps: tuple[str, ...]) -> Verdict:
    opening = f"Out of sample the Sharpe ratio is {found.sharpe:.2f}. {_odds(found, deflated)}"
    if deflated < 0.5:
        return Verdict("weak", "No better than luck", opening, gaps)
    if deflated < REQUIRED_CONFIDENCE:
        return Verdict(
            "weak",
            "Not proven",
            f"{opening} {REQUIRED_CONFIDENCE:.0%} is asked for.",
            gaps,
        )
    if found.pbo is not None and found.pbo > TOLERATED_OVERFITTING:
        return Verdict(
            "weak",
            "The selection is overfit",
            f"{opening} But the best parameters of one half of history land below the median of the other in "
            f"{found.pbo:.0%} of the splits; {TOLERATED_OVERFITTING:.0%} is tolerated.",
            gaps,
        )
    return Verdict(
        "supported",
        "Holds up so far",
        f"{opening} That passes the {REQUIRED_CONFIDENCE:.0%} asked for; paper trading is the next test.",
        gaps,
    )


def _odds(found: Luck, deflated: float) -> str:
    chance = "less than 1%" if deflated < 0.01 else "more than 99%" if deflated > 0.99 else f"{deflated:.0%}"
    if found.n_trials == 1:
        return f"It is the only trial on record; the probability that it is more than luck is {chance}."
    trials = "" if found.n_trials is None else f" of {found.n_trials:,} trials"
    best = (
        "" if found.expected_max_sharpe is None else f" (their best would be {found.expected_max_sharpe:.2f})"
    )
    return f"The probability that this is more than the luck{trials} without skill{best} is {chance}."


def _invalid(report: ReportInput) -> str:
    difference = report.number("engine_difference")
    if difference is not None and not difference <= ENGINE_TOLERANCE:
        return (
            f"Two engines that keep the same accounts differ by {difference:.2g} of equity; at most "
            f"{ENGINE_TOLERANCE:.0e} is rounding. One of them is wrong."
        )
    if "FAILED" in (report.text("status"), str(report.run.get("status", ""))):
        return "The run is marked FAILED: its own checks do not agree."
    proof = report.certificate
    if proof is not None and (proof.get("mismatches") or proof.get("leaks")):
        return (
            "The signal is not causal: recomputed from its last window, or without the future, it gives "
            f"other weights ({proof.get('mismatches', 0)} of {proof.get('bars_checked', '?')} bars)."
        )
    return ""


def _gaps(report: ReportInput, found: Luck) -> tuple[str, ...]:
    missing = {
        "walk-forward folds": report.table("folds") is None,
        "deflated Sharpe ratio": found.deflated_sharpe is None,
        "probability of overfitting": found.pbo is None,
        "second engine": report.number("engine_difference") is None,
        "causality certificate": report.certificate is None,
        "buy-and-hold benchmark": report.table("benchmark") is None,
    }
    return tuple(name for name, is_missing in missing.items() if is_missing)
