from __future__ import annotations

import warnings

import numpy as np
import pytest

from lab.validation.splits import WalkForward


@pytest.mark.parametrize("expand_train", [False, True])
@pytest.mark.parametrize("sizes", [(4, 3, 0), (10, 4, 2), (7, 7, 1), (1, 1, 0)])
def test_without_embargo_the_folds_are_skfolios(sizes, expand_train):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from skfolio.model_selection import WalkForward as Theirs
    train_size, test_size, purged_size = sizes
    ours = WalkForward(train_size, test_size, purged_size, expand_train=expand_train)
    theirs = Theirs(
        train_size=train_size, test_size=test_size, purged_size=purged_size, expand_train=expand_train
    )
    samples = np.zeros((41, 2))
    expected = [(a.tolist(), b.tolist()) for a, b in theirs.split(samples)]
    assert [(a.tolist(), b.tolist()) for a, b in ours.split(samples)] == expected
