"""One look for every figure: palette, fonts, axes; for each light colour the one a dark page swaps it for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import polars as pl
from numpy.typing import NDArray

__all__ = [
    "ACCENT",
    "BAND",
    "BENCHMARK",
    "CATEGORIES",
    "DARK",
    "FONT",
    "GAIN",
    "GRID",
    "INK",
    "LOSS",
    "MUTED",
    "STRATEGY",
    "SURFACE",
    "axis",
    "figure",
    "label",
    "numbers",
    "stamps",
]

INK: Final = "#1b2733"
MUTED: Final = "#5c6b7a"
GRID: Final = "#e3e8ed"
BAND: Final = "#eef2f6"
SURFACE: Final = "#fffffe"
STRATEGY: Final = "#0b62a4"
BENCHMARK: Final = "#87909a"
LOSS: Final = "#c2410c"
GAIN: Final = "#0f766e"
ACCENT: Final = "#b7791f"
# Distinguishable with every common colour blindness; in this order neighbours differ in lightness, too.
CATEGORIES: Final = (
    STRATEGY,
    "#e69f2e",
    GAIN,
    "#b3478c",
    "#6db3de",
    "#6a4c93",
    "#9c9a3c",
    LOSS,
)
# The page swaps these when it is dark, so that contrast stays at 4.5 or better for text.
DARK: Final[Mapping[str, str]] = {
    INK: "#e6eaee",
    MUTED: "#9ba8b5",
    GRID: "#2a333d",
    BAND: "#1d252e",
    SURFACE: "#151b22",
    STRATEGY: "#58aef0",
    BENCHMARK: "#7f8b97",
    LOSS: "#f58549",
    GAIN: "#3fc4b2",
    ACCENT: "#e5b84d",
    CATEGORIES[1]: "#f2b84f",
    CATEGORIES[3]: "#dd7fbb",
    CATEGORIES[4]: "#a8d4ef",
    CATEGORIES[5]: "#a68bd0",
    CATEGORIES[6]: "#c9c76a",
}
FONT: Final = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
_LONGEST_LABEL: Final = 28

_NO_TEMPLATE: Final = go.layout.Template()


def figure(traces: Sequence[Any], *, height: int = 320, **layout: Any) -> go.Figure:
    """Return a figure in the common look.

    Parameters
    ----------
    traces : sequence of plotly traces
    height : int
        Pixels; the width follows the page.
    **layout
        Of plotly; wins over the common look.
    """
    common: dict[str, Any] = {
        "template": _NO_TEMPLATE,
        "height": height,
        "margin": {"l": 56, "r": 12, "t": 34 if layout.get("showlegend", True) else 16, "b": 36},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 12, "color": MUTED},
        "colorway": list(CATEGORIES),
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": SURFACE, "bordercolor": GRID, "font": {"color": INK, "size": 12}},
        "legend": {
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1.0,
            "yanchor": "bottom",
            "yref": "paper",
            "bgcolor": "rgba(0,0,0,0)",
            "font": {"color": INK},
        },
        "bargap": 0.25,
        "dragmode": False,
    }
    for name in ("xaxis", "yaxis"):
        common[name] = axis()
    return go.Figure(data=list(traces), layout={**common, **layout})


def axis(title: str = "", **options: Any) -> dict[str, Any]:
    """Return an axis in the common look: hairline grid, no frame."""
    common: dict[str, Any] = {
        "gridcolor": GRID,
        "gridwidth": 1,
        "zeroline": False,
        "linecolor": GRID,
        "tickcolor": GRID,
        "ticks": "",
        "automargin": True,
        "fixedrange": False,
    }
    if title:
        common["title"] = {"text": title, "standoff": 8, "font": {"color": MUTED, "size": 12}}
    return {**common, **options}


def label(text: str, longest: int = _LONGEST_LABEL) -> str:
    """Return a name from outside as a figure may show it: shortened, and without markup.

    Plotly reads a few HTML tags and entities in its texts.

    Examples
    --------
    >>> label("<b>bitstamp:BTC/USD</b>")
    '&lt;b&gt;bitstamp:BTC/USD&lt;/b&gt;'
    >>> label("x" * 40)
    'xxxxxxxxxxxxxxxxxxxxxxxxxxx…'
    """
    printable = "".join(sign if sign.isprintable() else "�" for sign in text)
    short = printable if len(printable) <= longest else printable[: longest - 1] + "…"
    return short.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def numbers(series: pl.Series) -> NDArray[np.float32]:
    """Return values for drawing: single precision is finer than any screen and half the size."""
    return series.cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(np.float32)


def stamps(series: pl.Series) -> list[str]:
    """Return times as plotly reads them: dates where all are midnights, else with minutes; UTC."""
    midnight = bool((series.dt.truncate("1d") == series).all())
    return series.dt.strftime("%Y-%m-%d" if midnight else "%Y-%m-%d %H:%M").to_list()
