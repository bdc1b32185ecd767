"""End of the tearsheet: what was checked before the page was made, and what everything came from."""

from __future__ import annotations

from typing import Any

from lab.core.tolerances import ENGINE_TOLERANCE
from lab.report.inputs import ReportInput
from lab.report.page.markup import Column, Html, count, facts, join, note, table, text
from lab.report.tables import quality, recomputed_difference

__all__ = ["certificate", "data_quality", "engines", "provenance"]


def certificate(proof: Any) -> Html:
    """Return the causality certificate."""
    if proof is None:
        return note("No causality certificate was recorded; 'mnemo parity CONFIG' makes one.")
    passed = not proof.get("mismatches") and not proof.get("leaks")
    line = "Causal: every last window gives the bits of the full history." if passed else "NOT causal."
    shown = facts(
        {
            "bars checked": _maybe(proof.get("bars_checked"), count),
            "mismatches": _maybe(proof.get("mismatches"), count),
            "largest difference, ulp": _maybe(proof.get("max_ulp"), count),
            "lookback declared, bars": _maybe(proof.get("lookback_declared"), count),
            "lookback measured, bars": _maybe(proof.get("lookback_measured"), count),
        },
        name="certificate",
    )
    leaks = "".join(
        f"<li>{text(leak.get('kind'))} at bar {text(leak.get('bar'))} {text(leak.get('market'))}: "
        f"{text(leak.get('detail'))}</li>"
        for leak in proof.get("leaks") or ()
    )
    verdict_line = Html(f'<p class="{"pass" if passed else "fail"}">{text(line)}</p>')
    return join(verdict_line, shown, Html(f"<ul>{leaks}</ul>" if leaks else ""))


def data_quality(report: ReportInput) -> Html:
    """Return the marks of the bars that were read."""
    marks = report.table("quality")
    if marks is None:
        return note("The quality of the bars was not recorded.")
    columns = (
        Column("market", "market"),
        Column("bars", "bars", count),
        Column("good", "good", count),
        Column("questionable", "questionable", count),
        Column("bad", "bad", count),
        Column("reasons", "reasons"),
    )
    return table(quality(marks), columns, name="data quality")


def engines(report: ReportInput) -> Html:
    """Return how far the two engines, and the recomputed figures, are apart."""
    difference, again = report.number("engine_difference"), recomputed_difference(report)
    lines = []
    for name, value, limit in (
        ("Equity of the second, independent engine (vectorbt), relative", difference, ENGINE_TOLERANCE),
        (
            "Permitted weights when risk runs on its equity",
            report.number("risk_difference"),
            ENGINE_TOLERANCE,
        ),
        ("Figures of this page recomputed from the recorded returns, relative", again, ENGINE_TOLERANCE),
    ):
        if value is None:
            lines.append(f'<p class="note">{text(name)}: not recorded.</p>')
        else:
            state = "pass" if value <= limit else "fail"
            lines.append(
                f'<p class="{state}">{text(name)}: {text(f"{value:.2g}")} (at most {limit:.0e}).</p>'
            )
    return Html("".join(lines))


def provenance(report: ReportInput) -> Html:
    """Return hashes, versions, seed, run id and the commands that make run and page again."""
    run_id = report.text("run_id")
    settings = report.result.get("best_parameters") or report.result.get("parameters") or {}
    known = {
        "run": run_id,
        "run again": f"mnemo reproduce {run_id}" if run_id else "",
        "this page again": f"mnemo report {run_id}" if run_id else "",
        "code": report.text("code_version"),
        "strategy": " ".join(
            part for part in (report.text("family"), report.text("strategy_version")) if part
        ),
        "configuration": report.text("config_hash"),
        "data": report.text("data_hash"),
        "features": report.text("feature_hashes"),
        "trial ledger": report.text("ledger_head"),
        "result": report.text("fingerprint"),
        "seed": report.text("seed"),
        "parameters": _listed(settings),
        "costs": _listed(report.result.get("costs")),
        "risk": _listed(report.result.get("risk")),
        "versions": _listed(report.result.get("environment")),
        "markets": ", ".join(report.markets),
        "started": report.text("started"),
    }
    return facts(known, name="provenance")


def _maybe(value: Any, write: Any) -> str:
    return "" if value is None else str(write(value))


def _listed(pairs: Any) -> str:
    return ", ".join(f"{name} {_value(value)}" for name, value in (pairs or {}).items())


def _value(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
