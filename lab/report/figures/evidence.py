"""Pictures of doubt: luck, folds, the plateau of parameters, overfitting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import plotly.graph_objects as go
import polars as pl

from lab.report.figures.style import (
    ACCENT,
    BENCHMARK,
    GAIN,
    INK,
    LOSS,
    MUTED,
    STRATEGY,
    SURFACE,
    axis,
    figure,
    label,
    numbers,
)
from lab.report.tables import Luck

__all__ = ["degradation", "folds", "luck", "overfitting", "plateau", "slices"]

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
        margin={"l": 12, "r": 12, "t": 64, "b": 44},
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
        usable = trials.filter(pl.col("state") == "complete") if "state" in trials.columns else trials
        every = -(-usable.height // _TRIALS_DRAWN)
        usable = usable.sort("fold", "sharpe").gather_every(max(every, 1))
        traces.append(
            go.Scatter(
                x=usable["fold"].to_list(),
                y=numbers(usable["sharpe"]),
                name="all trials, training",
                mode="markers",
                marker={"size": 4, "color": BENCHMARK, "opacity": 0.35},
                hoverinfo="skip",
            )
        )
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
        xaxis=axis("fold", dtick=1 if len(x) <= 20 else None, showgrid=False, hoverformat="d"),
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


def plateau(frame: pl.DataFrame, parameters: Sequence[str], chosen: pl.DataFrame | None) -> go.Figure:
    """Draw the median training Sharpe ratio by one or two parameters, with the folds' choices.

    Parameters
    ----------
    frame : polars.DataFrame
        Of :func:`lab.report.tables.plateau`.
    parameters : sequence of str
        One or two names.
    chosen : polars.DataFrame, optional
        The folds' winners, with columns named as `parameters`.
    """
    if len(parameters) == 1:
        return _ridge(frame, parameters[0])
    first, second = parameters[0], parameters[1]
    wide = frame.pivot(first, index=second, values="sharpe", sort_columns=False).sort(second)
    columns = sorted((name for name in wide.columns if name != second), key=float)
    reach = float(frame["sharpe"].abs().max() or 1.0)  # type: ignore[arg-type]
    surface = go.Heatmap(
        x=[float(name) for name in columns],
        y=wide[second].to_list(),
        z=[numbers(pl.Series(row)) for row in wide.select(columns).iter_rows()],
        zmid=0.0,
        zmin=-reach,
        zmax=reach,
        colorscale=[[0.0, LOSS], [0.5, SURFACE], [1.0, STRATEGY]],
        colorbar={
            "title": {"text": "median<br>Sharpe", "font": {"size": 12}},
            "thickness": 10,
            "outlinewidth": 0,
            "len": 0.9,
        },
        hovertemplate=f"{label(first)} %{{x:.4~g}}, {label(second)} %{{y:.4~g}}: %{{z:.2f}}<extra></extra>",
        xgap=1,
        ygap=1,
    )
    traces: list[Any] = [surface]
    if chosen is not None:
        picked = chosen.group_by(first, second).agg(folds=pl.len()).sort(first, second)
        traces.append(
            go.Scatter(
                x=numbers(picked[first]),
                y=numbers(picked[second]),
                mode="markers",
                marker={
                    "size": [7 + 3 * min(count, 4) for count in picked["folds"].to_list()],
                    "symbol": "circle-open",
                    "color": INK,
                    "line": {"width": 2},
                },
                customdata=picked["folds"].to_list(),
                hovertemplate="chosen in %{customdata} folds<extra></extra>",
            )
        )
    return figure(
        traces,
        height=360,
        hovermode="closest",
        showlegend=False,
        xaxis=axis(label(first), showgrid=False, tickformat="~g"),
        yaxis=axis(label(second), showgrid=False, tickformat="~g"),
    )


def slices(trials: pl.DataFrame, parameters: Sequence[str], most: int = 4) -> go.Figure:
    """Draw every trial's training Sharpe ratio against its parameters, each scaled to its own range."""
    usable = trials.filter(pl.col("state") == "complete") if "state" in trials.columns else trials
    usable = usable.gather_every(max(-(-usable.height // _TRIALS_DRAWN), 1))
    shown = parameters[:most]
    traces, layout = [], {}
    width = 1.0 / len(shown)
    for number, name in enumerate(shown, start=1):
        suffix = "" if number == 1 else str(number)
        traces.append(
            go.Scatter(
                x=numbers(usable[f"parameter_{name}"]),
                y=numbers(usable["sharpe"]),
                xaxis=f"x{suffix}",
                mode="markers",
                name=label(name),
                marker={"size": 4, "color": STRATEGY, "opacity": 0.35},
                hovertemplate="%{x:.4~g}: %{y:.2f}<extra></extra>",
            )
        )
        domain = [(number - 1) * width + 0.02, number * width - 0.02]
        layout[f"xaxis{suffix}"] = axis(
            label(name, 18), domain=domain, showgrid=False, nticks=4, tickangle=0, tickformat="~g"
        )
    zero = axis("training Sharpe ratio", zeroline=True, zerolinecolor=BENCHMARK, tickformat="~g")
    return figure(traces, height=360, hovermode="closest", showlegend=False, yaxis=zero, **layout)


def overfitting(logits: pl.Series) -> go.Figure:
    """Draw the distribution of relative ranks out of sample of the best in sample, as logits."""
    kinds = ((logits.filter(logits <= 0), "at or below the median", LOSS),)
    kinds += ((logits.filter(logits > 0), "above the median", GAIN),)
    finite = logits.filter(logits.is_finite())
    reach = max(abs(float(finite.min() or 0.0)), abs(float(finite.max() or 0.0)), 1.0)  # type: ignore[arg-type]
    traces = [
        go.Histogram(
            x=numbers(part.clip(-reach, reach)),
            name=name,
            marker={"color": colour + "c0"},
            xbins={"start": -reach, "end": reach + 1e-9, "size": reach / 20},
            hovertemplate="%{y} splits",
        )
        for part, name, colour in kinds
    ]
    return figure(
        traces,
        height=320,
        barmode="stack",
        bargap=0.05,
        xaxis=axis("logit of the out-of-sample rank of the best in sample"),
        yaxis=axis("splits"),
    )


def _ridge(frame: pl.DataFrame, parameter: str) -> go.Figure:
    line = go.Scatter(
        x=numbers(frame[parameter]),
        y=numbers(frame["sharpe"]),
        mode="lines+markers",
        line={"color": STRATEGY},
        hovertemplate="%{y:.2f}",
    )
    return figure(
        [line],
        height=320,
        xaxis=axis(label(parameter), tickformat="~g"),
        yaxis=axis("median training Sharpe ratio", zeroline=True, zerolinecolor=BENCHMARK),
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
