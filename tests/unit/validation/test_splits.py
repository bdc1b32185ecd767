from __future__ import annotations

import numpy as np
import pytest

from lab.core.errors import ConfigError, InsufficientHistoryError
from lab.core.settings import SearchSettings
from lab.validation.splits import WalkForward


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
