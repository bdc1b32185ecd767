"""Five years of 33 daily markets: the page's own numbers against the log and against QuantStats."""

from __future__ import annotations

import math
import warnings
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from lab.report import ReportInput, tearsheet
from lab.report.blocks.overview import METRICS_SHOWN
from tests.oracle.report_run import write_run

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("page_numbers")]

BARS, MARKETS, PERIODS = 1_826, 33, 365
TOL_FLOAT64 = 1e-9
# The page computes these from returns, QuantStats from the product of them: rounding grows with their number.
TOL_COMPOUNDING = 1e-8


class Tables(HTMLParser):
    """Cells of every table of a page, by its name; a number where the cell carries the exact one."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[str, list[list[Any]]] = {}
        self._rows: list[list[Any]] | None = None
        self._exact: float | None = None
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "table" and given.get("data-name"):
            self._rows = self.tables.setdefault(str(given["data-name"]), [])
        elif tag == "tr" and self._rows is not None:
            self._rows.append([])
        elif tag in {"td", "th"} and self._rows:
            self._inside = True
            exact = given.get("data-v")
            self._exact = None if exact is None else float(exact)
            self._rows[-1].append("" if exact is None else self._exact)

    def handle_data(self, data: str) -> None:
        if self._inside and self._exact is None and self._rows:
            self._rows[-1][-1] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self._rows = None
        self._inside = self._inside and tag not in {"td", "th"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("run"), seed=5, markets=MARKETS, bars=BARS)


@pytest.fixture(scope="module")
def page(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return tearsheet(folder, tmp_path_factory.mktemp("out") / "page.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def shown(page: str) -> dict[str, list[list[Any]]]:
    parser = Tables()
    parser.feed(page.split("<script>", 1)[0])
    return parser.tables


@pytest.fixture(scope="module")
def returns(folder: Path) -> pd.Series:
    exported = pl.read_parquet(folder / "returns.parquet")
    index = pd.DatetimeIndex(exported["ts"].dt.replace_time_zone(None).to_numpy())
    return pd.Series(exported["return"].to_numpy(), index=index)


@pytest.fixture(scope="module")
def stats() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import quantstats.stats

    return quantstats.stats


def test_five_years_of_33_markets_stay_under_nine_megabytes(page: str) -> None:
    assert len(page.encode()) < 9_000_000


def test_every_figure_of_merit_is_the_logged_one(folder: Path, shown: dict[str, list[list[Any]]]) -> None:
    logged = ReportInput.read(folder)
    found = {row[0]: row[1:] for row in shown["metrics"] if len(row) == 3 and row[0]}
    assert len(found) == len(METRICS_SHOWN)
    for name, title in METRICS_SHOWN.items():
        mine, theirs = found[title]
        assert mine == logged.metrics[name], name
        if not name.startswith("trade"):
            assert theirs == logged.benchmark_metrics[name], name


@pytest.mark.filterwarnings("ignore")
def test_figures_of_merit_are_those_of_quantstats(
    shown: dict[str, list[list[Any]]], returns: pd.Series, stats: Any
) -> None:
    found = {row[0]: row[1] for row in shown["metrics"] if len(row) == 3}
    moved = returns[returns != 0]
    theirs = {
        "total return": stats.comp(returns),
        "annualised volatility": stats.volatility(returns, periods=PERIODS),
        "Sharpe ratio": stats.sharpe(returns, periods=PERIODS),
        "Sortino ratio": stats.sortino(returns, periods=PERIODS),
        "largest drawdown": stats.max_drawdown(returns),
        "bars with a gain, of those that moved": stats.win_rate(returns),
        "profit factor": stats.profit_factor(returns),
        "mean gain / mean loss": moved[moved > 0].mean() / -moved[moved < 0].mean(),
        # QuantStats counts calendar days between the ends, one less than there are bars.
        "annualised return": (1 + stats.comp(returns)) ** (PERIODS / len(returns)) - 1,
    }
    theirs["Calmar ratio"] = theirs["annualised return"] / -theirs["largest drawdown"]
    for title, value in theirs.items():
        assert found[title] == pytest.approx(value, rel=TOL_COMPOUNDING), title


@pytest.mark.filterwarnings("ignore")
def test_months_and_years_are_those_of_quantstats(
    shown: dict[str, list[list[Any]]], returns: pd.Series, stats: Any
) -> None:
    months = stats.monthly_returns(returns, eoy=False, compounded=True)
    cells = 0
    for year, *values in shown["monthly returns"][1:]:
        for number, value in enumerate(values[:12]):
            if isinstance(value, float):
                assert value == pytest.approx(months.loc[year].iloc[number], rel=TOL_COMPOUNDING, abs=1e-12)
                cells += 1
    assert cells == returns.index.to_period("M").nunique()  # type: ignore[attr-defined]
    yearly = {int(row[0]): row for row in shown["years"][1:]}
    for year, own in returns.groupby(returns.index.year):  # type: ignore[attr-defined]
        _, total, _, volatility, sharpe, drawdown, bars = yearly[int(year)]
        assert total == pytest.approx(stats.comp(own), rel=TOL_COMPOUNDING)
        assert volatility == pytest.approx(stats.volatility(own, periods=PERIODS), rel=TOL_FLOAT64)
        assert sharpe == pytest.approx(stats.sharpe(own, periods=PERIODS), rel=TOL_FLOAT64)
        assert drawdown == pytest.approx(stats.max_drawdown(own), rel=TOL_COMPOUNDING)
        assert bars == len(own)


@pytest.mark.filterwarnings("ignore")
def test_drawdowns_are_those_of_quantstats(
    shown: dict[str, list[list[Any]]], returns: pd.Series, stats: Any
) -> None:
    series = stats.to_drawdown_series(returns)
    worst = stats.drawdown_details(series).sort_values("max drawdown").head(5)
    found = shown["drawdowns"][1:]
    assert [row[1] for row in found] == pytest.approx((worst["max drawdown"] / 100).to_list(), rel=1e-8)
    assert [row[3] for row in found] == [str(day)[:10] for day in worst["valley"]]


def test_tails_are_those_of_numpy(shown: dict[str, list[list[Any]]], returns: pd.Series) -> None:
    found = {row[0]: row[1] for row in shown["tails"]}
    values = np.sort(returns.to_numpy())
    quantile = np.quantile(values, 0.05)
    assert found["5% value at risk"] == f"{quantile:.2%}".replace("-", "−")
    shortfall = math.fsum(values[values <= quantile]) / int((values <= quantile).sum())
    assert found["5% expected shortfall"] == f"{shortfall:.2%}".replace("-", "−")
