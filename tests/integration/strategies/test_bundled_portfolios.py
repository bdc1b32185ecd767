"""Portfolios on the bundled bars, from the file to both engines, and what is missing said in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lab.cli import app
from lab.core.errors import UnknownMarketError
from lab.data.demo import install
from lab.pipeline.portfolio_inputs import load_portfolio_inputs
from lab.tracking import Tracker

RESEARCH = Path(__file__).parents[3] / "research"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    install(folder)
    return folder


def test_weights_are_the_sum_of_what_the_instances_want(root: Path) -> None:
    inputs = load_portfolio_inputs(RESEARCH / "portfolios" / "demo.yaml", root=root)
    portfolio = inputs.portfolio
    decided = inputs.decide()
    targets = inputs.targets(decided)
    assert decided.bar.tolist() == inputs.panel.bar.tolist()
    apart = [one.instance.decide(one.panel) for one in inputs.instances]
    last = dict(zip(decided.markets, decided.weights[-1], strict=True))
    for market, weight in last.items():
        parts = [
            share * weights[-1, one.markets.index(market)]
            for one, share, weights in zip(portfolio.instances, portfolio.allocations, apart, strict=True)
            if market in one.markets
        ]
        assert weight == pytest.approx(sum(parts), rel=1e-12)
    assert targets.tobytes() == decided.weights.tobytes()
    # The daily hole of March 2019 keeps everything; before and after, numbers are decided.
    hole = (decided.ts >= np.datetime64("2019-03-21")) & (decided.ts < np.datetime64("2019-03-31"))
    assert np.isnan(decided.weights[hole]).all()
    assert not np.isnan(decided.weights[-1]).any()


@pytest.mark.integration
def test_the_command_backtests_a_portfolio(root: Path) -> None:
    file = RESEARCH / "portfolios" / "demo.yaml"
    answer = CliRunner().invoke(app, ["backtest", str(file), "--root", str(root), "--json"])
    assert answer.exit_code == 0, answer.output
    document = json.loads(answer.stdout)
    assert {"run_id", "metrics", "engine_difference", "data_hash", "config_hash"} <= set(document)
    assert document["engine_difference"] <= 1e-9
    run = Tracker(root).load_run(document["run_id"])
    assert run.result["instances"] == ["demo_tsm_1d", "demo_dual_momentum_1d"]
    shares = run.table("shares")
    assert shares["demo_tsm_1d"].unique().to_list() == [0.6]
    again = CliRunner().invoke(app, ["backtest", str(file), "--root", str(root), "--json"])
    repeated = json.loads(again.stdout)
    assert repeated["fingerprint"] == document["fingerprint"]
    assert repeated["n_trials_ledger"] == document["n_trials_ledger"] == 1


def test_markets_need_bars_of_the_finest_timeframe(root: Path, tmp_path: Path) -> None:
    strategies = RESEARCH / "strategies"
    (tmp_path / "mixed.yaml").write_text(
        "portfolio_id: mixed\nreference_currency: USD\ncapital: 1000\ninstances:\n"
        f"  - {{config: {strategies / 'demo_tsm_1d.yaml'}, allocation: 0.5}}\n"
        f"  - {{config: {strategies / 'demo_mean_reversion_1h.yaml'}, allocation: 0.5}}\n"
    )
    with pytest.raises(UnknownMarketError, match="portfolio mixed trades on 1h bars, its finest timeframe"):
        load_portfolio_inputs(tmp_path / "mixed.yaml", root=root)
