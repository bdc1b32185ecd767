"""Coverage and quality of bars by market and month, as one HTML file that needs no network."""

from __future__ import annotations

import html
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

import polars as pl

from lab.core.timeframe import Timeframe

__all__ = ["monthly_quality", "render"]

_LEVELS: Final = ((1.0, "full"), (0.99, "high"), (0.95, "fair"), (0.8, "low"), (0.0, "poor"))


def monthly_quality(marked: pl.DataFrame, timeframe: str | Timeframe) -> pl.DataFrame:
    """Count bars by market and month.

    Parameters
    ----------
    marked : polars.DataFrame
        As :func:`lab.data.quality.mark` returns it.
    timeframe : str or Timeframe
        Length of a bar.

    Returns
    -------
    polars.DataFrame
        ``timeframe, market, month`` (``YYYY-MM``), ``expected`` (bars of the calendar between the market's
        first and last), ``good, questionable, bad, missing``; filled bars count as missing, bars off the grid
        as bad only. A row per month from a market's first to its last, sorted.
    """
    grid = Timeframe.parse(timeframe)
    received = marked.filter(pl.col("reason") != "filled")
    month = pl.col("ts").dt.strftime("%Y-%m").alias("month")
    counts = received.group_by("market", month).agg(
        good=_marked("GOOD"),
        questionable=_marked("QUESTIONABLE"),
        bad=_marked("BAD"),
        on_grid=(~pl.col("reason").str.contains("off_grid", literal=True)).sum().cast(pl.Int64),
    )
    spans = received.group_by("market").agg(first=pl.col("ts").min(), last=pl.col("ts").max())
    calendar = [
        (market, name, expected)
        for market, first, last in spans.iter_rows()
        for name, expected in _months(first, last, grid)
    ]
    schema = {"market": pl.String, "month": pl.String, "expected": pl.Int64}
    rows = pl.DataFrame(calendar, schema=schema, orient="row").join(
        counts, on=["market", "month"], how="left"
    )
    known = rows.with_columns(pl.col("good", "questionable", "bad", "on_grid").fill_null(0))
    missing = (pl.col("expected") - pl.col("on_grid")).clip(0).alias("missing")
    columns = pl.col("market", "month", "expected", "good", "questionable", "bad")
    return known.sort("market", "month").select(pl.lit(str(grid)).alias("timeframe"), columns, missing)


def _marked(quality: str) -> pl.Expr:
    return (pl.col("quality") == quality).sum().cast(pl.Int64)


def render(counts: Iterable[pl.DataFrame], *, title: str) -> str:
    """Return an HTML page with a table per timeframe of what :func:`monthly_quality` counted.

    Everything from outside is escaped; style is inside, there is no script.
    """
    sections = "\n".join(_section(frame) for frame in counts if frame.height)
    legend = "".join(
        f'<span><i class="{name}"></i>{text}</span>'
        for name, text in (
            ("full", "all bars"),
            ("high", "99 % or more"),
            ("fair", "95 % or more"),
            ("low", "80 % or more"),
            ("poor", "less"),
            ("none", "not listed"),
        )
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{html.escape(title)}</h1>"
        f'<p class="legend">{legend}<span><b>×</b> BAD bars</span>'
        "<span><b>•</b> more than 1 % QUESTIONABLE</span></p>"
        "<p>A cell is a month; point at it for the figures. Missing bars count between a market's first and "
        f"last bar.</p>\n{sections or '<p>No bars.</p>'}</body></html>\n"
    )


def _section(counts: pl.DataFrame) -> str:
    timeframe = str(counts["timeframe"][0])
    months = _all_months(str(counts["month"].min()), str(counts["month"].max()))
    years: dict[str, int] = {}
    for month in months:
        years[month[:4]] = years.get(month[:4], 0) + 1
    head = "".join(f'<th colspan="{size}" class="year">{year}</th>' for year, size in years.items())
    rows = "".join(
        _row(str(market), rows, months) for (market,), rows in counts.group_by("market", maintain_order=True)
    )
    return (
        f"<h2>{html.escape(timeframe)}</h2><div class='scroll'><table><thead><tr><th>market</th>"
        '<th class="number">bars</th><th class="number">missing</th><th class="number">questionable</th>'
        f'<th class="number">bad</th>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _row(market: str, rows: pl.DataFrame, months: list[str]) -> str:
    by_month = {row["month"]: row for row in rows.iter_rows(named=True)}
    cells = "".join(_cell(month, by_month.get(month)) for month in months)
    good, *others = (int(rows[name].sum()) for name in ("good", "missing", "questionable", "bad"))
    totals = [good + others[1] + others[2], *others]
    numbers = "".join(f'<td class="number">{total:,}</td>' for total in totals)
    return f'<tr><th scope="row">{html.escape(market)}</th>{numbers}{cells}</tr>'


def _cell(month: str, row: dict[str, Any] | None) -> str:
    first = " first" if month.endswith("-01") else ""
    if row is None:
        return f'<td class="none{first}"></td>'
    share = 1.0 if not row["expected"] else 1.0 - row["missing"] / row["expected"]
    level = next(name for bound, name in _LEVELS if share >= bound)
    received = row["good"] + row["questionable"] + row["bad"]
    doubtful = received and row["questionable"] > 0.01 * received
    sign = "×" if row["bad"] else "•" if doubtful else ""
    figures = ", ".join(f"{row[name]:,} {name}" for name in ("good", "questionable", "bad", "missing"))
    return f'<td class="{level}{first}" title="{month}: {figures} of {row["expected"]:,}">{sign}</td>'


def _months(first: datetime, last: datetime, grid: Timeframe) -> Iterable[tuple[str, int]]:
    """Yield each month from `first` to `last` with the bars that open in it between the two, inclusive."""
    for month in _all_months(f"{first:%Y-%m}", f"{last:%Y-%m}"):
        start = datetime(int(month[:4]), int(month[5:]), 1, tzinfo=first.tzinfo)
        end = (start + timedelta(days=32)).replace(day=1)
        low = -(-_past(max(first, start), grid) // grid.microseconds)
        high = -(-_past(min(last + timedelta(microseconds=1), end), grid) // grid.microseconds)
        yield month, high - low


def _past(instant: datetime, grid: Timeframe) -> int:
    return (instant - grid.open_time(0)) // timedelta(microseconds=1)


def _all_months(first: str, last: str) -> list[str]:
    low, high = (int(month[:4]) * 12 + int(month[5:]) - 1 for month in (first, last))
    return [f"{number // 12:04d}-{number % 12 + 1:02d}" for number in range(low, high + 1)]


_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1d2430; --paper: #ffffff; --line: #c9ced6; --quiet: #eef0f3;
 --full: #1a7f53; --high: #7cc08f; --fair: #f2cc55; --low: #ee8a3c; --poor: #c8372d; --sign: #101418; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --paper: #14181f; --line: #3a414c;
 --quiet: #20262f; --full: #2b9a68; --high: #7cc08f; --sign: #0b0e12; } }
body { font: 14px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 24px; }
h1 { font-size: 20px; margin: 0 0 8px } h2 { font-size: 16px; margin: 24px 0 8px }
.legend { display: flex; flex-wrap: wrap; gap: 6px 18px; align-items: center }
.legend i { display: inline-block; width: 14px; height: 14px; margin-right: 6px; vertical-align: -2px }
.scroll { overflow-x: auto } table { border-collapse: separate; border-spacing: 1px; font-size: 12px }
th { font-weight: 600; text-align: left; padding: 1px 6px; white-space: nowrap }
tbody th { position: sticky; left: 0; background: var(--paper); font-weight: 400 }
td { width: 13px; min-width: 13px; height: 15px; padding: 0; text-align: center; line-height: 1;
 color: var(--sign); font-weight: 700 }
td.number, th.number { width: auto; padding: 0 6px; text-align: right; color: var(--ink); font-weight: 400;
 font-variant-numeric: tabular-nums }
.first { border-left: 1px solid var(--ink) } .year { border-left: 1px solid var(--ink) }
.full { background: var(--full) } .high { background: var(--high) } .fair { background: var(--fair) }
.low { background: var(--low) } .poor { background: var(--poor) } .none { background: var(--quiet) }
"""
