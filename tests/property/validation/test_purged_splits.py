from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lab.core.errors import InsufficientHistoryError
from lab.validation.splits import CombinatorialPurgedCV, PurgedKFold
from tests.oracle import validation as oracle


@st.composite
def labelled(draw, least):
    """A number of samples, and label ends that need not ascend and may lie beyond the last sample."""
    total = draw(st.integers(least, 60))
    lengths = draw(st.lists(st.integers(0, 12), min_size=total, max_size=total))
    return total, [position + length for position, length in enumerate(lengths)]


SIZES = st.integers(0, 4)


def folds_of(splitter, total, ends):
    try:
        return [(train, (test,)) for train, test in splitter.split(total, ends)]
    except InsufficientHistoryError:
        assume(False)


def splits_of(splitter, total, ends):
    try:
        return list(splitter.split(total, ends))
    except InsufficientHistoryError:
        assume(False)


def assert_apart(train, tested, ends, purged_size, embargo_size):
    """No span of a training sample shares a bar with a test's span, nor starts within its embargo."""
    for sample, judged in itertools.product(train, tested):
        assert ends[sample] < judged or sample > ends[judged]
        if sample < judged:
            assert ends[sample] < judged - purged_size
        else:
            assert sample > ends[judged] + purged_size + embargo_size


@given(st.data(), st.integers(2, 6), SIZES, SIZES)
def test_folds_are_those_of_brute_force(data, n_splits, purged_size, embargo_size):
    total, ends = data.draw(labelled(n_splits))
    folds = folds_of(PurgedKFold(n_splits, purged_size, embargo_size), total, ends)
    assert len(folds) == n_splits
    assert [bar for _, (test,) in folds for bar in test] == list(range(total))
    for train, (test,) in folds:
        assert train.tolist() == oracle.purged_training(total, test, ends, purged_size, embargo_size)
        assert_apart(train.tolist(), test.tolist(), ends, purged_size, embargo_size)


@given(st.data(), st.integers(2, 6), SIZES, SIZES)
def test_combinations_are_those_of_brute_force(data, n_folds, purged_size, embargo_size):
    n_test_folds = data.draw(st.integers(1, n_folds - 1))
    total, ends = data.draw(labelled(n_folds))
    splitter = CombinatorialPurgedCV(n_folds, n_test_folds, purged_size, embargo_size)
    splits = splits_of(splitter, total, ends)
    assert len(splits) == math.comb(n_folds, n_test_folds)
    assert len({tuple(np.concatenate(tests).tolist()) for _, tests in splits}) == len(splits)
    for train, tests in splits:
        tested = np.concatenate(tests).tolist()
        assert train.tolist() == oracle.purged_training(total, tested, ends, purged_size, embargo_size)
        assert_apart(train.tolist(), tested, ends, purged_size, embargo_size)


@given(st.integers(2, 7), st.data(), st.integers(0, 10))
def test_paths_use_every_judgement_once_and_cover_every_sample(n_folds, data, extra):
    n_test_folds = data.draw(st.integers(1, n_folds - 1))
    splitter = CombinatorialPurgedCV(n_folds, n_test_folds)
    splits = list(splitter.split(n_folds + extra))
    # Each split marks its judgements with its own number and the position judged.
    judged = [[1_000 * number + test for test in tests] for number, (_, tests) in enumerate(splits)]
    paths = splitter.paths(judged)
    assert paths.shape == (splitter.n_test_paths, n_folds + extra)
    assert (paths % 1_000 == np.arange(n_folds + extra)).all()
    given_out = sorted(value for tests in judged for test in tests for value in test.tolist())
    assert sorted(paths.ravel().tolist()) == given_out
    for path in paths:
        assert (np.diff(path // 1_000) >= 0).all()


@pytest.mark.parametrize("leak", ["label", "embargo"])
def test_the_oracle_can_fail(leak):
    """Without labels or embargo, a training sample does touch the test."""
    ends = np.arange(12) + 2
    sizes = {"embargo_size": 2} if leak == "embargo" else {}
    folds = list(PurgedKFold(3).split(12, None if leak == "label" else ends))
    train, test = folds[1]
    with pytest.raises(AssertionError):
        assert_apart(train.tolist(), test.tolist(), ends.tolist(), 0, sizes.get("embargo_size", 0))
