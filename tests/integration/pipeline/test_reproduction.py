"""A run again from its id: the same bytes, or a sentence that says what is not the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path

import polars as pl
import pytest

from lab.core.errors import ConfigError
from lab.data.catalog import Catalog
from lab.data.synthetic import synthetic_market
from lab.pipeline import Reproduction, backtest, reproduce, tune
from lab.tracking import Tracker
from tests.oracle.reproduced import LEADER, PORTFOLIO, STRATEGY

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("reproduction")]

REPOSITORY = Path(__file__).resolve().parents[3]
ARRIVAL = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reproduction")
    (folder / "again.yaml").write_text(STRATEGY)
    (folder / "strategies").mkdir()
    (folder / "strategies" / "again.yaml").write_text(STRATEGY)
    (folder / "strategies" / "leader.yaml").write_text(LEADER)
    (folder / "portfolio.yaml").write_text(PORTFOLIO)
    Catalog(folder).append(synthetic_market(seed=5, markets=2, bars=700), timeframe="1d", known_at=ARRIVAL)
    return folder


@pytest.fixture(scope="module")
def runs(root: Path) -> dict[str, str]:
    tuned = tune(root / "again.yaml", root=root, seed=3, trials=4)
    tested = backtest(root / "again.yaml", root=root)
    # A trial after the runs: they were judged without it, and are judged without it again.
    backtest(root / "again.yaml", root=root, end=datetime(2021, 1, 1, tzinfo=UTC))
    portfolio = backtest(root / "portfolio.yaml", root=root)
    # A run is made again from what it kept, whatever became of the files.
    for name in ("portfolio.yaml", "strategies/again.yaml", "strategies/leader.yaml"):
        (root / name).unlink()
    return {"tune": tuned.run_id, "backtest": tested.run_id, "portfolio": portfolio.run_id}


@pytest.fixture
def edited(root: Path) -> Iterator[Callable[[str, str, str, str], None]]:
    """Replace text in an artifact of a run; undone after the test."""
    kept: dict[Path, bytes] = {}

    def edit(run_id: str, name: str, before: str, after: str) -> None:
        path = Tracker(root).load_run(run_id).artifacts[name]
        kept.setdefault(path, path.read_bytes())
        assert before in path.read_text()
        path.write_text(path.read_text().replace(before, after))

    yield edit
    for path, content in kept.items():
        path.write_bytes(content)


def said(again: Reproduction) -> list[str]:
    """What differs, but for the code: somebody may be working on it while this test runs."""
    return [text for text in again.differences if not text.startswith("code: ")]


@pytest.mark.parametrize("kind", ["tune", "backtest", "portfolio"])
def test_a_run_is_made_again_to_the_same_bytes(root: Path, runs: dict[str, str], kind: str) -> None:
    again = reproduce(runs[kind], root=root)
    assert again.identical
    assert said(again) == []
    assert {"weights", "orders", "trades", "equity", "metrics", "deflated_sharpe"} <= set(again.compared)


def test_what_is_run_again_is_no_new_trial(root: Path, runs: dict[str, str]) -> None:
    ledger = (root / "data" / "ledger" / "trials.jsonl").read_bytes()
    reproduce(runs["tune"], root=root)
    assert (root / "data" / "ledger" / "trials.jsonl").read_bytes() == ledger


def test_later_bars_change_nothing(root: Path, runs: dict[str, str]) -> None:
    later = synthetic_market(seed=5, markets=2, bars=720).filter(
        pl.col("ts") >= datetime(2020, 1, 6, tzinfo=UTC) + timedelta(days=700)
    )
    Catalog(root).append(later, timeframe="1d", known_at=ARRIVAL + timedelta(days=1))
    assert reproduce(runs["backtest"], root=root).identical


def test_a_portfolio_keeps_what_its_instances_were(root: Path, runs: dict[str, str]) -> None:
    run = Tracker(root).load_run(runs["portfolio"])
    assert run.config == PORTFOLIO
    assert run.artifacts["instance_00.yaml"].read_text() == STRATEGY
    assert run.artifacts["instance_01.yaml"].read_text() == LEADER
    assert {"shares", "reallocations"} <= set(reproduce(runs["portfolio"], root=root).compared)


@pytest.mark.parametrize("kind", ["backtest", "portfolio"])
def test_one_changed_bar_is_named(root: Path, runs: dict[str, str], kind: str) -> None:
    bars = synthetic_market(seed=5, markets=2, bars=700)
    day = bars["ts"][600]
    one = bars.filter((pl.col("ts") == day) & (pl.col("market") == "synthetic:AAB/USDT"))
    changed = one.with_columns(pl.col("close") * 1.0001, high=pl.col("high") * 1.01)
    later = {"backtest": 2, "portfolio": 4}[kind]
    Catalog(root).append(changed, timeframe="1d", known_at=datetime.now(UTC) + timedelta(days=later))
    again = reproduce(runs[kind], root=root)
    assert not again.identical
    [data] = [text for text in again.differences if text.startswith("data: ")]
    high, close = (f"{changed[name][0]} now, {one[name][0]} recorded" for name in ("high", "close"))
    assert data == (
        f"data: 1 1d bar differs; synthetic:AAB/USDT {day:%Y-%m-%d} 00:00Z: high {high}, close {close}"
    )
    assert any(text.startswith("table equity: first in row") for text in again.differences)
    Catalog(root).append(one, timeframe="1d", known_at=datetime.now(UTC) + timedelta(days=later + 1))
    assert reproduce(runs[kind], root=root).identical


def test_a_bar_that_came_changed_into_another_root_is_named(
    root: Path, runs: dict[str, str], tmp_path: Path
) -> None:
    """Nothing there knows what the bars were when the run began, except the bars that it kept."""
    shutil.copytree(root / "mlruns", tmp_path / "mlruns")
    shutil.copytree(root / "data" / "ledger", tmp_path / "data" / "ledger")
    bars = synthetic_market(seed=5, markets=2, bars=700)
    row = pl.int_range(pl.len()) == 801
    other = bars.with_columns(volume=pl.when(row).then(pl.col("volume") * 2).otherwise("volume"))
    Catalog(tmp_path).append(other, timeframe="1d", known_at=datetime.now(UTC) + timedelta(days=1))
    again = reproduce(runs["backtest"], root=tmp_path)
    [data] = [text for text in again.differences if text.startswith("data: ")]
    assert data == (
        f"data: 1 1d bar differs; {bars['market'][801]} {bars['ts'][801]:%Y-%m-%d} 00:00Z: "
        f"volume {other['volume'][801]} now, {bars['volume'][801]} recorded"
    )


def test_a_root_made_again_elsewhere_reproduces(root: Path, runs: dict[str, str], tmp_path: Path) -> None:
    """The same bars under another path, imported at another time."""
    shutil.copytree(root / "mlruns", tmp_path / "mlruns")
    shutil.copytree(root / "data" / "ledger", tmp_path / "data" / "ledger")
    bars = synthetic_market(seed=5, markets=2, bars=700)
    Catalog(tmp_path).append(bars, timeframe="1d", known_at=datetime.now(UTC))
    for run_id in runs.values():
        assert said(reproduce(run_id, root=tmp_path)) == []


@pytest.mark.slow
@pytest.mark.timeout(1_200)
@pytest.mark.skipif(not (REPOSITORY / ".git").exists(), reason="needs the repository's history")
@pytest.mark.parametrize("kind", ["tune", "portfolio"])
def test_a_fresh_clone_reproduces(root: Path, runs: dict[str, str], kind: str, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", str(REPOSITORY), str(clone)], check=True)
    command = [sys.executable, "-m", "lab.cli", "reproduce", runs[kind], "--root", str(root), "--json"]
    environment = {**os.environ, "PYTHONPATH": str(clone)}
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["identical"] is True
    # A checkout with changes is another version, and that is all there is to say.
    dirty = Tracker(root).load_run(runs[kind]).tags["code_dirty"] == "true"
    assert [text.split(":")[0] for text in document["differences"]] == ["code"] * dirty


@pytest.mark.parametrize("kind", ["backtest", "portfolio"])
def test_another_library_is_named(root: Path, runs: dict[str, str], kind: str, edited) -> None:
    version = metadata.version("numpy")
    edited(runs[kind], "result.json", f'"numpy":"{version}"', '"numpy":"1.0.0"')
    again = reproduce(runs[kind], root=root)
    assert again.identical
    assert said(again) == [f"numpy: {version} now, 1.0.0 recorded"]


def test_a_feature_that_is_computed_in_another_way_is_named(root: Path, runs: dict[str, str], edited) -> None:
    features = Tracker(root).load_run(runs["portfolio"]).result["features"]
    name, known = next(iter(features.items()))
    edited(runs["portfolio"], "result.json", known, "f" * 64)
    again = reproduce(runs["portfolio"], root=root)
    assert again.identical
    assert [text.split(":")[0] for text in said(again)] == [f"feature {name}"]


def test_a_changed_parameter_is_named(root: Path, runs: dict[str, str], edited) -> None:
    edited(runs["backtest"], "config.yaml", "lookback_window: 30", "lookback_window: 31")
    again = reproduce(runs["backtest"], root=root)
    assert not again.identical
    assert said(again)[0] == (
        "config: parameters.lookback_window 31 now, 30 recorded; the kept configuration is not the one "
        "that was run"
    )
    assert not any(text.startswith(("data", "numpy")) for text in said(again))


def test_a_changed_parameter_of_a_portfolios_instance_is_named(
    root: Path, runs: dict[str, str], edited
) -> None:
    edited(runs["portfolio"], "instance_01.yaml", "lookback_window: 40", "lookback_window: 20")
    again = reproduce(runs["portfolio"], root=root)
    assert not again.identical
    assert said(again)[0].startswith("config: instances.leader.parameters.lookback_window 20 now, 40")


def test_a_comment_in_the_kept_configuration_is_said_and_changes_nothing(
    root: Path, runs: dict[str, str], edited
) -> None:
    edited(runs["backtest"], "config.yaml", "version: 1.0.0", "version: 1.0.0  # as it was")
    again = reproduce(runs["backtest"], root=root)
    assert again.identical
    assert [text.split(";")[0] for text in said(again)] == [
        "config: the kept configuration is not the one that was run"
    ]


def test_a_table_that_was_tampered_with_is_named(root: Path, runs: dict[str, str]) -> None:
    path = Tracker(root).load_run(runs["backtest"]).artifacts["equity.parquet"]
    kept = path.read_bytes()
    pl.read_parquet(path).with_columns(pl.col("equity") * 2).write_parquet(path)
    again = reproduce(runs["backtest"], root=root)
    path.write_bytes(kept)
    assert not again.identical
    assert len(said(again)) == 1
    assert said(again)[0].startswith("table equity: first in row 0, column equity")


def test_a_tune_keeps_what_the_first_winner_did_in_training(root: Path, runs: dict[str, str]) -> None:
    run = Tracker(root).load_run(runs["tune"])
    trained, fold = run.table("in_sample"), run.table("folds").row(0, named=True)
    assert trained["ts"][0] == fold["train_start"]
    assert trained["ts"][-1] == fold["test_start"] == run.table("equity")["ts"][0]
    counted = trained.head(fold["train_bars"])["equity"]
    returns = (counted / counted.shift(1).fill_null(10_000.0) - 1.0).to_numpy()
    sharpe = returns.mean() / returns.std(ddof=1) * 365**0.5
    assert sharpe == pytest.approx(fold["train_sharpe"], rel=1e-9)


def test_a_tune_keeps_the_logits_that_its_probability_of_overfitting_is_of(
    root: Path, runs: dict[str, str]
) -> None:
    run = Tracker(root).load_run(runs["tune"])
    logits = run.table("pbo")["logit"]
    assert (logits <= 0).mean() == run.result["pbo"] == run.metrics["pbo"]


def test_as_many_trials_become_runs_as_asked_for_and_all_are_in_the_table(root: Path) -> None:
    run = Tracker(root).load_run(tune(root / "again.yaml", root=root, seed=3, trials=3, log_trials=2).run_id)
    parts = [Tracker(root).load_run(child) for child in run.children]
    folds = run.table("folds").height
    assert [part.tags["part"] for part in parts] == ["fold"] * folds + ["winner"] + ["trial"] * 2
    trials = run.table("trials")
    assert trials.height == 3 * folds
    best = trials.filter(pl.col("state") == "complete")["sharpe"].sort(descending=True)
    assert [part.metrics["train_sharpe"] for part in parts[-2:]] == best.head(2).to_list()
    winner = parts[folds]
    assert {name: str(value) for name, value in run.result["best_parameters"].items()} == dict(winner.params)
    assert winner.metrics["oos_sharpe"] == run.metrics["sharpe"]
    assert parts[0].params.keys() <= winner.params.keys()


def test_parts_of_a_run_are_made_again_with_it(root: Path, runs: dict[str, str]) -> None:
    tracker = Tracker(root)
    parts = {tracker.load_run(child).name: child for child in tracker.load_run(runs["tune"]).children}
    assert {"fold 00", "fold 05", "winner", "trial 01", "trial 20"} <= set(parts)
    for name in ("fold 03", "winner", "trial 07"):
        again = reproduce(parts[name], root=root)
        assert again.identical
        assert said(again) == []
        assert again.compared[-1] == name


def test_unknown_run(root: Path) -> None:
    with pytest.raises(ConfigError, match="not found"):
        reproduce("f" * 32, root=root)
