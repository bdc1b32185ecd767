"""Choosing on the rest of history, against a loop over splits, folds and paths."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from lab.core.errors import ConfigError
from lab.validation.paths import path_sharpes
from lab.validation.splits import CombinatorialPurgedCV


def sharpe(values):
    return values.mean() / values.std(ddof=1)


def by_loops(returns, folds, tested, purged):
    size = len(returns) // folds
    pieces = {fold: [] for fold in range(folds)}
    for chosen in itertools.combinations(range(folds), tested):
        train = [
            bar
            for bar in range(len(returns))
            if not any(fold * size - purged <= bar < (fold + 1) * size + purged for fold in chosen)
        ]
        best = max(range(returns.shape[1]), key=lambda column: sharpe(returns[train, column]))
        for fold in chosen:
            pieces[fold].append(returns[fold * size : (fold + 1) * size, best])
    paths = len(pieces[0])
    return [sharpe(np.concatenate([pieces[fold][path] for fold in range(folds)])) for path in range(paths)]


@pytest.mark.parametrize(("folds", "tested", "purged"), [(4, 2, 0), (6, 2, 3), (5, 1, 1), (6, 4, 0)])
def test_paths_are_those_of_loops(folds, tested, purged):
    returns = np.random.default_rng(folds).normal(0.0005, 0.01, size=(folds * 30, 7))
    found = path_sharpes(returns, CombinatorialPurgedCV(folds, tested, purged))
    assert found.tolist() == pytest.approx(by_loops(returns, folds, tested, purged), abs=1e-12)


def test_choosing_among_noise_finds_nothing_and_an_edge_is_found():
    worlds = [
        path_sharpes(np.random.default_rng(seed).normal(0, 0.01, (400, 15)), CombinatorialPurgedCV(5, 2))
        for seed in range(60)
    ]
    assert abs(np.mean(worlds)) < 0.02
    returns = np.random.default_rng(1).normal(0, 0.01, (400, 15))
    returns[:, 6] += 0.004
    assert (path_sharpes(returns, CombinatorialPurgedCV(5, 2)) > 0.25).all()


def test_one_set_leaves_nothing_to_choose():
    with pytest.raises(ConfigError, match="at least two sets"):
        path_sharpes(np.ones((100, 1)), CombinatorialPurgedCV(4, 2))
