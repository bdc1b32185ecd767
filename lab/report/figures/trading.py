"""Pictures of what was held, traded and paid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
import polars as pl

from lab.report.figures.style import axis, figure, label, numbers, stamps
from lab.report.palette import ACCENT, BENCHMARK, CATEGORIES, GAIN, LOSS, MUTED, STRATEGY

__all__ = ["costs", "prices", "weights"]


def weights(frame: pl.DataFrame) -> go.Figure:
    """Draw the share of equity in each market of :func:`lab.report.tables.held_weights`; the rest is cash."""
    x = stamps(frame["ts"])
    traces = []
    markets = [name for name in frame.columns if name != "ts"]
    for number, name in enumerate(markets):
        colour = CATEGORIES[number] if number < len(CATEGORIES) else BENCHMARK
        traces.append(
            go.Scatter(
                x=x,
                y=numbers(frame[name]),
                name=label(name),
                stackgroup="held",
                mode="lines",
                line={"width": 0.4, "color": colour, "shape": "hv"},
                fillcolor=colour + "cc",
                hovertemplate="%{y:.1%}",
            )
        )
    return figure(
        traces,
        height=330,
        showlegend=len(markets) > 1,
        xaxis=axis(hoverformat="%d %b %Y"),
        yaxis=axis("share of equity", tickformat=".0%", rangemode="tozero"),
    )


def costs(frame: pl.DataFrame) -> go.Figure:
    """Draw turnover by month and cumulative costs of :func:`lab.report.tables.monthly_trading`."""
    x = frame["month"].dt.strftime("%Y-%m-%d").to_list()
    bars = go.Bar(
        x=x,
        y=numbers(frame["turnover"]),
        name="turnover by month",
        marker={"color": STRATEGY + "b0", "line": {"width": 0}},
        hovertemplate="%{y:.2f} × equity",
    )
    paid = go.Scatter(
        x=x,
        y=numbers(frame["cumulative_cost"]),
        name="costs so far (right)",
        yaxis="y2",
        mode="lines",
        line={"color": LOSS, "width": 2, "shape": "hv"},
        hovertemplate="%{y:.2%} of equity",
    )
    return figure(
        [bars, paid],
        height=300,
        margin={"l": 56, "r": 52, "t": 34, "b": 30},
        xaxis=axis(hoverformat="%b %Y"),
        yaxis=axis("traded / equity", rangemode="tozero"),
        yaxis2=axis("", overlaying="y", side="right", tickformat=".1%", rangemode="tozero", showgrid=False),
    )


def prices(series: Mapping[str, tuple[pl.DataFrame, pl.DataFrame]]) -> go.Figure:
    """Draw closes with entries and exits, one market at a time.

    Parameters
    ----------
    series : mapping of str to pair of DataFrame
        Market to its closes (``ts, close``) and its entries and exits (``ts, kind, price, return``).
    """
    traces: list[Any] = []
    for number, (name, (closes, marks)) in enumerate(series.items()):
        shown = number == 0
        traces.append(
            go.Scatter(
                x=stamps(closes["ts"]),
                y=numbers(closes["close"]),
                name=label(name),
                mode="lines",
                line={"color": MUTED, "width": 1.2},
                visible=shown,
                hovertemplate="%{y:,.6~g}",
            )
        )
        traces += [_marks(marks, kind, visible=shown) for kind in ("entry", "exit")]
    count = len(series)
    buttons = [
        {
            "label": label(name, 60),
            "method": "update",
            "args": [
                {"visible": [number == row for row in range(count) for _ in range(3)]},
                {"yaxis": _price_axis(closes["close"])},
            ],
        }
        for number, (name, (closes, _)) in enumerate(series.items())
    ]
    menu = {"buttons": buttons, "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"}
    return figure(
        traces,
        height=360,
        hovermode="closest",
        updatemenus=[menu] if count > 1 else [],
        xaxis=axis(hoverformat="%d %b %Y"),
        yaxis=_price_axis(next(iter(series.values()))[0]["close"]) if series else axis(),
    )


def _price_axis(closes: pl.Series) -> dict[str, Any]:
    """Return a log axis with readable ticks where prices span a decade or so, else a linear one."""
    low, high = (float(value or 1.0) for value in (closes.min(), closes.max()))  # type: ignore[arg-type]
    span = high / low if low > 0 else 1.0
    if span < 6:
        return axis("price", type="linear", tickformat="~s", nticks=6)
    return axis("price, log", type="log", tickformat="~s", dtick="D2" if span < 2_000 else 1)


def _marks(marks: pl.DataFrame, kind: str, *, visible: bool) -> go.Scatter:
    own = marks.filter(pl.col("kind") == kind)
    entry = kind == "entry"
    text = "%{x|%d %b %Y} at %{y:,.6~g}"
    return go.Scatter(
        x=stamps(own["ts"]),
        y=numbers(own["price"]),
        customdata=None if entry else numbers(own["return"])[:, None],
        name=kind,
        mode="markers",
        marker={
            "symbol": "triangle-up" if entry else "triangle-down",
            "size": 9,
            "color": GAIN if entry else ACCENT,
            "line": {"width": 0.5, "color": MUTED},
        },
        visible=visible,
        hovertemplate=f"{text}<extra>entry</extra>"
        if entry
        else f"{text}, trade %{{customdata[0]:.1%}}<extra>exit</extra>",
    )
