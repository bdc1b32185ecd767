"""Purged splitters against scikit-learn and skfolio, and the published numbers of splits and paths."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from sklearn.model_selection import KFold

from lab.validation.splits import CombinatorialPurgedCV, PurgedKFold


@pytest.mark.parametrize(
    ("folds", "tested", "splits", "paths"), [(6, 2, 15, 5), (10, 2, 45, 9), (10, 8, 45, 36)]
)
def test_published_numbers_of_splits_and_paths_by_enumeration(folds, tested, splits, paths):
    # López de Prado (2018), section 12.4.
    splitter = CombinatorialPurgedCV(folds, tested)
    assert splitter.get_n_splits() == splits
    # By enumeration: how many choices of test folds there are, and in how many of them the first fold is.
    choices = list(itertools.combinations(range(folds), tested))
    assert len(choices) == splits
    assert sum(0 in choice for choice in choices) == paths


@pytest.mark.parametrize("samples", [12, 41, 100])
@pytest.mark.parametrize("folds", [2, 3, 7])
def test_without_purge_the_folds_are_scikit_learns(samples, folds):
    expected = [(a.tolist(), b.tolist()) for a, b in KFold(folds).split(np.zeros((samples, 1)))]
    assert [(a.tolist(), b.tolist()) for a, b in PurgedKFold(folds).split(samples)] == expected


@pytest.mark.parametrize(("folds", "tested"), [(4, 2), (6, 2), (6, 3)])
@pytest.mark.parametrize(("purged", "embargo"), [(0, 0), (2, 0), (0, 3), (2, 3)])
def test_combinations_and_paths_are_skfolios(folds, tested, purged, embargo):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from skfolio.model_selection import CombinatorialPurgedCV as Theirs
    samples = np.zeros((folds * 12, 2))
    ours = CombinatorialPurgedCV(folds, tested, purged, embargo)
    theirs = Theirs(n_folds=folds, n_test_folds=tested, purged_size=purged, embargo_size=embargo)
    assert ours.n_splits == theirs.n_splits
    assert ours.n_test_paths == theirs.n_test_paths
    for (train, tests), (their_train, their_tests) in zip(
        ours.split(samples), theirs.split(samples), strict=True
    ):
        assert train.tolist() == their_train.tolist()
        assert [test.tolist() for test in tests] == [np.asarray(test).tolist() for test in their_tests]
    their_paths = theirs.get_path_ids()
    for path, row in enumerate(ours.path_splits().tolist()):
        for fold, split in enumerate(row):
            assert their_paths[split, ours.test_folds()[split].tolist().index(fold)] == path
