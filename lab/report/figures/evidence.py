"""Pictures of doubt: luck, and what training promised against what came after it."""

from __future__ import annotations

import math
from typing import Any, Final

import plotly.graph_objects as go
import polars as pl

from lab.report.figures.style import axis, figure, numbers
from lab.report.palette import ACCENT, BENCHMARK, LOSS, MUTED, STRATEGY
from lab.report.tables import Luck

__all__ = ["degradation", "folds", "luck"]

_TRIALS_DRAWN: Final = 3_000
_TWO_SIDED: Final = 1.959964  # deviations in a 95% interval


def luck(found: Luck) -> go.Figure:
    """Draw how sure the Sharpe ratio is: its sampling distribution, cut at the luck of the trials.

    The area to the right of the cut is the deflated Sharpe ratio, to within the approximation that both make.
    """
    low, high = found.interval or (found.sharpe - 1.0, found.sharpe + 1.0)
    error = (high - low) / 2 / _TWO_SIDED
    cut = found.expected_max_sharpe
    start, stop = found.sharpe - 4 * error, found.sharpe + 4 * error
    parts = [(start, stop, STRATEGY)]
    if cut is not None:
        parts = [(start, min(max(cut, start), stop), LOSS), (min(max(cut, start), stop), stop, STRATEGY)]
    traces = [_bell(found.sharpe, error, *part) for part in parts]
    marks = [(0.0, "no skill", MUTED), (found.sharpe, "observed", STRATEGY)]
    if cut is not None:
        trials = "the trials" if found.n_trials is None else f"{found.n_trials:,} trials"
        marks.append((cut, f"best of {trials} by luck", LOSS))
    return figure(
        traces,
        height=290,
        margin={"l": 12, "r": 12, "t": 64, "b": 48},
        hovermode=False,
        showlegend=False,
        shapes=[_upright(x, colour) for x, _, colour in marks],
        annotations=[_above(x, text, colour, row) for row, (x, text, colour) in enumerate(sorted(marks))],
        xaxis=axis("annualised Sharpe ratio", tickformat="~g", showgrid=False),
        yaxis=axis(visible=False, rangemode="tozero", fixedrange=True),
    )


def folds(frame: pl.DataFrame, trials: pl.DataFrame | None) -> go.Figure:
    """Draw, for every fold, all trials and the winner in training, and what the winner did in the test."""
    traces: list[Any] = []
    if trials is not None:
        traces.append(_cloud(trials))
    x = frame["fold"].to_list()
    test = frame["test_sharpe"]
    traces += [
        go.Scatter(
            x=x,
            y=numbers(frame["train_sharpe"]),
            name="chosen, training",
            mode="markers",
            marker={"size": 9, "symbol": "circle-open", "color": ACCENT, "line": {"width": 2}},
            hovertemplate="%{y:.2f}",
        ),
        go.Scatter(
            x=x,
            y=numbers(test),
            name="chosen, out of sample",
            mode="markers",
            marker={"size": 10, "symbol": "diamond", "color": STRATEGY},
            hovertemplate="%{y:.2f}",
        ),
    ]
    return figure(
        traces,
        height=340,
        xaxis=axis(
            "fold", range=[min(x) - 0.6, max(x) + 0.6], showgrid=False, tickformat="d", hoverformat="d"
        ),
        yaxis=axis("annualised Sharpe ratio", zeroline=True, zerolinecolor=BENCHMARK, tickformat="~g"),
    )


def degradation(frame: pl.DataFrame) -> go.Figure:
    """Draw every fold's out-of-sample Sharpe ratio against that of its training."""
    train, test = numbers(frame["train_sharpe"]), numbers(frame["test_sharpe"])
    low, high = float(min(train.min(), test.min(), 0)), float(max(train.max(), test.max(), 0))
    equal = go.Scatter(
        x=[low, high], y=[low, high], mode="lines", line={"color": BENCHMARK, "dash": "dot", "width": 1.2}
    )
    equal.update(hoverinfo="skip")
    points = go.Scatter(
        x=train,
        y=test,
        mode="markers",
        marker={"size": 9, "color": [LOSS if value < 0 else STRATEGY for value in test], "opacity": 0.85},
        customdata=frame["fold"].to_list(),
        hovertemplate="fold %{customdata}: %{x:.2f} in training, %{y:.2f} after it<extra></extra>",
    )
    return figure(
        [equal, points],
        height=340,
        hovermode="closest",
        showlegend=False,
        annotations=[_corner("dotted: as good as in training")],
        xaxis=axis("training Sharpe ratio", tickformat="~g"),
        yaxis=axis("out-of-sample Sharpe ratio", zeroline=True, zerolinecolor=BENCHMARK, tickformat="~g"),
    )


def _cloud(trials: pl.DataFrame) -> go.Scatter:
    usable = trials.filter(pl.col("state") == "complete") if "state" in trials.columns else trials
    every = -(-usable.height // _TRIALS_DRAWN)
    usable = usable.sort("fold", "sharpe").gather_every(max(every, 1))
    return go.Scatter(
        x=usable["fold"].to_list(),
        y=numbers(usable["sharpe"]),
        name="all trials, training",
        mode="markers",
        marker={"size": 4, "color": BENCHMARK, "opacity": 0.35},
        hoverinfo="skip",
    )


def _upright(x: float, colour: str) -> dict[str, Any]:
    line = {"color": colour, "width": 1.5, "dash": "dot"}
    return {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper", "line": line}


def _above(x: float, text: str, colour: str, row: int) -> dict[str, Any]:
    place = {
        "x": x,
        "y": 1.0,
        "yref": "paper",
        "yanchor": "bottom",
        "yshift": 16 * (2 - row),
        "xanchor": "left",
    }
    return {**place, "text": text, "showarrow": False, "font": {"color": colour, "size": 12}}


def _bell(centre: float, error: float, start: float, stop: float, colour: str) -> go.Scatter:
    steps = [start + (stop - start) * step / 60 for step in range(61)]
    return go.Scatter(
        x=steps,
        y=[math.exp(-0.5 * ((x - centre) / error) ** 2) if error > 0 else 0.0 for x in steps],
        mode="lines",
        line={"color": colour, "width": 1.5},
        fill="tozeroy",
        fillcolor=colour + "40",
    )


def _corner(text: str) -> dict[str, Any]:
    place = {"x": 0, "y": 1, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom"}
    return {**place, "text": text, "showarrow": False, "font": {"color": MUTED}}
