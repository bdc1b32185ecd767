"""The verdict: what invalidates a result, and how the evidence is weighed."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from lab.report import ReportInput
from lab.report.verdict import verdict


def with_facts(report: ReportInput, certificate: dict[str, Any] | None = None, **facts: Any) -> ReportInput:
    return dataclasses.replace(report, result={**report.result, **facts}, certificate=certificate)


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        ({"engine_difference": 1e-6}, "invalid", "differ by 1e-06"),
        ({"engine_difference": float("inf")}, "invalid", "differ by inf"),
        ({"status": "FAILED"}, "invalid", "marked FAILED"),
        ({"deflated_sharpe": None}, "open", "without the number of trials"),
        (
            {"deflated_sharpe": 0.31},
            "weak",
            "luck of 140 trials without skill (their best would be 1.40) is 31%",
        ),
        ({"deflated_sharpe": 1e-9}, "weak", "is less than 1%"),
        ({"deflated_sharpe": 0.8}, "weak", "95% is asked for"),
        ({"deflated_sharpe": 0.97, "pbo": 0.5}, "weak", "in 50% of the splits"),
        ({"deflated_sharpe": 0.97, "pbo": 0.1}, "supported", "paper trading is the next test"),
        ({"deflated_sharpe": 0.97, "pbo": 0.1, "engine_difference": None}, "supported", "97%"),
        ({"metrics": {"sharpe": None}}, "open", "never moved"),
        ({"n_trials": 1}, "weak", "only trial on record"),
    ],
)
def test_levels(report: ReportInput, facts: dict[str, Any], level: str, words: str) -> None:
    found = verdict(with_facts(report, **facts))
    assert found.level == level
    assert words in found.sentence


def test_a_certificate_with_findings_invalidates(report: ReportInput) -> None:
    passed = {"bars_checked": 100, "mismatches": 0, "leaks": []}
    strong = {"deflated_sharpe": 0.99, "pbo": 0.0}
    assert verdict(with_facts(report, passed, **strong)).level == "supported"
    leaking = {**passed, "mismatches": 3}
    assert "3 of 100 bars" in verdict(with_facts(report, leaking, **strong)).sentence
    leaking = {**passed, "leaks": [{"kind": "future", "bar": 1, "market": "a", "detail": ""}]}
    assert verdict(with_facts(report, leaking, **strong)).level == "invalid"


def test_without_folds_nothing_was_held_out(report: ReportInput) -> None:
    tables = {name: frame for name, frame in report.tables.items() if name != "folds"}
    found = verdict(dataclasses.replace(with_facts(report, deflated_sharpe=0.99, pbo=0.0), tables=tables))
    assert found.level == "open"
    assert "nothing held out" in found.title
    assert "walk-forward folds" in found.gaps


def test_missing_evidence_is_listed(report: ReportInput) -> None:
    assert verdict(report).gaps == ("causality certificate",)
    found = verdict(with_facts(report, pbo=None, engine_difference=None))
    assert found.gaps == ("probability of overfitting", "second engine", "causality certificate")
