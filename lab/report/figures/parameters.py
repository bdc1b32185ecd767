"""Pictures of the search: the plateau of parameters, and what cross-validation says of the selection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import plotly.graph_objects as go
import polars as pl

from lab.report.figures.style import axis, figure, label, numbers
from lab.report.palette import BENCHMARK, GAIN, INK, LOSS, STRATEGY, SURFACE

__all__ = ["overfitting", "plateau", "slices"]

_TRIALS_DRAWN: Final = 3_000


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
        traces.append(_choices(chosen, first, second))
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
    columns = min(len(shown), 2)
    rows = -(-len(shown) // columns)
    traces, layout = [], {}
    for number, name in enumerate(shown):
        row, column = divmod(number, columns)
        suffix = "" if number == 0 else str(number + 1)
        traces.append(
            go.Scatter(
                x=numbers(usable[f"parameter_{name}"]),
                y=numbers(usable["sharpe"]),
                xaxis=f"x{suffix}",
                yaxis=f"y{suffix}",
                mode="markers",
                name=label(name),
                marker={"size": 4, "color": STRATEGY, "opacity": 0.35},
                hovertemplate="%{x:.4~g}: %{y:.2f}<extra></extra>",
            )
        )
        top = 1.0 - row / rows
        across = [column / columns + 0.05 * column, (column + 1) / columns - 0.05 * (columns - 1 - column)]
        down = [top - 1.0 / rows + (0.2 if rows > 1 else 0.0), top]
        layout[f"xaxis{suffix}"] = axis(
            label(name), anchor=f"y{suffix}", domain=across, showgrid=False, nticks=5, tickformat="~g"
        )
        layout[f"yaxis{suffix}"] = axis(
            "training Sharpe" if column == 0 else "",
            anchor=f"x{suffix}",
            domain=down,
            matches="y" if number else None,
            zeroline=True,
            zerolinecolor=BENCHMARK,
            showticklabels=column == 0,
            nticks=5,
            tickformat="~g",
        )
    return figure(traces, height=360, hovermode="closest", showlegend=False, **layout)


def overfitting(logits: pl.Series) -> go.Figure:
    """Draw the distribution of relative ranks out of sample of the best in sample, as logits."""
    kinds = (
        (logits.filter(logits <= 0), "at or below the median", LOSS),
        (logits.filter(logits > 0), "above the median", GAIN),
    )
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


def _choices(chosen: pl.DataFrame, first: str, second: str) -> go.Scatter:
    picked = chosen.group_by(first, second).agg(folds=pl.len()).sort(first, second)
    return go.Scatter(
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
