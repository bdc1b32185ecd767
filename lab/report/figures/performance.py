"""Pictures of the account: growth and drawdown, rolling figures, distribution of returns."""

from __future__ import annotations

import math
from typing import Any, Final

import plotly.graph_objects as go
import polars as pl

from lab.report.figures.style import axis, figure, numbers, stamps
from lab.report.palette import ACCENT, BAND, BENCHMARK, INK, LOSS, MUTED, STRATEGY
from lab.report.tables import thin, underwater

__all__ = ["growth", "histogram", "quantiles", "rolling"]

_POINTS: Final = 2_400


def growth(
    account: pl.DataFrame,
    drawdowns: pl.DataFrame,
    *,
    folds: pl.DataFrame | None = None,
    in_sample: pl.DataFrame | None = None,
) -> go.Figure:
    """Draw growth of 1 on a log axis above the drawdown from the highest close.

    Parameters
    ----------
    account : polars.DataFrame
        ``ts, wealth, benchmark`` of :func:`lab.report.tables.account`.
    drawdowns : polars.DataFrame
        Of :func:`lab.report.tables.drawdown_periods`; their ranks are written at the troughs.
    folds : polars.DataFrame, optional
        ``test_start, test_end``: every other one gets a band. Without folds nothing was held out, and all of
        the ground is orange.
    in_sample : polars.DataFrame, optional
        ``ts, equity`` of bars that were trained on: drawn dashed on an orange ground, ending where the
        out-of-sample path starts.
    """
    path = thin(account.with_columns(underwater(account["wealth"])), "wealth", _POINTS)
    x = stamps(path["ts"])
    traces: list[Any] = []
    shapes = [_span(x[0], x[-1], ACCENT, 0.07)] if folds is None else _bands(folds)
    if in_sample is not None:
        traces.append(_trained(in_sample, before=account["ts"][0]))
        shapes.append(_span(str(in_sample["ts"][0]), x[0], ACCENT, 0.10))
    if path["benchmark"].null_count() < path.height:
        traces.append(_line(x, path["benchmark"], "buy and hold", BENCHMARK, width=1.4, hover="%{y:.2f}"))
    traces.append(_line(x, path["wealth"], "strategy", STRATEGY, width=2, hover="%{y:.2f}"))
    deepest = min(float(path["drawdown"].min() or 0.0), -0.01)  # type: ignore[arg-type]
    depth = _line(x, path["drawdown"], "drawdown", LOSS, width=1.2, hover="%{y:.1%}")
    depth.update(yaxis="y2", fill="tozeroy", fillcolor=LOSS + "30", showlegend=False)
    traces.append(depth)
    return figure(
        traces,
        height=470,
        shapes=shapes,
        annotations=[_rank(row) for row in drawdowns.iter_rows(named=True)],
        xaxis=axis(anchor="y2", hoverformat="%d %b %Y"),
        yaxis=axis("growth of 1, log", type="log", domain=[0.33, 1.0], dtick="D2", tickformat="~g"),
        yaxis2=axis("drawdown", domain=[0.0, 0.27], tickformat=".0%", range=[1.3 * deepest, 0.0]),
    )


def rolling(frame: pl.DataFrame, *, window: str) -> go.Figure:
    """Draw the Sharpe ratio, volatility and beta of :func:`lab.report.tables.rolling` in three panels."""
    path = thin(frame.with_columns(pl.col("sharpe").fill_null(0.0).alias("_")), "_", _POINTS)
    x = stamps(path["ts"])
    panels = (
        ("sharpe", "Sharpe ratio", STRATEGY, ".2f"),
        ("volatility", "volatility", ACCENT, ".0%"),
        ("beta", "beta", MUTED, ".2f"),
    )
    traces, layout = [], {}
    for number, (column, title, colour, form) in enumerate(panels, start=1):
        suffix = "" if number == 1 else str(number)
        line = _line(x, path[column], f"{title}", colour, width=1.6, hover=f"%{{y:{form}}}")
        line.update(yaxis=f"y{suffix}", showlegend=False)
        traces.append(line)
        top = 1.0 - (number - 1) * 0.35
        layout[f"yaxis{suffix}"] = axis(
            title, domain=[top - 0.30, top], tickformat=form if "%" in form else "~g", nticks=5, zeroline=True
        )
        layout[f"yaxis{suffix}"]["zerolinecolor"] = BENCHMARK
    return figure(
        traces,
        height=430,
        showlegend=False,
        xaxis=axis(anchor="y3", hoverformat="%d %b %Y"),
        meta={"window": window},
        **layout,
    )


def histogram(bins: pl.DataFrame, *, bar: str) -> go.Figure:
    """Draw the distribution of returns of :func:`lab.report.tables.histogram` with its normal twin."""
    highest = math.log10(max(float(bins["count"].max() or 1.0), 1.0))  # type: ignore[arg-type]
    middle = (bins["left"] + bins["right"]) / 2
    bars = go.Bar(
        x=numbers(middle),
        y=numbers(bins["count"]),
        width=numbers(bins["right"] - bins["left"]) * 0.9,
        marker={"color": [_side(*edges) for edges in bins.select("left", "right").iter_rows()]},
        name="observed",
        hovertemplate="%{y:.0f} bars<extra>observed</extra>",
        showlegend=False,
    )
    normal = _line(numbers(middle), bins["normal"], "normal, same mean and deviation", INK, width=1.4)
    normal.update(line={"shape": "spline", "width": 1.4, "color": INK}, hovertemplate="%{y:.1f} expected")
    return figure(
        [bars, normal],
        height=330,
        xaxis=axis(f"return per {bar}", tickformat=".0%", hoverformat=".2%"),
        yaxis=axis("bars, log", type="log", range=[-0.3, highest + 0.15], dtick=1),
        bargap=0,
    )


def quantiles(pairs: pl.DataFrame, *, bar: str) -> go.Figure:
    """Draw observed against normal quantiles: points off the line are the tails."""
    low, high = float(pairs["normal"].min() or 0.0), float(pairs["normal"].max() or 0.0)  # type: ignore[arg-type]
    line = go.Scatter(
        x=[low, high], y=[low, high], mode="lines", line={"color": BENCHMARK, "width": 1.2, "dash": "dot"}
    )
    line.update(name="normal", hoverinfo="skip")
    points = go.Scatter(
        x=numbers(pairs["normal"]),
        y=numbers(pairs["observed"]),
        mode="markers",
        marker={"size": 5, "color": STRATEGY, "opacity": 0.75},
        name="observed",
        hovertemplate="normal %{x:.2%}, observed %{y:.2%}<extra></extra>",
    )
    return figure(
        [line, points],
        height=330,
        hovermode="closest",
        xaxis=axis(f"normal quantile, return per {bar}", tickformat=".0%"),
        yaxis=axis("observed", tickformat=".0%"),
        showlegend=False,
    )


def _line(x: Any, y: pl.Series, name: str, colour: str, *, width: float, hover: str = "%{y}") -> go.Scatter:
    return go.Scatter(
        x=x,
        y=numbers(y),
        name=name,
        mode="lines",
        line={"color": colour, "width": width},
        hovertemplate=hover,
        connectgaps=False,
    )


def _trained(in_sample: pl.DataFrame, before: Any) -> go.Scatter:
    part = thin(in_sample.filter(pl.col("ts") <= before), "equity", _POINTS)
    scaled = part["equity"] / part["equity"][-1]
    line = _line(stamps(part["ts"]), scaled, "in sample", ACCENT, width=1.4, hover="%{y:.2f}")
    return line.update(line={"dash": "dot", "color": ACCENT, "width": 1.4})


def _side(left: float, right: float) -> str:
    return LOSS if right <= 0 else STRATEGY if left >= 0 else BENCHMARK


def _bands(folds: pl.DataFrame) -> list[dict[str, Any]]:
    ends = zip(stamps(folds["test_start"]), stamps(folds["test_end"]), strict=True)
    return [_span(start, end, BAND, 1.0) for start, end in list(ends)[::2]]


def _span(start: str, end: str, colour: str, opacity: float) -> dict[str, Any]:
    return {
        "type": "rect",
        "xref": "x",
        "yref": "paper",
        "x0": start,
        "x1": end,
        "y0": 0,
        "y1": 1,
        "fillcolor": colour,
        "opacity": opacity,
        "line": {"width": 0},
        "layer": "below",
    }


def _rank(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "x": row["trough"].strftime("%Y-%m-%d %H:%M"),
        "y": row["depth"],
        "xref": "x",
        "yref": "y2",
        "text": str(row["rank"]),
        "showarrow": False,
        "yshift": -10,
        "font": {"size": 11, "color": INK},
    }
