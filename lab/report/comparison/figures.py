"""Pictures of a comparison."""

from __future__ import annotations

from typing import Final

import plotly.graph_objects as go
import polars as pl

from lab.report.comparison.tables import COMBINED, HELD
from lab.report.figures.style import axis, figure, label, numbers, stamps
from lab.report.palette import ACCENT, BENCHMARK, CATEGORIES, INK, STRATEGY
from lab.report.tables import thin, underwater

__all__ = ["contributions", "drawdowns", "growth"]

_POINTS: Final = 1_600
_DASHES: Final = ("solid", "dash", "dot", "dashdot")
_SIDE_BY_SIDE: Final = 26


def growth(wealth: pl.DataFrame) -> go.Figure:
    """Draw growth of 1 of every run, the combined portfolio and buy and hold on a log axis."""
    traces = [_line(wealth, name, place) for place, name in enumerate(_names(wealth))]
    return figure(
        traces,
        height=430 + 22 * (len(traces) // 4),
        xaxis=axis(hoverformat="%d %b %Y"),
        yaxis=axis("growth of 1, log", type="log", dtick="D2", tickformat="~g"),
    )


def drawdowns(wealth: pl.DataFrame) -> go.Figure:
    """Draw the drawdowns of every run and of the combined portfolio: where they meet, nothing is spread."""
    depths = wealth.select("ts", *(underwater(wealth[name]).alias(name) for name in _names(wealth)))
    traces = [
        _line(depths, name, place, hover="%{y:.1%}")
        for place, name in enumerate(_names(wealth))
        if name != HELD
    ]
    return figure(
        traces,
        height=300,
        showlegend=False,
        xaxis=axis(hoverformat="%d %b %Y"),
        yaxis=axis("drawdown", tickformat=".0%"),
    )


def contributions(marginal: pl.DataFrame) -> go.Figure:
    """Draw each run's part of the combined return beside its part of the risk."""
    names = [label(name, _SIDE_BY_SIDE) for name in marginal["name"]]
    bars = [
        go.Bar(
            y=names,
            x=numbers(marginal[column]),
            orientation="h",
            name=title,
            marker={"color": colour},
            hovertemplate="%{x:.1%}",
        )
        for column, title, colour in (
            ("risk_part", "part of the risk", ACCENT),
            ("return_part", "part of the return", STRATEGY),
        )
    ]
    return figure(
        bars,
        height=110 + 54 * len(names),
        hovermode="y unified",
        barmode="group",
        xaxis=axis("of the combined portfolio", tickformat=".0%", zeroline=True, zerolinecolor=BENCHMARK),
        yaxis=axis(autorange="reversed", gridcolor="rgba(0,0,0,0)"),
        legend={"traceorder": "reversed", "orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"},
    )


def _names(wealth: pl.DataFrame) -> list[str]:
    return [name for name in wealth.columns if name != "ts"]


def _line(frame: pl.DataFrame, name: str, place: int, *, hover: str = "%{y:.2f}") -> go.Scatter:
    # Under a name of our own: polars reads some names from outside as patterns.
    path = thin(pl.DataFrame({"ts": frame["ts"], "value": frame[name]}), "value", _POINTS)
    style = {"color": CATEGORIES[place % len(CATEGORIES)], "width": 1.5}
    style["dash"] = _DASHES[(place // len(CATEGORIES)) % len(_DASHES)]
    if name == COMBINED:
        style = {"color": INK, "width": 2.6}
    if name == HELD:
        style = {"color": BENCHMARK, "width": 1.4, "dash": "dot"}
    return go.Scatter(
        x=stamps(path["ts"]),
        y=numbers(path["value"]),
        name=label(name),
        mode="lines",
        line=style,
        hovertemplate=hover,
    )
