"""A walk-forward search knows nothing of what comes later: with a shorter history its folds are the same."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from lab.core.panel import Panel
from lab.search import walk_forward
from lab.validation.splits import WalkForward
from tests.oracle.search import instance_of, world

WARM_UP = 180


@pytest.fixture(scope="module")
def panel():
    return world(3)


@pytest.fixture(scope="module")
def instance(tmp_path_factory):
    return instance_of(tmp_path_factory.mktemp("instances"))


def searched(instance, panel, splitter):
    return walk_forward(instance, panel, splitter=splitter, trials=4, seed=11)


@pytest.mark.parametrize(
    ("purged_size", "embargo_size", "expand_train"), [(0, 0, False), (2, 5, False), (2, 5, True)]
)
def test_folds_of_a_shorter_history_are_the_first_folds(
    instance, panel, purged_size, embargo_size, expand_train
):
    splitter = WalkForward(70, 30, purged_size, embargo_size, expand_train)
    kept = 2
    end = WARM_UP + 70 + purged_size + kept * 30
    whole, shorter = searched(instance, panel, splitter), searched(instance, panel.rows(0, end), splitter)
    assert shorter.folds.height == kept < whole.folds.height
    first = pl.col("fold") < kept
    assert_frame_equal(whole.folds.filter(first), shorter.folds, check_exact=True)
    assert_frame_equal(whole.trials.filter(first), shorter.trials, check_exact=True)
    decided = whole.oos_weights.head(shorter.oos_weights.height)
    assert_frame_equal(decided, shorter.oos_weights, check_exact=True)
    lived = shorter.oos.equity.height
    assert_frame_equal(whole.oos.equity.head(lived), shorter.oos.equity, check_exact=True)


def test_a_test_of_the_future_can_fail(instance, panel):
    """Bars inside the kept folds, changed, do change them."""
    splitter = WalkForward(70, 30, 2, 5)
    fields = {name: values.copy() for name, values in panel.fields.items()}
    for values in fields.values():
        values[WARM_UP + 100 :] *= np.linspace(1.0, 3.0, len(panel) - WARM_UP - 100)[:, None]
    other = Panel(panel.timeframe, panel.bar, panel.ts, panel.markets, fields)
    first = pl.col("fold") < 2
    before, after = (searched(instance, each, splitter).folds.filter(first) for each in (panel, other))
    assert not before.equals(after)
