"""A search that cannot end well is refused before it begins."""

from __future__ import annotations

import pytest

from lab.core.errors import ConfigError
from lab.search.capacity import require_capacity, search_size
from lab.strategies import Choice, Range

SPACE = {"window": Range(10, 100, step=10), "kind": Choice((1, 2, 3))}
CONTINUOUS = {**SPACE, "threshold": Range(0.0, 1.0)}
FREE = 16 * 10**9


@pytest.mark.parametrize("sampler", ["qmc", "random", "tpe", "cmaes", "nsga2"])
def test_more_trials_than_memory_holds_are_refused(sampler) -> None:
    size = search_size(sampler, SPACE, trials=10**9, folds=10)
    with pytest.raises(ConfigError, match=r"10,000,000,000 trials need some .* GB .* 16\.0 GB are free"):
        require_capacity(size, free_bytes=FREE)


def test_a_finite_grid_is_never_too_large_and_a_continuous_one_may_be() -> None:
    finite = search_size("grid", SPACE, trials=10**15, folds=10)
    assert finite.trials == 300
    require_capacity(finite, free_bytes=FREE)
    with pytest.raises(ConfigError, match="no finer"):
        require_capacity(search_size("grid", CONTINUOUS, trials=10**15, folds=10), free_bytes=FREE)


def test_tpe_is_refused_by_its_time_long_before_its_memory() -> None:
    size = search_size("tpe", SPACE, trials=2_000_000, folds=3)
    assert size.bytes < FREE // 2
    with pytest.raises(ConfigError, match="days of one processor"):
        require_capacity(size, free_bytes=FREE)
    require_capacity(search_size("qmc", SPACE, trials=2_000_000, folds=3), free_bytes=FREE)


def test_twenty_thousand_trials_are_nothing() -> None:
    for sampler in ("grid", "qmc", "tpe"):
        require_capacity(search_size(sampler, CONTINUOUS, trials=2_000, folds=10), free_bytes=10**9)
