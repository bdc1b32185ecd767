"""Pieces of the operator's report that are text and tables, escaped."""

from __future__ import annotations

from typing import Any

import polars as pl

from lab.report.operator.summary import OperatorInput
from lab.report.page.markup import (
    Column,
    Html,
    count,
    date,
    decimal,
    facts,
    money,
    note,
    percent,
    signed_percent,
    table,
    text,
)

__all__ = ["criteria", "days", "fills", "headline", "incidents", "limits", "provenance"]


def headline(report: OperatorInput) -> Html:
    """Return title, what needs a person, and the figures of the period."""
    journal, figures, counts = report.journal, report.figures(), report.counts()
    met = report.criteria().filter(pl.col("state") == "met")["criterion"].to_list()
    tripped = report.limits().filter("tripped").height
    calls = [_several(counts["CRITICAL"], "critical incident")] if counts["CRITICAL"] else []
    calls += [f"criterion of demotion met: {name}" for name in met]
    calls += [f"{_several(tripped, 'breaker')} tripped"] if tripped else []
    level, title = ("invalid", "Needs a person") if calls else ("supported", "Nothing needs a person")
    warnings = f" {_several(counts['WARNING'], 'warning')}." if counts["WARNING"] else ""
    said = (
        f"{'; '.join(calls)}." if calls else "No critical incident, no breaker tripped, no criterion met."
    ) + warnings
    cells = "".join(
        f'<div class="tile"><span>{text(name)}</span><b>{text(value)}</b><small>{text(remark)}</small></div>'
        for name, value, remark in _tiles(report, figures, counts)
    )
    about = f"{journal.mode} account · {report.period.name} · {report.period.text} · {journal.currency}"
    return Html(
        f'<header class="top"><h1>{text(report.context.get("account", ""))}: '
        f'{text(report.context.get("portfolio", ""))}</h1><p class="kind">{text(about)}</p></header>'
        f'<div class="verdict {level}"><h2>{text(title)}</h2><p>{text(said)}</p></div>'
        f'<div class="tiles">{cells}</div>'
    )


def _tiles(
    report: OperatorInput, figures: dict[str, float | None], counts: dict[str, int]
) -> tuple[tuple[str, str, str], ...]:
    since = f"since opening: {signed_percent(figures['since_opening'])}"
    full = report.limits()
    fullest = f"{full['limit'][0]}, {full['scope'][0]}" if full.height else "no tick"
    return (
        ("profit and loss", decimal(figures["profit"]), signed_percent(figures["return"])),
        ("equity", money(figures["equity"]), since),
        ("largest drawdown", percent(figures["drawdown"]), "since opening"),
        ("invested", percent(figures["exposure"]), "at the last tick"),
        ("fullest limit", percent(full["highest"][0]) if full.height else "–", fullest),
        (
            "fees and slippage",
            decimal((figures["fees"] or 0.0) + (figures["slippage"] or 0.0)),
            f"{count(figures['orders'])} orders, {money(figures['traded'])} traded",
        ),
        ("incidents", count(sum(counts.values())), f"{counts['CRITICAL']} critical"),
    )


def _several(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number:,} {thing}s"


def days(frame: pl.DataFrame) -> Html:
    """Return profit and loss, trading and costs by day."""
    columns = (
        Column("day", "day", lambda day: f"{day}"),
        Column("profit", "profit", decimal, tint=True),
        Column("return", "return", signed_percent, tint=True),
        Column("equity", "equity", money),
        Column("ticks", "ticks", count),
        Column("fills", "fills", count),
        Column("traded", "traded", money),
        Column("fees", "fees", decimal),
        Column("slippage", "slippage", decimal),
    )
    return table(frame, columns, name="days", caption="Equity at the day's last tick; days are UTC.")


def limits(frame: pl.DataFrame) -> Html:
    """Return the use of every limit."""
    if frame.is_empty():
        return note("No tick recorded the use of limits in this period.")
    columns = (
        Column("limit", "limit"),
        Column("scope", "scope"),
        Column("of", "allowed", percent),
        Column("used", "used now", percent),
        Column("fraction", "share used", percent),
        Column("highest", "highest", percent),
        Column("tripped", "tripped", lambda value: "yes" if value else "no"),
    )
    caption = "As the risk step saw them at each tick. Share used: 72% of a limit of 5% is 3.6%."
    return table(frame, columns, name="limits", caption=caption)


def fills(frame: pl.DataFrame) -> Html:
    """Return what was traded."""
    if frame.is_empty():
        return note("Nothing was traded.")
    columns = (
        Column("at", "time", date),
        Column("symbol", "market"),
        Column("side", "side"),
        Column("quantity", "quantity", lambda value: f"{value:.8g}"),
        Column("price", "price", lambda value: f"{value:,.8g}"),
        Column("notional", "amount", decimal),
        Column("fee", "fee", decimal),
        Column("slippage", "slippage", decimal),
    )
    return table(frame, columns, name="fills", caption="–: a fee in a coin without a recorded price.")


def incidents(frame: pl.DataFrame) -> Html:
    """Return the incidents, the gravest first."""
    if frame.is_empty():
        return Html('<p class="pass">No incident.</p>')
    columns = (
        Column("at", "time", date),
        Column("severity", "severity"),
        Column("code", "code"),
        Column("symbol", "market"),
        Column("detail", "detail"),
    )
    caption = "What each code means and what to do: live_bridge/OPERATIONS_RUNBOOK.md."
    return table(frame, columns, name="incidents", caption=caption)


def criteria(frame: pl.DataFrame) -> Html:
    """Return the criteria of demotion."""
    columns = (
        Column("criterion", "criterion"),
        Column("found", "found"),
        Column("limit", "limit"),
        Column("state", "state"),
    )
    caption = "Met: alert, reduce or take the account back to paper; a person decides."
    return table(frame, columns, name="criteria", caption=caption)


def provenance(report: OperatorInput) -> Html:
    """Return where the report comes from."""
    context: dict[str, Any] = dict(report.context)
    reference = context.get("reference") or {}
    return facts(
        {
            "journal": context.get("journal"),
            "events": f"{report.journal.events:,}, chain checked",
            "head": report.journal.head,
            "strategies": ", ".join(context.get("strategies") or ()),
            "held against run": reference.get("run_id"),
            "code": context.get("code_version"),
            "this page again": context.get("command"),
        },
        name="provenance",
    )
