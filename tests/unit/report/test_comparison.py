"""Comparison of runs: against least squares, matrices and products worked out another way."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lab.core.errors import ConfigError, DataError
from lab.report.comparison import ComparisonInput, blocks, figures, tables

START = datetime(2023, 1, 1, tzinfo=UTC)


def write(
    folder: Path,
    returns: np.ndarray,
    *,
    name: str,
    family: str = "carry",
    first: datetime = START,
    step: timedelta = timedelta(days=1),
    held: np.ndarray | None = None,
    timeframe: str = "1d",
) -> Path:
    folder.mkdir(parents=True)
    ts = pl.Series("ts", [first + step * k for k in range(len(returns))], dtype=pl.Datetime("us", "UTC"))
    zero = pl.lit(0.0)
    account = pl.DataFrame({"ts": ts, "return": returns}).with_columns(
        zero.alias("turnover"), zero.alias("cost"), zero.alias("exposure")
    )
    account.write_parquet(folder / "returns.parquet")
    equity = pl.DataFrame({"ts": ts, "equity": 100.0 * np.cumprod(1 + returns)})
    equity.write_parquet(folder / "equity.parquet")
    if held is not None:
        beside = pl.DataFrame({"ts": ts, "equity": 100.0 * np.cumprod(1 + held)})
        beside.write_parquet(folder / "benchmark.parquet")
    document = {"strategy_id": name, "family": family, "timeframe": timeframe, "cash": 100.0, "status": "OK"}
    (folder / "result.json").write_text(json.dumps({**document, "deflated_sharpe": 0.9, "n_trials": 7}))
    return folder


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:
    return np.random.default_rng(11).normal(0.001, 0.02, (4, 500)) + np.random.default_rng(12).normal(
        0, 0.01, 500
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, drawn: np.ndarray) -> ComparisonInput:
    root = tmp_path_factory.mktemp("runs")
    families = ("carry", "carry", "ensemble")
    folders = [
        write(root / name, drawn[k], name=name, family=families[k], held=drawn[3])
        for k, name in enumerate("abc")
    ]
    return ComparisonInput.read(folders, shares=(0.5, 0.3, 0.1))


def test_correlations_are_numpys(report: ComparisonInput, drawn: np.ndarray) -> None:
    found = tables.correlation_of_runs(report)
    assert found["name"].to_list() == ["a", "b", "c"]
    np.testing.assert_allclose(found.drop("name").to_numpy(), np.corrcoef(drawn[:3]), rtol=1e-12)
    families = tables.correlation_of_families(report)
    pair = np.corrcoef((drawn[0] + drawn[1]) / 2, drawn[2])[0, 1]
    assert families["ensemble"].to_list() == pytest.approx([pair, 1.0])
    bad = tables.correlation_of_runs(report, bad=True)
    worst = np.argsort(drawn[3])[:50]
    assert bad["b"][0] == pytest.approx(np.corrcoef(drawn[0][worst], drawn[1][worst])[0, 1])


def test_the_combination_keeps_its_shares(report: ComparisonInput, drawn: np.ndarray) -> None:
    whole = np.array([0.5, 0.3, 0.1]) @ drawn[:3]
    np.testing.assert_allclose(tables.combined(report).to_numpy(), whole, rtol=1e-12)
    rows = {row["name"]: row for row in tables.figures_of_runs(report).iter_rows(named=True)}
    assert list(rows) == ["a", "b", "c", "combined", "buy and hold"]
    assert rows["combined"]["sharpe"] == pytest.approx(whole.mean() / whole.std(ddof=1) * np.sqrt(365))
    assert rows["buy and hold"]["total_return"] == pytest.approx(np.prod(1 + drawn[3]) - 1)
    assert (rows["a"]["deflated_sharpe"], rows["a"]["n_trials"], rows["a"]["share"]) == (0.9, 7.0, 0.5)
    wealth = tables.wealth(report)
    assert wealth["combined"][-1] == pytest.approx(np.prod(1 + whole))
    years = tables.years(report)
    assert years["year"].to_list() == [2023, 2024]
    assert (1 + years["c"]).product() == pytest.approx(np.prod(1 + drawn[2]))


def test_what_a_run_adds(report: ComparisonInput, drawn: np.ndarray) -> None:
    found = tables.marginal(report)
    assert found["return_part"].sum() == pytest.approx(1.0)
    assert found["risk_part"].sum() == pytest.approx(1.0)
    row = found.row(by_predicate=pl.col("name") == "b", named=True)
    rest = 0.9 * (0.5 * drawn[0] + 0.1 * drawn[2]) / 0.6
    beta, alpha = np.polyfit(rest, drawn[1], 1)
    assert row["alpha"] == pytest.approx(alpha * 365)
    assert row["correlation"] == pytest.approx(np.corrcoef(rest, drawn[1])[0, 1])
    assert beta > 0
    whole = np.array([0.5, 0.3, 0.1]) @ drawn[:3]
    # A share's part of the risk is its derivative: a little more of it, and the deviation grows by that.
    more = np.std(whole + 1e-6 * drawn[1]) - np.std(whole)
    assert row["risk_part"] == pytest.approx(0.3 * more / 1e-6 / np.std(whole), rel=1e-4)
    without = rest.mean() / rest.std(ddof=1) * np.sqrt(365)
    assert row["sharpe_without"] == pytest.approx(without)
    figures_ = {r["name"]: r for r in tables.figures_of_runs(report).iter_rows(named=True)}
    assert row["sharpe_added"] == pytest.approx(figures_["combined"]["sharpe"] - without)


def test_an_hourly_run_and_a_daily_one_meet_by_day(tmp_path: Path) -> None:
    hourly = np.full(72, 0.001)
    a = write(tmp_path / "a", hourly, name="a", step=timedelta(hours=1), timeframe="1h")
    b = write(tmp_path / "b", np.array([0.1, 0.2, 0.3, 0.4]), name="b", first=START + timedelta(days=1))
    report = ComparisonInput.read([a, b])
    assert report.returns["ts"].to_list() == [START + timedelta(days=day) for day in (1, 2)]
    assert report.returns["a"].to_list() == pytest.approx([1.001**24 - 1] * 2)
    assert report.returns["b"].to_list() == pytest.approx([0.1, 0.2])
    assert report.shares == (0.5, 0.5)
    assert "buy and hold" not in tables.wealth(report).columns
    assert tables.correlation_of_runs(report, bad=True).is_empty()


def test_a_weekly_run_makes_it_weeks(tmp_path: Path) -> None:
    monday = datetime(2023, 1, 2, tzinfo=UTC)
    a = write(
        tmp_path / "a", np.array([0.1, 0.2]), name="a", first=monday, step=timedelta(days=7), timeframe="1w"
    )
    b = write(tmp_path / "b", np.full(14, 0.01), name="b", first=monday)
    report = ComparisonInput.read([a, b])
    assert str(report.period) == "1w"
    assert report.returns["b"].to_list() == pytest.approx([1.01**7 - 1] * 2)


def test_runs_of_one_strategy_have_different_names(tmp_path: Path) -> None:
    folders = [write(tmp_path / str(k), np.array([0.1, 0.2]), name="same") for k in range(3)]
    runs = [{"run_id": "abcdef123"}, {"run_id": "123456abc"}, {}]
    assert ComparisonInput.read(folders, runs).names == ("same abcdef", "same 123456", "same 3")
    odd = [write(tmp_path / f"x{name}", np.array([0.1, 0.2]), name=name) for name in ("combined", "ts")]
    report = ComparisonInput.read(odd)
    assert report.names == ("combined (1)", "ts (2)")
    assert tables.years(report).height == 1


@pytest.mark.parametrize(
    ("shares", "message"),
    [((0.5,), "1 shares for 2 runs"), ((0.9, 0.2), "at most 1 in sum"), ((-0.1, 0.5), "at most 1 in sum")],
)
def test_shares_have_to_fit(tmp_path: Path, shares: tuple[float, ...], message: str) -> None:
    folders = [write(tmp_path / name, np.array([0.1, 0.2]), name=name) for name in "ab"]
    with pytest.raises(ConfigError, match=message):
        ComparisonInput.read(folders, shares=shares)


def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    a = write(tmp_path / "a", np.array([0.1, 0.2]), name="a")
    late = write(tmp_path / "b", np.array([0.1, 0.2]), name="b", first=START + timedelta(days=90))
    with pytest.raises(
        ConfigError, match="no time in common: a has 2023-01-01 to 2023-01-02; b has 2023-04-01"
    ):
        ComparisonInput.read([a, late])
    with pytest.raises(ConfigError, match="at least 2"):
        ComparisonInput.read([a])
    with pytest.raises(DataError, match="not a folder"):
        ComparisonInput.read([a, tmp_path / "none"])


def test_pictures_and_text_of_hostile_names(tmp_path: Path, drawn: np.ndarray) -> None:
    names = ("<script>alert(1)</script>", "^.*$", "ok")
    folders = [write(tmp_path / str(k), drawn[k], name=name, held=drawn[3]) for k, name in enumerate(names)]
    report = ComparisonInput.read(folders)
    correlation, marginal = tables.correlation_of_runs(report), tables.marginal(report)
    pieces = [
        blocks.headline(report, correlation, marginal),
        blocks.figures(report),
        blocks.correlations(correlation, name="<b>"),
        blocks.marginal(marginal),
        blocks.years(tables.years(report)),
        blocks.provenance(report),
    ]
    assert "<script" not in "".join(piece.markup for piece in pieces)
    assert "&lt;script&gt;" in pieces[0].markup
    for picture in (
        figures.growth(tables.wealth(report)),
        figures.drawdowns(tables.wealth(report)),
        figures.contributions(marginal),
    ):
        assert "<script" not in picture.to_json()
    lines = figures.growth(tables.wealth(report)).data
    assert [line.name for line in lines][-2:] == ["combined", "buy and hold"]


def test_a_run_alone_in_the_portfolio_has_no_rest(tmp_path: Path, drawn: np.ndarray) -> None:
    folders = [write(tmp_path / name, drawn[k], name=name) for k, name in enumerate("ab")]
    found = tables.marginal(ComparisonInput.read(folders, shares=(1.0, 0.0)))
    assert np.isnan(found["sharpe_without"][0])
    assert found["return_part"].to_list() == pytest.approx([1.0, 0.0])
    flat = [write(tmp_path / f"flat{k}", np.zeros(5), name=f"flat{k}") for k in range(2)]
    still = ComparisonInput.read(flat)
    assert np.isnan(tables.correlation_of_runs(still)["flat1"][0])
    assert "–" in blocks.marginal(tables.marginal(still)).markup
