"""One look for every figure: fonts, axes, and how names and numbers from outside are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import polars as pl
from numpy.typing import NDArray

from lab.report.palette import CATEGORIES, GRID, INK, MUTED, SURFACE

__all__ = [
    "FONT",
    "axis",
    "figure",
    "label",
    "numbers",
    "stamps",
]

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
        "margin": {"l": 56, "r": 12, "t": 34 if layout.get("showlegend", True) else 16},
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
    whole = {**common, **layout}
    across = [options for name, options in whole.items() if name.startswith("xaxis")]
    for options in across:
        # Labels that turn to fit and margins that grow with them chase each other on narrow pages.
        options.update(automargin=False, tickangle=0)
    if "margin" not in layout:
        whole["margin"]["b"] = 48 if any("title" in options for options in across) else 30
    return go.Figure(data=list(traces), layout=whole)


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
