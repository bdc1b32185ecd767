"""Pictures of the operator's report."""

from __future__ import annotations

from typing import Any, Final

import plotly.graph_objects as go
import polars as pl

from lab.report.figures.style import axis, figure, label, numbers, stamps
from lab.report.palette import ACCENT, BAND, CATEGORIES, GAIN, GRID, INK, LOSS, STRATEGY

__all__ = ["equity", "holdings", "use_of_limits"]

_MOST: Final = 14
_NEAR: Final = 0.8


def equity(daily: pl.DataFrame, start: str, end: str) -> go.Figure:
    """Draw equity by day since the opening, with the period on a band, above each day's profit."""
    days = daily["day"].cast(pl.String).to_list()
    profit = numbers(daily["profit"])
    line = go.Scatter(
        x=days,
        y=numbers(daily["equity"]),
        name="equity",
        mode="lines+markers" if len(days) < 60 else "lines",
        line={"color": STRATEGY, "width": 2},
        hovertemplate="%{y:,.2f}",
    )
    bars = go.Bar(
        x=days,
        y=profit,
        name="profit",
        yaxis="y2",
        marker={"color": [GAIN if value >= 0 else LOSS for value in profit]},
        hovertemplate="%{y:,.2f}",
    )
    band = {"type": "rect", "xref": "x", "yref": "paper", "x0": start, "x1": end, "y0": 0, "y1": 1}
    return figure(
        [line, bars],
        height=360,
        showlegend=False,
        shapes=[{**band, "fillcolor": BAND, "line": {"width": 0}, "layer": "below"}],
        xaxis=axis(anchor="y2", hoverformat="%d %b %Y"),
        yaxis=axis("equity", domain=[0.38, 1.0]),
        yaxis2=axis("profit by day", domain=[0.0, 0.30], zeroline=True, zerolinecolor=ACCENT),
    )


def holdings(frame: pl.DataFrame, ticks: pl.DataFrame, markets: int = 8) -> go.Figure:
    """Draw the share of equity in each market at the end of every tick."""
    wide = frame.pivot("symbol", index="at", values="weight", aggregate_function="last")
    joined = (
        ticks.select("at").unique(maintain_order=True).join(wide, on="at", how="left", maintain_order="left")
    )
    names = [name for name in joined.columns if name != "at"]
    joined = joined.with_columns(pl.col(names).fill_null(0.0)) if names else joined
    ranked = sorted(names, key=lambda name: (-float(joined[name].mean() or 0.0), name))  # type: ignore[arg-type]
    shown = {name: joined[name] for name in ranked[:markets]}
    if ranked[markets:]:
        shown["others"] = joined.select(pl.sum_horizontal(ranked[markets:]))[:, 0]
    x = stamps(joined["at"])
    return figure(
        [
            go.Scatter(
                x=x,
                y=numbers(series),
                name=label(name),
                mode="lines",
                stackgroup="held",
                line={"width": 0.5, "color": CATEGORIES[number % len(CATEGORIES)], "shape": "hv"},
                hovertemplate="%{y:.1%}",
            )
            for number, (name, series) in enumerate(shown.items())
        ],
        height=300,
        xaxis=axis(),
        yaxis=axis("share of equity", tickformat=".0%", rangemode="tozero"),
    )


def use_of_limits(frame: pl.DataFrame) -> go.Figure:
    """Draw how full the fullest limits are: now, and at their highest within the period."""
    shown = frame.head(_MOST).reverse()
    places = list(range(shown.height))
    names = [
        label(f"{limit}: {scope}", longest=48) for limit, scope in shown.select("limit", "scope").iter_rows()
    ]
    highest, now = numbers(shown["highest"]), numbers(shown["fraction"])
    reach = max(1.05, float(highest.max()) * 1.05)
    colours = [LOSS if value >= 1 else ACCENT if value >= _NEAR else STRATEGY for value in now]
    bars = [
        _bar(highest, places, "highest", [GRID] * len(places), names),
        _bar(now, places, "now", colours, names),
    ]
    # Names stand above their bars: beside them they would take half of a narrow screen.
    above = {"x": 0, "xanchor": "left", "yanchor": "bottom", "yshift": 5, "showarrow": False}
    return figure(
        bars,
        height=90 + 34 * shown.height,
        barmode="overlay",
        hovermode="closest",
        annotations=[
            {**above, "y": place, "text": name, "font": {"size": 11, "color": INK}}
            for place, name in zip(places, names, strict=True)
        ],
        xaxis=axis(tickformat=".0%", range=[0, reach]),
        yaxis=axis(showgrid=False, showticklabels=False, range=[-0.7, shown.height - 0.1]),
    )


def _bar(values: Any, places: list[int], name: str, colours: list[str], limits: list[str]) -> go.Bar:
    return go.Bar(
        x=values,
        y=places,
        name=name,
        orientation="h",
        width=0.26,
        marker={"color": colours},
        customdata=limits,
        hovertemplate="%{customdata}<br>%{x:.1%} " + name + "<extra></extra>",
    )
