"""The published numbers that the statistics must give: ``python -m tests.published_values`` lists them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from lab.validation.bootstrap import mean_variance
from lab.validation.overfitting import block_moments as moments_of
from lab.validation.overfitting import (
    deflated_sharpe_ratio,
    expected_max_sharpe,
    min_backtest_length,
    min_track_record_length,
    overfit_logits,
    probabilistic_sharpe_ratio,
    probability_of_backtest_overfitting,
)
from lab.validation.splits import CombinatorialPurgedCV

SERIES = (0.4, 0.2, 0.1, 0.4, 0.3, 0.1, 0.3, 0.4, 0.2, 0.5, 0.1, 0.2)
ANNUAL = math.sqrt(250)


class Published(NamedTuple):
    """One number: what it is, how it is computed, what it must be, and half of its last printed digit."""

    name: str
    compute: Callable[[], float]
    expected: float
    tolerance: float


def _track_record(periods: int) -> float:
    root = math.sqrt(periods)
    return min_track_record_length(2 / root, benchmark=1 / root, confidence=0.95) / periods


def _overfitting(kind: str) -> float:
    returns = np.random.default_rng(2).normal(0, 0.01, size=(640, 20))
    if kind == "dominant":
        returns[:, 4] += 0.02
    elif kind == "demeaned":
        returns -= returns.mean(axis=0)
    else:
        draws = np.random.default_rng(8)
        worlds = [draws.normal(0, 0.01, size=(320, 20)) for _ in range(150)]
        return float(np.mean([probability_of_backtest_overfitting(world, blocks=8) for world in worlds]))
    return probability_of_backtest_overfitting(returns)


def _deflated() -> float:
    return deflated_sharpe_ratio(
        2.5 / ANNUAL, n_observations=1250, n_trials=100, variance=0.5 / 250, skewness=-3, kurtosis=10
    )


def _splits() -> float:
    return len(overfit_logits(moments_of(np.random.default_rng(1).normal(size=(64, 3)), blocks=16)))


def published() -> Iterator[Published]:
    """Yield every number, in the order of the papers."""
    psr = probabilistic_sharpe_ratio
    yield Published(
        "probabilistic Sharpe, hedge fund, 24 months",
        lambda: psr(0.458, n_observations=24, skewness=-2.448, kurtosis=10.164),
        0.913361,
        5e-7,
    )
    yield Published("the same, normal moments", lambda: psr(0.458, n_observations=24), 0.981675, 5e-7)
    for periods, years in ((250, 2.7312), (52, 2.8288), (12, 3.2398)):
        name = f"minimum track record, {periods} periods a year, years"
        yield Published(name, lambda periods=periods: _track_record(periods), years, 5e-5)
    for trials, value in ((10, 1.574598), (100, 2.530603), (1000, 3.255122)):
        name = f"expected maximum of {trials} null trials"
        yield Published(name, lambda trials=trials: expected_max_sharpe(trials), value, 5e-7)
    yield Published(
        "minimum backtest length, 45 trials, years",
        lambda: min_backtest_length(45, target_sharpe=1.0),
        4.998,
        5e-4,
    )
    yield Published(
        "deflated Sharpe: its benchmark SR0",
        lambda: expected_max_sharpe(100, variance=0.5 / 250),
        0.113172,
        5e-7,
    )
    yield Published("deflated Sharpe", _deflated, 0.900397, 5e-7)
    yield Published("overfitting, one dominant column", lambda: _overfitting("dominant"), 0.0, 0.0)
    yield Published("overfitting, demeaned columns", lambda: _overfitting("demeaned"), 1.0, 0.0)
    yield Published("overfitting, noise, mean of 150 worlds", lambda: _overfitting("noise"), 0.5, 0.06)
    yield Published("splits of 16 blocks", _splits, 12_870, 0.0)
    for folds, tested, splits, paths in ((6, 2, 15, 5), (10, 2, 45, 9), (10, 8, 45, 36)):
        splitter = CombinatorialPurgedCV(folds, tested)
        name = f"combinatorial purged ({folds},{tested})"
        yield Published(f"{name}, splits", lambda splitter=splitter: splitter.n_splits, splits, 0.0)
        yield Published(f"{name}, paths", lambda splitter=splitter: splitter.n_test_paths, paths, 0.0)
    yield Published(
        "stationary bootstrap, variance of the mean",
        lambda: mean_variance(SERIES, block_length=4),
        0.000468285478,
        5e-13,
    )


def main() -> None:
    """Print every number beside what was published."""
    print(f"{'what':<52}{'value':>18}{'published':>18}")
    for each in published():
        value = each.compute()
        verdict = "" if abs(value - each.expected) <= each.tolerance else "  DIFFERS"
        print(f"{each.name:<52}{value:>18.12g}{each.expected:>18.12g}{verdict}")


if __name__ == "__main__":
    main()
