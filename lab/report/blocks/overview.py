"""Head of the tearsheet: what it is, what it is worth, the figures that matter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from lab.report.inputs import ReportInput
from lab.report.page.markup import (
    NOTHING,
    Column,
    Html,
    below,
    beside,
    chance,
    count,
    date,
    decimal,
    framed,
    join,
    note,
    percent,
    signed_percent,
    table,
    text,
)
from lab.report.tables import account, luck, monthly_returns
from lab.report.verdict import REQUIRED_CONFIDENCE, verdict

__all__ = ["METRICS_SHOWN", "drawdowns", "figures_of_merit", "ground", "headline", "heat_map", "years"]

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Groups of (metric, title, how it is written); definitions: lab.backtest.compute_metrics.
_MERITS: Final[Sequence[tuple[str, Sequence[tuple[str, str, Any]]]]] = (
    (
        "Return",
        (
            ("total_return", "total return", signed_percent),
            ("annualised_return", "annualised return", signed_percent),
            ("hit_ratio", "bars with a gain, of those that moved", percent),
            ("payoff", "mean gain / mean loss", decimal),
            ("profit_factor", "profit factor", decimal),
        ),
    ),
    (
        "Risk",
        (
            ("annualised_volatility", "annualised volatility", percent),
            ("max_drawdown", "largest drawdown", percent),
            ("max_drawdown_duration", "longest time below a high, bars", count),
            ("skewness", "skewness", decimal),
            ("kurtosis", "kurtosis (normal: 3)", decimal),
        ),
    ),
    (
        "Return for risk",
        (
            ("sharpe", "Sharpe ratio", decimal),
            ("sortino", "Sortino ratio", decimal),
            ("calmar", "Calmar ratio", decimal),
        ),
    ),
    (
        "Trading",
        (
            ("exposure", "mean exposure", percent),
            ("time_in_market", "time in the market", percent),
            ("turnover", "turnover a year, × equity", decimal),
            ("cost_share", "costs / return before costs", percent),
            ("trades", "closed trades", count),
            ("trade_hit_ratio", "trades with a profit", percent),
            ("trade_payoff", "mean profit / mean loss", decimal),
        ),
    ),
)


# Title by logged metric, in the order of the page.
METRICS_SHOWN: Final = {name: title for _, entries in _MERITS for name, title, _ in entries}


def headline(report: ReportInput) -> Html:
    """Return title, verdict, warnings and the tiles with the figures that matter."""
    found, judged = luck(report), verdict(report)
    path = account(report)
    kind = {"tune": "walk-forward, out of sample", "backtest": "backtest"}.get(report.text("kind"), "")
    about = [report.text("family").replace("_", " "), kind, _markets(report), f"{report.timeframe} bars"]
    about.append(f"{date(path['ts'][0])} to {date(path['ts'][-1])}")
    gaps = f'<p class="gaps">Not recorded: {text(", ".join(judged.gaps))}.</p>' if judged.gaps else ""
    warnings = "".join(f"<li>{text(line)}</li>" for line in report.result.get("warnings") or ())
    tiles = (
        ("Sharpe ratio", decimal(found.sharpe), _interval(found.interval)),
        ("deflated Sharpe ratio", chance(found.deflated_sharpe), f"asked for: {REQUIRED_CONFIDENCE:.0%}"),
        ("trials counted", count(found.n_trials), _best(found.expected_max_sharpe)),
        ("annualised return", _metric(report, "annualised_return", signed_percent), _against(report)),
        ("largest drawdown", _metric(report, "max_drawdown", percent), _theirs(report, "max_drawdown")),
        (
            "prob. of overfitting",
            chance(found.pbo),
            "50% is chance" if found.pbo is not None else "not recorded",
        ),
    )
    cells = "".join(
        f'<div class="tile"><span>{text(name)}</span><b>{text(value)}</b><small>{text(remark)}</small></div>'
        for name, value, remark in tiles
    )
    return Html(
        f'<header class="top"><h1>{text(report.text("strategy_id") or "unnamed run")}</h1>'
        f'<p class="kind">{text(" · ".join(part for part in about if part))}</p>'
        f'<p class="about">{text(report.text("description"))}</p>{_hypothesis(report)}</header>'
        f'<div class="verdict {judged.level}"><h2>{text(judged.title)}</h2>'
        f"<p>{text(judged.sentence)}</p>{gaps}</div>"
        + (f'<div class="warnings"><ul>{warnings}</ul></div>' if warnings else "")
        + f'<div class="tiles">{cells}</div>'
    )


def ground(report: ReportInput) -> Html:
    """Return what the ground of the growth figure says about in and out of sample."""
    folds = report.table("folds")
    if folds is None:
        said = "Orange ground: one set of parameters on bars known when it was chosen; nothing held out."
    else:
        said = (
            f"All is out of sample: the test windows of {folds.height} folds, joined; bands mark every other."
        )
    if report.table("in_sample") is not None:
        said += " Dotted on orange ground: in sample."
    return Html(below(f"Net of costs, on a log scale. {said}"))


def figures_of_merit(report: ReportInput) -> Html:
    """Return all logged metrics beside those of buy and hold."""
    mine, theirs = report.metrics, report.benchmark_metrics
    head = (
        "<thead><tr><th class=t></th><th scope=col>strategy</th><th scope=col>buy and hold</th></tr></thead>"
    )
    columns: list[str] = []
    for group, entries in _MERITS:
        shown = [entry for entry in entries if entry[0] in mine]
        if not shown:
            continue
        rows = [f'<tr><th class="t group" colspan=3 scope=colgroup>{text(group)}</th></tr>']
        rows += [
            f"<tr><th class=t scope=row>{text(title)}</th>{_cell(mine[name], write)}"
            f"{_cell(_other(theirs, name), write)}</tr>"
            for name, title, write in shown
        ]
        columns.append("".join(rows))
    if not columns:
        return note("No metrics were recorded.")
    halves = ("".join(columns[:2]), "".join(columns[2:]))
    return beside(*(Html(framed(f"{head}<tbody>{half}</tbody>", "metrics")) for half in halves if half))


def heat_map(path: pl.DataFrame) -> Html:
    """Return monthly returns as a grid of years and months, coloured by sign and size."""
    months = {
        (row["year"], row["month"]): row["return"] for row in monthly_returns(path).iter_rows(named=True)
    }
    reach = max((abs(value) for value in months.values()), default=0.0) or 1.0
    head = "".join(f"<th scope=col>{name}</th>" for name in (*_MONTHS, "year"))
    rows = []
    for year in range(min(months)[0], max(months)[0] + 1):
        values = [months.get((year, month)) for month in range(1, 13)]
        known = [1.0 + value for value in values if value is not None]
        cells = "".join(_heat(value, reach) for value in values)
        rows.append(
            f"<tr><th scope=row>{year}</th>{cells}{_sum(math.prod(known) - 1.0 if known else None)}</tr>"
        )
    return Html(
        '<div class="scroll"><table class="data heat" data-name="monthly returns">'
        f"<thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        '<p class="caption">Compounded net returns by calendar month (UTC), in per cent.</p>'
    )


def years(frame: pl.DataFrame) -> Html:
    """Return figures by calendar year."""
    columns = (
        Column("year", "year", lambda year: f"{year}"),
        Column("total_return", "return", signed_percent, tint=True),
        Column("benchmark_return", "buy and hold", signed_percent, tint=True),
        Column("annualised_volatility", "volatility", percent),
        Column("sharpe", "Sharpe", decimal, tint=True),
        Column("max_drawdown", "largest drawdown", percent),
        Column("bars", "bars", count),
    )
    return table(
        frame, columns, name="years", caption="A year that the sample covers in part is not scaled up."
    )


def drawdowns(frame: pl.DataFrame) -> Html:
    """Return the worst drawdowns with their dates."""
    if frame.is_empty():
        return note("The account was never below an earlier high.")
    columns = (
        Column("rank", "", count),
        Column("depth", "depth", percent, tint=True),
        Column("peak", "high", date),
        Column("trough", "low", date),
        Column("recovered", "recovered", date),
        Column("fall_bars", "bars to the low", count),
        Column("bars", "bars below the high", count),
    )
    return join(
        table(frame, columns, name="drawdowns"),
        Html("" if frame["recovered"].null_count() == 0 else '<p class="caption">–: not yet recovered.</p>'),
    )


def _cell(value: float | None, write: Any) -> str:
    return Column("", "", write, tint=True).cell(value)


def _markets(report: ReportInput) -> str:
    names = report.markets
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} markets"


def _metric(report: ReportInput, name: str, write: Any) -> str:
    return str(write(report.metrics.get(name)))


def _other(metrics: dict[str, float], name: str) -> float | None:
    # One purchase is no series of trades.
    return None if name.startswith("trade") else metrics.get(name)


def _hypothesis(report: ReportInput) -> str:
    said = report.text("hypothesis")
    return f'<p class="kind">Hypothesis: {text(said)}</p>' if said else ""


def _interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"95%: {decimal(interval[0])} to {decimal(interval[1])}"


def _best(expected: float | None) -> str:
    return "" if expected is None else f"their luck reaches {decimal(expected)}"


def _against(report: ReportInput) -> str:
    theirs = report.benchmark_metrics.get("annualised_return")
    return "" if theirs is None else f"buy and hold: {signed_percent(theirs)}"


def _theirs(report: ReportInput, name: str) -> str:
    theirs = report.benchmark_metrics.get(name)
    return "" if theirs is None else f"buy and hold: {percent(theirs)}"


def _heat(value: float | None, reach: float) -> str:
    if value is None:
        return "<td></td>"
    # The square root spreads the small months, of which there are most.
    strength = 0.72 * math.sqrt(abs(value) / reach)
    colour = "gain" if value > 0 else "loss"
    return (
        f'<td data-v="{value!r}" style="background:rgba(var(--heat-{colour}),{strength:.2f})">'
        f"{text(_short(value))}</td>"
    )


def _sum(value: float | None) -> str:
    if value is None:
        return f"<td>{NOTHING}</td>"
    kind = " neg" if value < 0 else ""
    return f'<td class="sum{kind}" data-v="{value!r}">{text(_short(value))}</td>'


def _short(value: float) -> str:
    hundred = 100.0 * value
    written = f"{hundred:+.1f}" if abs(hundred) < 99.95 else f"{hundred:+,.0f}"
    return "0.0" if written in {"+0.0", "-0.0"} else written.replace("-", "−")
