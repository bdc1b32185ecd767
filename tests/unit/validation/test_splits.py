from __future__ import annotations

import numpy as np
import pytest

from lab.core.errors import ConfigError, InsufficientHistoryError
from lab.core.settings import SearchSettings
from lab.validation.splits import CombinatorialPurgedCV, PurgedKFold, WalkForward


@pytest.mark.parametrize(
    ("sizes", "named"),
    [
        ({"train_size": 0, "test_size": 5}, "train_size is 0"),
        ({"train_size": 5, "test_size": -1}, "test_size is -1"),
        ({"train_size": 5, "test_size": 5, "purged_size": -1}, "purged_size is -1"),
        ({"train_size": 5, "test_size": 5, "embargo_size": -2}, "embargo_size is -2"),
        ({"train_size": 5.0, "test_size": 5}, r"train_size is 5\.0"),
        ({"train_size": True, "test_size": 5}, "train_size is True"),
        (
            {"train_size": 5, "test_size": 5, "embargo_size": 5},
            "embargo_size 5 is not smaller than test_size 5",
        ),
    ],
)
def test_sizes_that_make_no_sense_are_refused_by_name(sizes, named):
    with pytest.raises(ConfigError, match=named):
        WalkForward(**sizes)


def test_too_few_bars_say_how_many_are_needed_before_the_first_fold():
    splitter = WalkForward(train_size=365, test_size=90, purged_size=1)
    with pytest.raises(InsufficientHistoryError, match=r"400 bars available, 456 needed"):
        splitter.split(400)
    assert splitter.get_n_splits(400) == 0


def test_the_smallest_history_gives_one_fold():
    splitter = WalkForward(train_size=4, test_size=2, purged_size=1)
    [(train, test)] = splitter.split(7)
    assert train.tolist() == [0, 1, 2, 3]
    assert test.tolist() == [5, 6]


def test_samples_may_be_anything_with_a_length():
    splitter = WalkForward(train_size=4, test_size=2)
    by_count = [(a.tolist(), b.tolist()) for a, b in splitter.split(9)]
    by_array = [(a.tolist(), b.tolist()) for a, b in splitter.split(np.zeros((9, 3)))]
    assert by_count == by_array
    assert len(by_count) == splitter.get_n_splits(range(9)) == 2


def test_settings_of_a_strategy_file_become_sizes():
    settings = SearchSettings(
        splitter="expanding", train_bars=100, test_bars=20, purged_bars=3, embargo_bars=4
    )
    assert WalkForward.from_settings(settings) == WalkForward(100, 20, 3, 4, True)


@pytest.mark.parametrize(
    ("call", "error", "named"),
    [
        (lambda: PurgedKFold(1), ConfigError, "PurgedKFold: n_splits is 1"),
        (lambda: PurgedKFold(3, purged_size=-1), ConfigError, "purged_size is -1"),
        (lambda: CombinatorialPurgedCV(4, 4), ConfigError, "leave no fold to train"),
        (lambda: CombinatorialPurgedCV(4, 0), ConfigError, "n_test_folds is 0"),
        (lambda: PurgedKFold(5).split(4), InsufficientHistoryError, "4 samples for 5 folds"),
        (lambda: list(PurgedKFold(2, 9).split(10)), InsufficientHistoryError, "train fold 0"),
        (
            lambda: list(CombinatorialPurgedCV(4, 3, 9).split(12)),
            InsufficientHistoryError,
            "train split 0",
        ),
        (lambda: PurgedKFold(2).split(4, [0, 1, 2]), ConfigError, "for each of 4 samples"),
        (lambda: PurgedKFold(2).split(3, [0.0, 1.0, 2.0]), ConfigError, "type float64"),
        (lambda: PurgedKFold(2).split(3, [2, 0, 2]), ConfigError, r"label_ends\[1\] is 0"),
        (lambda: CombinatorialPurgedCV(4, 2).paths([[[1.0], [1.0]]]), ConfigError, "1 splits of"),
    ],
)
def test_purged_splitters_say_what_is_wrong(call, error, named):
    with pytest.raises(error, match=named):
        call()


def test_anchored_is_another_name_for_expanding():
    anchored = WalkForward.from_settings(SearchSettings(splitter="anchored"))
    assert anchored == WalkForward.from_settings(SearchSettings(splitter="expanding"))
    folds = [train for train, _ in anchored.split(1_000)]
    assert len(folds) > 2
    assert all(train[0] == 0 for train in folds)
    assert [len(train) for train in folds] == [365 + 90 * fold for fold in range(len(folds))]
