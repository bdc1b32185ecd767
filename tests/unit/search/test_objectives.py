from __future__ import annotations

import math
import multiprocessing
import sys

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from lab.core.settings import SearchSettings
from lab.search import walk_forward
from lab.search.evaluation import Window
from lab.search.objectives import FIGURES, Objective
from lab.validation.splits import WalkForward
from tests.oracle.search import instance_of, world

RETURNS = np.random.default_rng(4).normal(0.002, 0.02, 250)
VALUES = {"sharpe": 1.2, "calmar": 0.8, "total_return": 0.3, "max_drawdown": -0.25, "turnover": 12.0}
GIVEN = tuple(VALUES.get(name, 0.5) for name in FIGURES)


def objective(**settings):
    return Objective.of(SearchSettings(**settings), trials=50, observations=len(RETURNS))


def test_scores_are_the_figure_less_the_penalties():
    assert objective().score(GIVEN, RETURNS) == 1.2
    assert objective(objective="calmar").score(GIVEN, RETURNS) == 0.8
    assert objective(turnover_penalty=0.05).score(GIVEN, RETURNS) == pytest.approx(0.6)
    assert objective(objective="calmar", drawdown_penalty=2).score(GIVEN, RETURNS) == pytest.approx(0.3)


def test_the_deflated_sharpe_is_the_chance_to_beat_the_luck_of_the_folds_trials():
    scored = objective(objective="deflated_sharpe").score(GIVEN, RETURNS)
    # Fifty draws of the Sharpe ratio of as many returns without edge: their mean largest, by simulation.
    draw = np.random.default_rng(0)
    noise = draw.normal(size=(2_000, 50)) / math.sqrt(len(RETURNS))
    luck = noise.max(axis=1).mean()
    sharpe = RETURNS.mean() / RETURNS.std(ddof=1)
    error = math.sqrt(
        (1 - stats.skew(RETURNS) * sharpe + (stats.kurtosis(RETURNS, fisher=False) - 1) / 4 * sharpe**2)
        / (len(RETURNS) - 1)
    )
    assert scored == pytest.approx(stats.norm.cdf((sharpe - luck) / error), abs=0.02)
    assert 0.05 < scored < 0.95


def test_several_objectives_are_told_so_that_more_is_better():
    assert objective(tradeoffs=["turnover"]).told(1.0, GIVEN) == 1.0
    weighed = objective(sampler="nsga2", tradeoffs=["turnover", "max_drawdown"])
    assert weighed.told(1.0, GIVEN) == (1.0, -12.0, -0.25)


def test_scores_agree_between_engines_to_nine_digits():
    near = tuple(value * (1 + 1e-13) for value in GIVEN)
    assert objective().score(near, RETURNS) == objective().score(GIVEN, RETURNS)


@pytest.mark.parametrize(
    "settings",
    [
        {"objective": "sortino"},
        {"sampler": "annealing"},
        {"turnover_penalty": -1},
        {"tradeoffs": []},
        {"tradeoffs": ["sharpe"]},
        {"drawdown_penalti": 1},
    ],
)
def test_what_is_not_understood_is_refused(settings):
    with pytest.raises(ValidationError):
        SearchSettings(**settings)


def instance_with(folder, sampler, **search):
    instance = instance_of(folder, sampler)
    changed = instance.config.search.model_copy(update=search)
    return type(instance)(
        instance.config.model_copy(update={"search": changed}),
        instance.strategy,
        instance.params,
        instance.config_hash,
        instance.source,
    )


@pytest.mark.parametrize("search", [{"objective": "calmar"}, {"turnover_penalty": 0.5}])
def test_winners_have_the_highest_score(search, tmp_path):
    splitter = WalkForward(train_size=120, test_size=60, purged_size=1)
    panel = world(1)
    found, usual = (
        walk_forward(
            instance_with(tmp_path, "random", **changes), panel, splitter=splitter, trials=30, seed=1
        ).trials
        for changes in (search, {})
    )
    expected = found["calmar"] if "objective" in search else found["sharpe"] - 0.5 * found["turnover"]
    np.testing.assert_allclose(found["score"], expected, rtol=1e-8)
    np.testing.assert_allclose(usual["score"], usual["sharpe"], rtol=1e-8)


def _who_simulates(folder, told):
    instance = instance_of(folder)
    panel = world(1).select(instance.markets)
    loaded = []
    for engine in ("fused", "vectorbt"):
        Window(panel, 200, 300, warm_up=180, instance=instance, engine=engine).evaluate(instance)
        loaded.append("vectorbt" in sys.modules)
    told.put(loaded)


def test_trials_reach_vectorbt_where_it_is_asked_for(tmp_path):
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    process = context.Process(target=_who_simulates, args=(tmp_path, told))
    process.start()
    assert told.get(timeout=120) == [False, True]
    process.join(60)


def test_vectorbt_runs_every_trial_and_picks_the_same_winners(tmp_path):
    splitter = WalkForward(train_size=120, test_size=60, purged_size=1)
    panel = world(1)
    for sampler in ("grid", "tpe"):
        fused, slow = (
            walk_forward(
                instance_of(tmp_path, sampler), panel, splitter=splitter, trials=24, seed=1, engine=engine
            )
            for engine in ("fused", "vectorbt")
        )
        names = [name for name in fused.folds.columns if name.startswith("parameter_")]
        assert slow.folds.select(names).equals(fused.folds.select(names))
        assert slow.trials.select(names).equals(fused.trials.select(names))
        np.testing.assert_allclose(slow.trials["sharpe"], fused.trials["sharpe"], rtol=1e-9, atol=1e-12)
        assert slow.oos.metrics["sharpe"] == fused.oos.metrics["sharpe"]
