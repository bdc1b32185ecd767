"""Figures: colours that a dark page can swap, names that cannot become markup, nothing that needs WebGL."""

from __future__ import annotations

import json
import re
from typing import Any

import polars as pl
import pytest

from lab.report import ReportInput, tables
from lab.report.figures import evidence, parameters, performance, trading
from lab.report.figures.style import label
from lab.report.palette import CATEGORIES, DARK


@pytest.fixture(scope="module")
def drawn(report: ReportInput) -> dict[str, Any]:
    account = tables.account(report)
    folds, trials = report.tables["folds"], report.tables["trials"]
    varying = tables.varying_parameters(trials)
    returns = account["return"]
    held = tables.held_weights(report)
    assert held is not None
    market = report.markets[0]
    closes = tables.market_prices(report.tables["bars"], market)
    in_sample = report.tables["equity"].with_columns(pl.col("ts") - pl.duration(days=419))
    return {
        "growth": performance.growth(account, tables.drawdown_periods(account), folds=folds),
        "growth in sample": performance.growth(
            account, tables.drawdown_periods(account), in_sample=in_sample
        ),
        "rolling": performance.rolling(
            tables.rolling(account, window=60, periods_per_year=365), window="60 days"
        ),
        "histogram": performance.histogram(tables.histogram(returns), bar="1d"),
        "quantiles": performance.quantiles(tables.normal_quantiles(returns), bar="1d"),
        "luck": evidence.luck(tables.luck(report)),
        "folds": evidence.folds(folds, trials),
        "degradation": evidence.degradation(folds),
        "plateau": parameters.plateau(
            tables.plateau(trials, varying), varying, tables.chosen(folds, varying)
        ),
        "ridge": parameters.plateau(tables.plateau(trials, varying[:1]), varying[:1], None),
        "slices": parameters.slices(trials, varying),
        "overfitting": parameters.overfitting(pl.Series([-2.0, -0.1, 0.0, 0.3, 3.0, float("inf")])),
        "weights": trading.weights(held),
        "costs": trading.costs(tables.monthly_trading(report.tables["returns"])),
        "prices": trading.prices(
            {
                market: (closes, tables.fills(report, market)),
                "other": (
                    closes,
                    closes[:0].with_columns(kind=pl.lit(""), price=0.0, **{"return": pl.lit(0.0)}),
                ),
            }
        ),
    }


def test_every_colour_has_a_dark_twin(drawn: dict[str, Any]) -> None:
    for name, figure in drawn.items():
        for colour in set(re.findall(r"#[0-9a-fA-F]{6}", figure.to_json())):
            assert colour in DARK, f"{name}: {colour}"


def test_no_light_colour_is_also_a_dark_one() -> None:
    # The page swaps them one after another in the text of the figure.
    assert not set(DARK) & set(DARK.values())
    assert set(CATEGORIES) <= set(DARK)


def test_every_axis_of_numbers_says_what_it_shows(drawn: dict[str, Any]) -> None:
    untitled = {"weights": {"xaxis"}, "costs": {"xaxis", "yaxis2"}, "prices": {"xaxis"}}
    untitled |= {"growth": {"xaxis"}, "growth in sample": {"xaxis"}, "rolling": {"xaxis"}}
    for name, figure in drawn.items():
        layout = figure.to_plotly_json()["layout"]
        for axis, options in layout.items():
            if not re.fullmatch(r"[xy]axis\d*", axis) or options.get("visible") is False:
                continue
            titled = bool(options.get("title", {}).get("text"))
            shares = name == "slices" and axis.startswith("yaxis")
            assert titled or shares or axis in untitled.get(name, set()), f"{name}: {axis}"


def test_nothing_needs_webgl_or_evaluated_code(drawn: dict[str, Any]) -> None:
    kinds = {trace["type"] for figure in drawn.values() for trace in figure.to_plotly_json()["data"]}
    assert kinds == {"scatter", "bar", "heatmap", "histogram"}


def test_colours_of_text_have_contrast() -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(one: str, other: str) -> float:
        high, low = sorted((luminance(one), luminance(other)), reverse=True)
        return (high + 0.05) / (low + 0.05)

    from lab.report.palette import INK, LOSS, MUTED, STRATEGY, SURFACE

    for colour in (INK, MUTED, LOSS, STRATEGY):
        assert contrast(colour, SURFACE) >= 4.5
        assert contrast(DARK[colour], DARK[SURFACE]) >= 4.5


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", '<a href="javascript:x">', "a" * 200, "\x1b[31m"]
)
def test_labels_are_short_plain_text(name: str) -> None:
    found = label(name)
    assert "<" not in found
    assert "\x1b" not in found
    assert len(found) <= 28 + 6 * 4


def test_figures_are_small(drawn: dict[str, Any]) -> None:
    assert sum(len(json.dumps(json.loads(figure.to_json()))) for figure in drawn.values()) < 600_000
