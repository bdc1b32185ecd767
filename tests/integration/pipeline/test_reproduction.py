"""A run again from its id: the same bytes, or a sentence that says what is not the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from lab.core.errors import ConfigError, DataError
from lab.data.catalog import Catalog
from lab.data.synthetic import synthetic_market
from lab.pipeline import backtest, reproduce, tune
from lab.tracking import Tracker

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("reproduction")]

STRATEGY = """\
family: time_series_momentum
strategy_id: again
version: 1.0.0
timeframe: 1d
markets: [{exchange: synthetic, symbol: AAA/USDT}, {exchange: synthetic, symbol: AAB/USDT}]
parameters: {lookback_window: 30, vol_window: 10}
search: {trials: 5, train_bars: 150, test_bars: 50}
"""
ARRIVAL = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reproduction")
    (folder / "again.yaml").write_text(STRATEGY)
    Catalog(folder).append(synthetic_market(seed=5, markets=2, bars=700), timeframe="1d", known_at=ARRIVAL)
    return folder


@pytest.fixture(scope="module")
def runs(root: Path) -> dict[str, str]:
    tuned = tune(root / "again.yaml", root=root, seed=3, trials=4)
    tested = backtest(root / "again.yaml", root=root)
    # A trial after the runs: they were judged without it, and are judged without it again.
    backtest(root / "again.yaml", root=root, end=datetime(2021, 1, 1, tzinfo=UTC))
    return {"tune": tuned.run_id, "backtest": tested.run_id}


@pytest.mark.parametrize("kind", ["tune", "backtest"])
def test_a_run_is_made_again_to_the_same_bytes(root: Path, runs: dict[str, str], kind: str) -> None:
    again = reproduce(runs[kind], root=root)
    assert again.identical
    assert again.differences == ()
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


def test_one_changed_bar_is_named_as_data(root: Path, runs: dict[str, str]) -> None:
    bars = synthetic_market(seed=5, markets=2, bars=700)
    one = bars.filter(pl.col("ts") == bars["ts"][400]).with_columns(
        pl.col("close") * 1.0001, high=pl.col("high") * 1.01
    )
    Catalog(root).append(one, timeframe="1d", known_at=ARRIVAL + timedelta(days=2))
    again = reproduce(runs["backtest"], root=root)
    assert not again.identical
    assert any(text.startswith("data: ") for text in again.differences)
    assert any(text.startswith("table equity: first in row") for text in again.differences)
    Catalog(root).append(
        bars.filter(pl.col("ts") == bars["ts"][400]), timeframe="1d", known_at=ARRIVAL + timedelta(days=3)
    )
    assert reproduce(runs["backtest"], root=root).identical


def test_another_library_is_named(root: Path, runs: dict[str, str]) -> None:
    path = Tracker(root).load_run(runs["backtest"]).artifacts["result.json"]
    kept = path.read_bytes()
    document = json.loads(kept)
    document["environment"]["numpy"] = "1.0.0"
    path.write_text(json.dumps(document))
    try:
        again = reproduce(runs["backtest"], root=root)
    finally:
        path.write_bytes(kept)
    assert again.identical
    assert any(text.startswith("numpy: ") and "1.0.0 recorded" in text for text in again.differences)


def test_a_changed_configuration_is_named(root: Path, runs: dict[str, str]) -> None:
    path = Tracker(root).load_run(runs["backtest"]).artifacts["config.yaml"]
    kept = path.read_text()
    path.write_text(kept.replace("lookback_window: 30", "lookback_window: 31"))
    try:
        again = reproduce(runs["backtest"], root=root)
    finally:
        path.write_text(kept)
    assert not again.identical
    assert any(text.startswith("config: ") for text in again.differences)


def test_a_fold_is_not_a_run_to_reproduce(root: Path, runs: dict[str, str]) -> None:
    fold = Tracker(root).load_run(runs["tune"]).children[0]
    with pytest.raises(DataError, match="not of a fold"):
        reproduce(fold, root=root)


def test_unknown_run(root: Path) -> None:
    with pytest.raises(ConfigError, match="not found"):
        reproduce("f" * 32, root=root)
