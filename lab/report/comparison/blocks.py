"""Pieces of a comparison that are text and tables, escaped."""

from __future__ import annotations

import math
import re
from typing import Final

import polars as pl

from lab.report.comparison.inputs import ComparisonInput
from lab.report.comparison.tables import COMBINED, HELD, figures_of_runs
from lab.report.page.markup import (
    NOTHING,
    Column,
    Html,
    chance,
    count,
    date,
    decimal,
    facts,
    note,
    percent,
    signed_percent,
    table,
    text,
)

__all__ = ["correlations", "figures", "headline", "marginal", "provenance", "years"]

# Runs whose names fit into a title.
_NAMED: Final = 3


def headline(report: ComparisonInput, correlation: pl.DataFrame, marginal: pl.DataFrame) -> Html:
    """Return title, what combining brings, and the figures that matter."""
    figures = {row["name"]: row for row in figures_of_runs(report).iter_rows(named=True)}
    whole, runs = figures[COMBINED], [figures[name] for name in report.names]
    best = max(runs, key=lambda row: -math.inf if math.isnan(row["sharpe"]) else row["sharpe"])
    pairs = [
        value
        for place, name in enumerate(report.names)
        for value in correlation[name][place + 1 :].to_list()
        if not math.isnan(value)
    ]
    mean = sum(pairs) / len(pairs) if pairs else math.nan
    tiles = (
        ("runs", count(len(runs)), f"of {len(set(report.families))} families"),
        ("Sharpe ratio combined", decimal(whole["sharpe"]), f"best alone: {decimal(best['sharpe'])}"),
        ("annualised return", signed_percent(whole["annualised_return"]), _beside(figures)),
        ("largest drawdown", percent(whole["max_drawdown"]), f"mean alone: {percent(_mean(runs))}"),
        ("mean correlation", decimal(mean), f"of {len(pairs)} pairs"),
    )
    cells = "".join(
        f'<div class="tile"><span>{text(name)}</span><b>{text(value)}</b><small>{text(remark)}</small></div>'
        for name, value, remark in tiles
    )
    ts = report.returns["ts"]
    unit = "days" if str(report.period) == "1d" else f"periods of {report.period}"
    about = f"{report.returns.height:,} {unit} in common, {date(ts[0])} to {date(ts[-1])}"
    level, title, said = _judged(report, whole["sharpe"], best, marginal)
    title_of_page = " · ".join(report.names) if len(runs) <= _NAMED else f"{len(runs)} runs"
    return Html(
        f'<header class="top"><h1>{text(title_of_page)}</h1>'
        f'<p class="kind">comparison · {text(about)}</p></header>'
        f'<div class="verdict {level}"><h2>{text(title)}</h2><p>{text(said)}</p></div>'
        f'<div class="tiles">{cells}</div>'
    )


def figures(report: ComparisonInput) -> Html:
    """Return the figures of every run and of the whole, over the common periods."""
    columns = (
        Column("name", "run"),
        Column("family", "family"),
        Column("share", "share", percent),
        Column("annualised_return", "return a year", signed_percent, tint=True),
        Column("annualised_volatility", "volatility", percent),
        Column("sharpe", "Sharpe", decimal, tint=True),
        Column("sortino", "Sortino", decimal, tint=True),
        Column("max_drawdown", "largest drawdown", percent),
        Column("deflated_sharpe", "deflated Sharpe", chance),
        Column("n_trials", "trials", count),
        Column("status", "engines", lambda status: {"OK": "agree"}.get(status, status) or NOTHING),
    )
    caption = (
        "Net of costs, over the common periods. Deflated Sharpe ratio and trials are each run's own, over "
        "its own bars; the combination was not tried beforehand, and to choose runs after seeing them is a "
        "choice too."
    )
    spoken = pl.col("family").str.replace_all("_", " ", literal=True)
    return table(figures_of_runs(report).with_columns(spoken), columns, name="figures", caption=caption)


def correlations(frame: pl.DataFrame, *, name: str) -> Html:
    """Return a matrix of correlations as a heat map."""
    names = [column for column in frame.columns if column != "name"]
    if len(names) < 2:
        return note("Fewer than two to compare.")
    head = "".join(
        f'<th scope=col title="{text(other)}">{place}</th>' for place, other in enumerate(names, start=1)
    )
    rows = []
    for place, row in enumerate(frame.iter_rows(named=True), start=1):
        cells = "".join(_heat(row[other], own=other == row["name"]) for other in names)
        rows.append(f"<tr><th scope=row>{place} {text(row['name'])}</th>{cells}</tr>")
    return Html(
        f'<div class="scroll"><table class="data heat" data-name="{text(name)}"><thead><tr><th></th>{head}'
        f"</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def marginal(frame: pl.DataFrame) -> Html:
    """Return what each run adds to the combined portfolio."""
    columns = (
        Column("name", "run"),
        Column("share", "share", percent),
        Column("return_part", "part of the return", percent, tint=True),
        Column("risk_part", "part of the risk", percent, tint=True),
        Column("correlation", "correlation with the rest", decimal, tint=True),
        Column("alpha", "alpha to the rest, a year", signed_percent, tint=True),
        Column("sharpe_without", "Sharpe without it", decimal),
        Column("sharpe_added", "Sharpe it adds", _signed, tint=True),
        Column("drawdown_without", "drawdown without it", percent),
        Column("drawdown_added", "drawdown it adds", signed_percent, tint=True),
    )
    caption = (
        "The rest is the portfolio of the other runs in their proportions. Alpha is what is left of a run's "
        "return after its beta to the rest. A negative drawdown added makes the worst loss deeper."
    )
    return table(frame, columns, name="marginal contribution", caption=caption)


def years(frame: pl.DataFrame) -> Html:
    """Return compounded returns by calendar year."""
    columns = [Column("year", "year", lambda year: f"{year}")]
    columns += [Column(name, name, signed_percent, tint=True) for name in frame.columns if name != "year"]
    return table(
        frame, columns, name="years", caption="Common periods only; a year covered in part is not scaled up."
    )


def provenance(report: ComparisonInput) -> Html:
    """Return which runs these are."""
    found = {}
    for name, run in zip(report.names, report.reports, strict=True):
        version = f"code {run.text('code_version')}" if run.text("code_version") else ""
        data = f"data {run.text('data_hash')[:12]}" if run.text("data_hash") else ""
        parts = (f"run {run.text('run_id')}" if run.text("run_id") else "", run.text("kind"), version, data)
        found[name] = ", ".join(part for part in parts if part)
    ids = [run.text("run_id") for run in report.reports]
    found["this page again"] = f"mnemo report {' '.join(ids)}" if all(ids) else ""
    return facts(found, name="provenance")


def _judged(
    report: ComparisonInput, sharpe: float, best: dict[str, float], marginal: pl.DataFrame
) -> tuple[str, str, str]:
    failed = [
        n for n, run in zip(report.names, report.reports, strict=True) if run.text("status") == "FAILED"
    ]
    if failed:
        return "invalid", "Do not use", f"The two engines disagree in {', '.join(failed)}."
    useless = marginal.filter(pl.col("sharpe_added") <= 0)["name"].to_list()
    adds = f" Without a gain in Sharpe ratio for the whole: {', '.join(useless)}." if useless else ""
    if sharpe > best["sharpe"]:
        return (
            "supported",
            "Better together",
            f"Combined, they have a higher Sharpe ratio than the best alone.{adds}",
        )
    said = (
        f"Alone, {best['name']} has a Sharpe ratio at least as high; it was picked afterwards, though.{adds}"
    )
    return "weak", "Not better than the best alone", said


def _beside(figures: dict[str, dict[str, float]]) -> str:
    return f"buy and hold: {signed_percent(figures[HELD]['annualised_return'])}" if HELD in figures else ""


def _mean(runs: list[dict[str, float]]) -> float:
    return sum(row["max_drawdown"] for row in runs) / len(runs)


def _signed(value: float) -> str:
    written = decimal(value)
    return f"+{written}" if re.match(r"\d", written) and value > 0 else written


def _heat(value: float, *, own: bool) -> str:
    if math.isnan(value):
        return f"<td>{NOTHING}</td>"
    # The diagonal says nothing and stays pale.
    strength = 0.0 if own else 0.72 * abs(value)
    colour = "gain" if value > 0 else "loss"
    ground = f"background:rgba(var(--heat-{colour}),{strength:.2f})"
    return f'<td data-v="{value!r}" style="{ground}">{decimal(value)}</td>'
