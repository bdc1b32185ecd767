"""The demo's campaign as a user runs it, its figures against those of plain backtests."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lab.backtest import run_backtest
from lab.cli import main
from lab.core.errors import DataError
from lab.costs import Costs
from lab.data.demo import install
from lab.pipeline import reproduce
from lab.pipeline.campaign import run_campaign
from lab.pipeline.inputs import load_inputs
from lab.search import Ledger
from lab.tracking import Tracker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600), pytest.mark.xdist_group("campaign")]

RESEARCH = Path(__file__).parents[3] / "research"
FILE = RESEARCH / "campaigns" / "demo.yaml"
LEVELS = ("gross", "optimistic", "base", "conservative")
MEMBERS = ("demo_tsm_1d", "demo_dual_momentum_1d", "demo_mean_reversion_1h", "demo")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    root = tmp_path_factory.mktemp("root")
    install(root)
    command = [sys.executable, "-m", "lab.cli", "campaign", str(FILE), "--root", str(root), "--json"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    document: dict[str, Any] = json.loads(run.stdout)
    return root, document


def table(done: tuple[Path, dict[str, Any]], name: str) -> pl.DataFrame:
    return pl.read_parquet(Path(done[1]["folder"]) / f"{name}.parquet")


def test_every_member_has_a_row_for_every_part_and_cost_level(done: tuple[Path, dict[str, Any]]) -> None:
    figures = table(done, "figures")
    assert set(figures["id"]) == set(MEMBERS)
    assert set(figures["part"]) == {
        "all",
        "bull run of 2017",
        "crash of 2018",
        "autumn of 2018",
        "bull",
        "sideways",
        "bear",
    }
    assert (
        figures.group_by("id", "part").agg(pl.col("costs")).filter(pl.col("costs").list.len() != 4).is_empty()
    )
    assert figures.height == 4 * 7 * 4
    wide = figures.pivot(on="costs", index=["id", "kind", "part"], values="total_return")
    for better, worse in pairwise(LEVELS):
        assert (wide[better] >= wide[worse]).all()
    regimes = figures.filter((pl.col("kind") == "regime") & (pl.col("costs") == "base"))
    whole = figures.filter((pl.col("kind") == "all") & (pl.col("costs") == "base"))
    counted = dict(regimes.group_by("id").agg(pl.col("bars").sum()).iter_rows())
    assert all(counted[name] <= bars for name, bars in whole.select("id", "bars").iter_rows())


@pytest.mark.parametrize(("level", "costs"), [("gross", Costs(0.0, 0.0)), ("base", Costs.preset("base"))])
def test_figures_are_those_of_a_plain_backtest(
    done: tuple[Path, dict[str, Any]], level: str, costs: Costs
) -> None:
    inputs = load_inputs(RESEARCH / "strategies" / "demo_tsm_1d.yaml", root=done[0])
    instance, panel = inputs.instance, inputs.panel
    result = run_backtest(panel, instance.decide(panel), costs=costs, risk=instance.risk)
    equity = result.equity.with_columns(day=pl.col("ts").dt.date())
    figures = table(done, "figures").filter((pl.col("id") == "demo_tsm_1d") & (pl.col("costs") == level))
    crash = figures.row(by_predicate=pl.col("part") == "crash of 2018", named=True)
    inside = equity.filter(pl.col("day").is_between(date(2018, 1, 6), date(2018, 12, 15)))
    assert crash["total_return"] == pytest.approx(inside["equity"][-1] / inside["equity"][0] - 1)
    assert (crash["first"], crash["last"], crash["bars"]) == ("2018-01-07", "2018-12-15", inside.height - 1)
    everything = figures.row(by_predicate=pl.col("part") == "all", named=True)
    assert everything["total_return"] == pytest.approx(result.metrics["total_return"])
    # Bought at the first open of the crash, sold never: one market, so one division.
    bars = inputs.bars.with_columns(day=pl.col("ts").dt.date())
    bought = bars.filter(pl.col("day") == date(2018, 1, 7))["open"][0]
    last = bars.filter(pl.col("day") == date(2018, 12, 15))["close"][0]
    paid = (1 + costs.fee) * (1 + costs.slippage)
    assert crash["hold_total_return"] == pytest.approx(last / bought / paid - 1)


def test_days_years_and_families_add_up(done: tuple[Path, dict[str, Any]]) -> None:
    daily, figures = table(done, "daily_returns"), table(done, "figures")
    whole = figures.filter((pl.col("part") == "all") & (pl.col("costs") == "base"))
    for name, total, held in whole.select("id", "total_return", "hold_total_return").iter_rows():
        own = daily.filter((pl.col("id") == name) & (pl.col("costs") == "base"))
        assert np.prod(1 + own["return"].to_numpy()) - 1 == pytest.approx(total)
        beside = daily.filter(pl.col("id") == f"hold:{name}")
        assert np.prod(1 + beside["return"].to_numpy()) - 1 == pytest.approx(held)
        years = table(done, "years").filter(pl.col("id") == name)
        assert (1 + years["total_return"]).product() - 1 == pytest.approx(total)
    families = table(done, "families")
    assert set(families["family"]) == {"time_series_momentum", "dual_momentum"}
    portfolio = dict(whole.select("id", "total_return").iter_rows())["demo"]
    assert families["contribution"].sum() == pytest.approx(portfolio)
    assert table(done, "hours").height == 24
    pairs = table(done, "correlations")
    a, b = (
        daily.filter((pl.col("id") == name) & (pl.col("costs") == "base")).select("date", "return")
        for name in ("demo_dual_momentum_1d", "demo_tsm_1d")
    )
    both = a.join(b, on="date")
    (row,) = pairs.filter((pl.col("a") == "demo_dual_momentum_1d") & (pl.col("b") == "demo_tsm_1d")).rows()
    assert row[2:] == (
        pytest.approx(both.select(pl.corr("return", "return_right")).item()),
        both.height,
    )


def test_the_neighbourhood_holds_the_own_parameters(done: tuple[Path, dict[str, Any]]) -> None:
    rows, figures = table(done, "neighbourhood"), table(done, "plateaus")
    assert set(rows["id"]) == set(MEMBERS) - {"demo"}
    own = rows.filter("own")
    assert own.group_by("id").agg(pl.col("sharpe").n_unique())["sharpe"].to_list() == [1, 1, 1]
    assert (figures["worst_sharpe"] <= figures["median_sharpe"]).all()
    assert figures["neighbours"].sum() == rows.height - own.height


def test_the_run_has_a_part_per_member_and_level(done: tuple[Path, dict[str, Any]]) -> None:
    root, document = done
    run = Tracker(root).load_run(document["run_id"])
    assert (run.kind, run.status, run.tags["family"]) == ("campaign", "FINISHED", "campaign")
    assert len(run.children) == len(MEMBERS) * len(LEVELS)
    assert run.table("figures").equals(table(done, "figures"))
    part = Tracker(root).load_run(run.children[2])
    assert part.params == {"member": "demo_tsm_1d", "family": "time_series_momentum", "costs": "base"}
    figures = table(done, "figures")
    (sharpe,) = figures.filter(
        (pl.col("id") == "demo_tsm_1d") & (pl.col("part") == "all") & (pl.col("costs") == "base")
    )["sharpe"]
    assert part.metrics["sharpe"] == pytest.approx(sharpe)


def test_everything_was_counted_and_again_counts_nothing_new(done: tuple[Path, dict[str, Any]]) -> None:
    root, document = done
    counted = {member["id"]: member["n_trials_ledger"] for member in document["members"]}
    neighbours = dict(table(done, "plateaus").select("id", "neighbours").iter_rows())
    # Four cost levels and the neighbours; those of the own parameters are repeats of the base level.
    assert counted == {name: 4 + neighbours.get(name, 0) for name in MEMBERS}
    batches = Ledger(root).verify().batches
    again = run_campaign(FILE, root=root, report=lambda task, at, of: None)
    assert {member["id"]: member["n_trials_ledger"] for member in again.document["members"]} == counted
    assert again.tables["figures"].equals(table(done, "figures"))
    # The neighbours' blocks are there already: nothing but the sixteen accounts was run again.
    assert Ledger(root).verify().batches == batches + 16


def test_reproduce_says_what_to_do_with_a_campaigns_run(done: tuple[Path, dict[str, Any]]) -> None:
    root, document = done
    with pytest.raises(DataError, match=r"'mnemo campaign FILE' .* reports/campaigns/"):
        reproduce(document["run_id"], root=root)


def test_a_missing_reference_market_stops_before_anything_is_run(
    done: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = done[0]
    head = Ledger(root).verify().head
    file = tmp_path / "probe.yaml"
    member = f"{{config: {RESEARCH / 'strategies' / 'demo_tsm_1d.yaml'}}}"
    file.write_text(f"campaign_id: probe\ninstances: [{member}]\nregimes: {{market: 'bitstamp:XMR/USD'}}\n")
    with pytest.raises(SystemExit) as left:
        main(["campaign", str(file), "--root", str(root)])
    assert left.value.code == 3
    assert "bitstamp:XMR/USD" in capsys.readouterr().err
    assert Ledger(root).verify().head == head


def test_a_person_reads_tables(
    done: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "short.yaml"
    member = f"{{config: {RESEARCH / 'strategies' / 'demo_tsm_1d.yaml'}, start: 2018-01-01, end: 2019-01-01}}"
    file.write_text(f"campaign_id: short\ninstances: [{member}]\ncosts: [gross, base]\n")
    with pytest.raises(SystemExit) as left:
        main(["campaign", str(file), "--root", str(done[0])])
    out = capsys.readouterr().out
    assert left.value.code in (0, None)
    assert "All bars" in out
    assert "demo_tsm_1d" in out
    assert "crash" not in out
    folder = done[0] / "reports" / "campaigns" / "short"
    kept = json.loads((folder / "campaign.json").read_text())
    assert kept["members"][0]["last_bar"].startswith(str(datetime(2018, 12, 31, tzinfo=UTC).date()))
    assert {f"{name}.csv" for name in kept["tables"]} <= {path.name for path in folder.iterdir()}
