"""One sentence on what a result is worth, and why, from what a run recorded."""

from __future__ import annotations

from lab.report.inputs import ReportInput
from lab.report.tables.evidence import Luck, luck
from lab.validation.verdict import REQUIRED_CONFIDENCE, TOLERATED_OVERFITTING, Evidence, Verdict, conclude

__all__ = ["REQUIRED_CONFIDENCE", "TOLERATED_OVERFITTING", "Verdict", "verdict"]


def verdict(report: ReportInput) -> Verdict:
    """Judge a run by what it recorded; the rules are those of :func:`lab.validation.verdict.conclude`."""
    found = luck(report)
    evidence = Evidence(
        sharpe=found.sharpe,
        held_out=report.table("folds") is not None,
        deflated_sharpe=found.deflated_sharpe,
        expected_max_sharpe=found.expected_max_sharpe,
        n_trials=found.n_trials,
        pbo=found.pbo,
        engine_difference=report.number("engine_difference"),
        failed="FAILED" in (report.text("status"), str(report.run.get("status", ""))),
        certificate=report.certificate,
    )
    return conclude(evidence, _gaps(report, found))


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
