"""The colours of figures: those of a light page, and for each the one that a dark page swaps it for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = [
    "ACCENT",
    "BAND",
    "BENCHMARK",
    "CATEGORIES",
    "DARK",
    "GAIN",
    "GRID",
    "INK",
    "LOSS",
    "MUTED",
    "STRATEGY",
    "SURFACE",
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
