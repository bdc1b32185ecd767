"""The walk-forward search against a slow twin that shares no window, cache or batch with it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from lab.core.panel import Panel
from lab.search import Ledger, parameter_hash, walk_forward
from lab.validation.overfitting import (
    deflated_sharpe_ratio,
    probability_of_backtest_overfitting,
    sharpe_statistics,
)
from lab.validation.splits import WalkForward
from tests.oracle import validation as slow_validation
from tests.oracle.search import annual_sharpe, instance_of, window_returns, world

SPLITTER = WalkForward(train_size=80, test_size=30, purged_size=2, embargo_size=6)
# The longest window of the family's space, and its first return.
WARM_UP = 180


@pytest.fixture(scope="module")
def panel():
    return world(3)


@pytest.fixture(scope="module")
def instance(tmp_path_factory):
    return instance_of(tmp_path_factory.mktemp("instances"))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def result(instance, panel, root):
    return walk_forward(instance, panel, splitter=SPLITTER, trials=10, seed=5, ledger=Ledger(root))


@pytest.fixture(scope="module")
def folds(panel):
    split = slow_validation.folds(len(panel) - WARM_UP, 80, 30, 2, 6, False)
    return [([b + WARM_UP for b in train], [b + WARM_UP for b in test]) for train, test in split]


def parameters_of(row):
    return {key.removeprefix("parameter_"): row[key] for key in row if key.startswith("parameter_")}


def test_every_trial_is_a_backtest_of_its_training_bars_alone(result, instance, panel, folds):
    assert len(folds) == result.folds.height == 5
    checked = 0
    for row in result.trials.iter_rows(named=True):
        train, _ = folds[row["fold"]]
        returns, _ = window_returns(instance, panel, parameters_of(row), train[0], train[-1])
        counted = returns[np.array(train) - train[0]]
        assert row["sharpe"] == pytest.approx(annual_sharpe(counted), abs=1e-9)
        assert row["total_return"] == pytest.approx(np.prod(1 + counted) - 1, abs=1e-12)
        checked += 1
    assert checked == 50


def test_a_training_window_skips_the_embargo_of_earlier_tests(folds):
    train, _ = folds[2]
    assert len(train) == 80
    assert train[-1] - train[0] == 85


def test_the_earliest_of_the_best_wins(result):
    for row in result.folds.iter_rows(named=True):
        of_fold = result.trials.filter(pl.col("fold") == row["fold"])
        best = max(of_fold.rows(named=True), key=lambda one: (one["score"], -one["number"]))
        assert parameters_of(row) == parameters_of(best)
        assert row["train_sharpe"] == best["sharpe"]


def test_winners_are_judged_on_the_bars_that_follow(result, instance, panel, folds):
    for row, (train, test) in zip(result.folds.iter_rows(named=True), folds, strict=True):
        returns, _ = window_returns(instance, panel, parameters_of(row), test[0], test[-1])
        assert row["test_sharpe"] == pytest.approx(annual_sharpe(returns), abs=1e-9)
        assert row["test_total_return"] == pytest.approx(np.prod(1 + returns) - 1, abs=1e-12)
        assert row["test_start"].replace(tzinfo=None) == panel.ts[test[0]].item()
        assert row["train_end"].replace(tzinfo=None) == panel.ts[train[-1]].item()
        assert (row["test_start"] - row["train_end"]).days == 3


def test_the_stitched_path_is_one_backtest_of_the_winners_weights(result, instance, panel, folds):
    parts = []
    for row, (_, test) in zip(result.folds.iter_rows(named=True), folds, strict=True):
        _, weights = window_returns(instance, panel, parameters_of(row), test[0], test[-1])
        parts.append(weights)
    inside = panel.select(instance.markets).rows(folds[0][1][0], folds[-1][1][-1] + 1)
    assert_frame_equal(result.oos_weights, inside.to_frame(np.concatenate(parts), "weight"))
    assert result.oos.metrics["bars"] == 150
    # Positions carry over: joined from cash, each fold would be flat on its first bar.
    starts = [test[0] - folds[0][1][0] for _, test in folds[1:]]
    first_bars = pl.Series(inside.ts[starts]).dt.replace_time_zone("UTC")
    assert result.oos.positions.filter(pl.col("ts").is_in(first_bars.implode())).height > 0


def test_bars_after_a_training_window_do_not_reach_its_trials(result, instance, panel, folds):
    end = folds[1][0][-1]
    fields = {}
    for name, values in panel.fields.items():
        changed = values.copy()
        changed[end + 1 :] *= np.linspace(1.5, 0.2, len(panel) - end - 1)[:, None]
        fields[name] = changed
    other = Panel(panel.timeframe, panel.bar, panel.ts, panel.markets, fields)
    found = walk_forward(instance, other, splitter=SPLITTER, trials=10, seed=5)
    same = pl.col("fold") <= 1
    assert_frame_equal(found.trials.filter(same), result.trials.filter(same), check_exact=True)
    assert not found.trials.filter(~same).equals(result.trials.filter(~same))


def test_both_engines_agree_on_everything_kept(result):
    assert result.engine_difference <= 1e-9
    assert result.status == "OK"
    assert result.oos.engine_difference is not None


def test_the_deflated_sharpe_is_made_of_the_ledgers_trials(result, root, instance):
    complete = result.trials.filter(pl.col("state") == "complete")
    distinct = complete.unique([c for c in complete.columns if c.startswith("parameter_")] + ["fold"])
    assert result.n_trials == distinct.height == complete.height
    statistics = sharpe_statistics(result.oos.returns["return"].to_numpy())
    # All training windows have 80 bars: their t statistics are the Sharpe ratios scaled alike.
    scaled = complete["sharpe"].to_numpy() / np.sqrt(365) * np.sqrt(80)
    expected = deflated_sharpe_ratio(
        statistics.sharpe,
        n_observations=150,
        n_trials=complete.height,
        variance=np.var(scaled, ddof=1) / 150,
        skewness=statistics.skewness,
        kurtosis=statistics.kurtosis,
    )
    assert result.deflated_sharpe == pytest.approx(expected, abs=1e-12)
    recorded = {name for one in Ledger(root).batches() for name in one.parameter_hashes}
    winner = instance.with_params(result.best_params).params.model_dump(mode="json")
    assert parameter_hash(winner) in recorded


def test_the_probability_of_overfitting_is_that_of_the_distinct_sets_on_all_bars(result, instance, panel):
    names = [column for column in result.trials.columns if column.startswith("parameter_")]
    distinct = result.trials.select(names).unique(maintain_order=True)
    returns = np.column_stack(
        [
            window_returns(instance, panel, parameters_of(row), WARM_UP, len(panel) - 1)[0]
            for row in distinct.iter_rows(named=True)
        ]
    )
    assert result.pbo == pytest.approx(probability_of_backtest_overfitting(returns), abs=1e-12)


def test_again_in_the_same_root_and_in_a_fresh_one_it_is_the_same(result, instance, panel, root, tmp_path):
    for where in (root, tmp_path):
        again = walk_forward(instance, panel, splitter=SPLITTER, trials=10, seed=5, ledger=Ledger(where))
        assert_same(again, result)
        assert again.n_trials == result.n_trials
        assert again.deflated_sharpe == result.deflated_sharpe
    assert Ledger(root).verify().trials == 2 * Ledger(tmp_path).verify().trials
    at_the_time = Ledger(root).judge(instance.strategy.family, result.identity, head=result.ledger_head)
    assert at_the_time.n_trials == result.n_trials


def assert_same(found, expected):
    assert_frame_equal(found.trials, expected.trials, check_exact=True)
    assert_frame_equal(found.folds, expected.folds, check_exact=True)
    assert_frame_equal(found.oos.equity, expected.oos.equity, check_exact=True)
    assert_frame_equal(found.oos.trades, expected.oos.trades, check_exact=True)
    assert_frame_equal(found.oos_weights, expected.oos_weights, check_exact=True)
    assert found.best_params == expected.best_params
    assert found.pbo == expected.pbo


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_the_number_of_workers_changes_nothing(sampler, panel, tmp_path):
    instance = instance_of(tmp_path, sampler)
    splitter = WalkForward(train_size=120, test_size=60, purged_size=1)
    one, three = (
        walk_forward(instance, panel, splitter=splitter, trials=20, seed=2, workers=workers)
        for workers in (1, 3)
    )
    assert_same(three, one)
    assert three.deflated_sharpe == one.deflated_sharpe


def test_another_seed_tries_other_sets(result, instance, panel):
    other = walk_forward(instance, panel, splitter=SPLITTER, trials=10, seed=6)
    assert not other.trials.equals(result.trials)
