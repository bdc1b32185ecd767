"""Pieces of the page that are text and tables; every piece is escaped markup that a notebook shows."""

from lab.report.blocks.detail import (
    decisions,
    doubt,
    fold_summary,
    folds,
    markets,
    regimes,
    risk_actions,
    tails,
    trades,
)
from lab.report.blocks.overview import drawdowns, figures_of_merit, ground, headline, heat_map, years
from lab.report.blocks.proof import certificate, data_quality, engines, provenance
from lab.report.page.markup import note

__all__ = [
    "certificate",
    "data_quality",
    "decisions",
    "doubt",
    "drawdowns",
    "engines",
    "figures_of_merit",
    "fold_summary",
    "folds",
    "ground",
    "headline",
    "heat_map",
    "markets",
    "note",
    "provenance",
    "regimes",
    "risk_actions",
    "tails",
    "trades",
    "years",
]
