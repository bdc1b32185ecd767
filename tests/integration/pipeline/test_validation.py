"""mnemo validate on a run, a search and a file: the figures, the trials it counts, and its exit codes."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lab.backtest import run_backtest
from lab.cli import main
from lab.core.errors import ConfigError, DataError
from lab.data.catalog import Catalog
from lab.data.synthetic import synthetic_market
from lab.pipeline import backtest, reproduce, tune
from lab.pipeline.inputs import load_inputs
from lab.pipeline.validation import validate
from lab.pipeline.validation.loading import judged_run
from lab.pipeline.validation.strategy import JudgedStrategy
from lab.search import Ledger
from lab.search.moments import moments_from_table
from lab.tracking import Tracker
from lab.validation.overfitting import overfit_logits

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("validation")]

STRATEGY = """\
family: time_series_momentum
strategy_id: judged
version: 1.0.0
timeframe: 1d
markets: [{exchange: synthetic, symbol: AAA/USDT}, {exchange: synthetic, symbol: AAB/USDT}]
parameters: {lookback_window: 30, vol_window: 10, target_volatility: 0.4}
search: {trials: 6, train_bars: 150, test_bars: 50}
"""
LEADER = STRATEGY.replace("family: time_series_momentum", "family: dual_momentum").replace(
    "strategy_id: judged", "strategy_id: leader"
)
LEADER = LEADER.replace(
    "{lookback_window: 30, vol_window: 10, target_volatility: 0.4}", "{lookback_window: 40}"
)
PORTFOLIO = """\
portfolio_id: both
reference_currency: USDT
capital: 5000
instances:
  - {config: judged.yaml, allocation: 0.5}
  - {config: leader.yaml, allocation: 0.3}
risk: {max_weight_per_asset: 0.8, max_exchange_pct: 1.0}
"""
ARRIVAL = datetime(2026, 1, 1, tzinfo=UTC)
FEW = 100


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("validation")
    (folder / "judged.yaml").write_text(STRATEGY)
    Catalog(folder).append(synthetic_market(seed=5, markets=2, bars=480), timeframe="1d", known_at=ARRIVAL)
    return folder


@pytest.fixture(scope="module")
def searched(root: Path) -> str:
    return tune(root / "judged.yaml", root=root, seed=1).run_id


def test_the_probability_of_overfitting_is_made_again_from_what_the_search_kept(
    root: Path, searched: str
) -> None:
    run = Tracker(root).load_run(searched)
    kept = run.table("pbo_moments")
    logits = overfit_logits(moments_from_table(kept))
    np.testing.assert_array_equal(logits, run.table("pbo")["logit"].to_numpy())
    assert (logits <= 0).mean() == run.result["pbo"]
    states = run.table("trials").join(kept, on=["fold", "number"])["state"]
    assert states.to_list() == ["complete"] * kept.height
    found = validate(searched, root=root, resamples=FEW, workers=1).document
    assert (found["pbo"], found["pbo_of"]) == (run.result["pbo"], f"{kept.height} sets of the search")


def test_a_table_that_is_gone_from_a_run_is_named(root: Path, searched: str) -> None:
    path = Tracker(root).load_run(searched).artifacts["orders.parquet"]
    content = path.read_bytes()
    path.unlink()
    try:
        again = reproduce(searched, root=root)
    finally:
        path.write_bytes(content)
    assert "table orders: it is not among the run's artifacts any more" in again.differences
    assert not again.identical


def fresh(root: Path, folder: Path) -> Path:
    """The same bars with an empty ledger."""
    (folder / "judged.yaml").write_text(STRATEGY)
    Catalog(folder).append(synthetic_market(seed=5, markets=2, bars=480), timeframe="1d", known_at=ARRIVAL)
    return folder


def test_a_file_is_judged_by_what_its_backtest_does(root: Path, tmp_path: Path) -> None:
    place = fresh(root, tmp_path)
    found = validate(place / "judged.yaml", root=place, resamples=FEW, workers=1).document
    inputs = load_inputs(place / "judged.yaml", root=place)
    result = run_backtest(
        inputs.panel,
        inputs.instance.decide(inputs.panel),
        costs=inputs.instance.costs,
        risk=inputs.instance.risk,
    )
    assert found["sharpe"] == pytest.approx(result.metrics["sharpe"], abs=1e-12)
    assert found["sharpe_interval"]["low"] < found["sharpe"] < found["sharpe_interval"]["high"]
    assert (found["held_out"], found["kind"], found["run_id"]) == (False, "config", None)
    assert found["certificate"]["mismatches"] == 0
    assert "nothing" in found["conclusion"].split(":")[0]


def test_every_evaluation_on_recorded_bars_is_a_trial_once(root: Path, tmp_path: Path) -> None:
    place = fresh(root, tmp_path)
    first = validate(place / "judged.yaml", root=place, resamples=FEW, workers=1).document
    rows = {(row["test"], row["case"]): row["cases"] for row in first["robustness"]}
    evaluated = sum(count for (test, _), count in rows.items() if test != "noise")
    # The file's own set, run once as it is and once in the sweep over its neighbours, is one trial.
    assert first["n_trials_ledger"] == evaluated + 1
    assert first["trials"]["before_this_validation"] == 0
    again = validate(place / "judged.yaml", root=place, resamples=FEW, workers=2).document
    assert again["trials"]["before_this_validation"] == first["n_trials_ledger"]
    same = {key: value for key, value in again.items() if key != "trials"}
    assert same == {key: value for key, value in first.items() if key != "trials"}
    logged = backtest(place / "judged.yaml", root=place)
    assert logged.n_trials == first["n_trials_ledger"]
    assert Ledger(place).verify().trials > first["n_trials_ledger"]


def test_a_search_is_judged_out_of_sample(root: Path, searched: str) -> None:
    run = Tracker(root).load_run(searched)
    found = validate(searched, root=root, resamples=FEW, workers=1).document
    assert found["held_out"]
    assert found["sharpe"] == pytest.approx(run.result["metrics"]["sharpe"], abs=1e-12)
    assert found["bars"] == run.table("returns").height
    assert found["pbo"] == run.result["pbo"]
    assert found["deflated_sharpe_recorded"] == run.result["deflated_sharpe"]
    complete = run.table("trials").filter(pl.col("state") == "complete")
    distinct = complete.select(pl.col("^parameter_.*$")).unique().height
    assert found["sets"] == min(distinct, 200)
    assert found["n_trials_ledger"] > run.result["n_trials"]
    assert 1 <= found["trials"]["effective"] <= found["n_trials_ledger"] <= found["trials"]["all_families"]
    assert found["deflated_sharpe"] <= found["deflated_sharpe_effective"] <= found["probabilistic_sharpe"]


def test_stresses_are_accounts_of_their_own(root: Path, searched: str) -> None:
    """Costs, delays and later starts of a stitched path, each run as a backtest of its decisions."""
    judged = judged_run(searched, root=root)
    found = validate(searched, root=root, resamples=FEW, workers=1).document
    rows = {(row["test"], row["case"]): row["median"] for row in found["robustness"]}
    assert isinstance(judged, JudgedStrategy)
    weights, costs, risk = judged.decisions().weights, judged.costs, judged.instance.risk
    doubled = type(costs)(2 * costs.fee_bps, 2 * costs.slippage_bps)

    def sharpe(**changed: object) -> float:
        skipped = int(changed.pop("skipped", 0))  # type: ignore[call-overload]
        options = {"costs": costs, "risk": risk, **changed}
        panel = judged.panel.rows(skipped, len(judged.panel))
        return float(run_backtest(panel, weights[skipped:], **options).metrics["sharpe"])  # type: ignore[arg-type]

    assert rows["costs", "2 x"] == pytest.approx(sharpe(costs=doubled), abs=1e-9)
    assert rows["lag", "2 bars later"] == pytest.approx(sharpe(lag=3), abs=1e-9)
    start = int(0.2 * len(weights))
    assert rows["start", f"{start} bars later"] == pytest.approx(sharpe(skipped=start), abs=1e-9)
    assert rows["costs", "0 x"] >= rows["costs", "3 x"]


def test_a_part_of_a_search_is_judged_with_the_whole(root: Path, searched: str) -> None:
    child = Tracker(root).load_run(searched).children[0]
    assert judged_run(child, root=root).run_id == searched


def test_changed_bars_are_refused(root: Path, tmp_path: Path) -> None:
    place = fresh(root, tmp_path)
    run_id = backtest(place / "judged.yaml", root=place).run_id
    market = synthetic_market(seed=5, markets=2, bars=480)
    revised = market.with_columns(pl.col("volume") * 2).tail(4)
    Catalog(place).append(revised, timeframe="1d", known_at=datetime(2026, 2, 1, tzinfo=UTC))
    with pytest.raises(DataError, match="its bars have changed since"):
        validate(run_id, root=place, resamples=FEW)


def test_what_is_no_result_is_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match="not found"):
        validate("nothing", root=root)
    with pytest.raises(ConfigError, match="not found"):
        validate("a" * 5_000, root=root)
    with pytest.raises(ConfigError, match="seed is -1"):
        validate("nothing", root=root, seed=-1)
    with pytest.raises(ConfigError, match="no such file"):
        validate("missing.yaml", root=root)


def test_a_portfolio_is_judged_as_one_account(root: Path, tmp_path: Path) -> None:
    place = fresh(root, tmp_path)
    (place / "leader.yaml").write_text(LEADER)
    (place / "both.yaml").write_text(PORTFOLIO)
    logged = backtest(place / "both.yaml", root=place)
    found = validate(logged.run_id, root=place, resamples=FEW).document
    assert found["family"] == "portfolio"
    assert "walk-forward run is the next step" not in found["conclusion"]
    assert f"{found['n_trials_all_families']:,} trials" in found["conclusion"]
    assert found["sharpe"] == pytest.approx(logged.result.metrics["sharpe"], abs=1e-12)
    tests = {row["test"] for row in found["robustness"]}
    assert tests == {"costs", "start", "lag", "noise"}
    assert (found["pbo"], found["paths"], found["sets"]) == (None, None, 1)
    assert found["certificate"]["mismatches"] == 0
    counted = sum(row["cases"] for row in found["robustness"] if row["test"] != "noise")
    assert found["n_trials_ledger"] == logged.n_trials + counted
    again = validate(place / "both.yaml", root=place, resamples=FEW).document
    assert again["n_trials_ledger"] == found["n_trials_ledger"]
    assert (again["sharpe"], again["robustness"]) == (found["sharpe"], found["robustness"])


def test_the_command_prints_one_document_and_strict_asks_for_support(
    root: Path, searched: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["validate", searched, "--root", str(root), "--resamples", str(FEW), "--workers", "1"]
    with pytest.raises(SystemExit) as plain:
        main([*arguments, "--json"])
    document = json.loads(capsys.readouterr().out)
    assert plain.value.code == (1 if document["level"] == "invalid" else 0)
    with pytest.raises(SystemExit) as strict:
        main([*arguments, "--strict"])
    shown = capsys.readouterr()
    assert strict.value.code == (0 if document["level"] == "supported" else 1)
    assert document["conclusion"] in " ".join(shown.out.split())
    for words in ("Sharpe ratio", "deflated Sharpe", "effective N", "SPA against cash", "certificate"):
        assert words in shown.out


def test_an_account_that_never_moves_is_nothing_to_judge(tmp_path: Path, root: Path) -> None:
    place = fresh(root, tmp_path)
    text = STRATEGY.replace("target_volatility: 0.4", "target_volatility: 0.4, max_volatility: 0.000001")
    (place / "judged.yaml").write_text(text)
    found = validate(place / "judged.yaml", root=place, resamples=FEW, workers=1)
    assert found.verdict.title == "Nothing to judge"
    assert math.isinf(found.document["min_track_record_years"])
    assert np.isfinite(found.document["deflated_sharpe"])
