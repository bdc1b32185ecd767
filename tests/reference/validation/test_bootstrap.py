"""The stationary bootstrap and the tests made of it: enumeration, loops, simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from arch.bootstrap import StationaryBootstrap
from scipy.signal import lfilter

from lab.core.errors import ConfigError
from lab.validation.bootstrap import (
    block_length_of,
    mean_variance,
    reality_check,
    spa,
    stationary_bootstrap,
)
from tests.oracle import validation as oracle
from tests.published_values import SERIES


@pytest.mark.parametrize("block_length", [1, 2, 4, 50])
def test_variance_of_the_mean_against_every_sequence_of_draws(block_length):
    values = [0.4, -0.2, 0.1, 0.7, 0.3]
    expected = oracle.stationary_variance_of_mean(values, 1 / block_length)
    assert mean_variance(values, block_length=block_length) == pytest.approx(expected, rel=1e-12)


def test_the_librarys_draws_have_that_variance():
    resamples = 40_000
    drawn = StationaryBootstrap(4, np.array(SERIES), seed=3).apply(np.mean, resamples)
    error = 0.000468285478 * math.sqrt(2 / resamples)
    assert drawn.var() == pytest.approx(0.000468285478, abs=4 * error)


def autoregressive(random, total, persistence):
    return lfilter([1.0], [1.0, -persistence], random.normal(size=total + 200))[200:]


@pytest.mark.parametrize("persistence", [0.3, 0.6])
def test_block_length_is_that_of_theory_for_an_autoregression(persistence):
    # Optimal for the stationary bootstrap: (G / g)^(2/3) T^(1/3), with G / g = 2 rho / (1 - rho^2).
    total = 20_000
    expected = (2 * persistence / (1 - persistence**2)) ** (2 / 3) * total ** (1 / 3)
    found = block_length_of(autoregressive(np.random.default_rng(5), total, persistence))
    assert 0.75 < found / expected < 1.35


def test_sharpe_interval_covers_the_truth_as_often_as_it_says():
    """95 % intervals of fat-tailed, autocorrelated returns: about 95 % hold the true Sharpe ratio."""
    random = np.random.default_rng(17)
    persistence, covered, runs, truth = 0.1, 0, 250, 0.08
    deviation = math.sqrt(5 / 3 / (1 - persistence**2))
    for seed in range(runs):
        shocks = random.standard_t(5, size=820)
        noise = lfilter([1.0], [1.0, -persistence], shocks)[20:]
        found = stationary_bootstrap(truth * deviation + noise, seed=seed, resamples=300)
        covered += found.low <= truth <= found.high
    assert 0.91 <= covered / runs <= 0.98


def test_correlated_bars_widen_the_interval():
    smooth = autoregressive(np.random.default_rng(2), 600, 0.6)
    shuffled = np.random.default_rng(3).permutation(smooth)
    wide, narrow = (stationary_bootstrap(values, seed=1, resamples=500) for values in (smooth, shuffled))
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)
    assert wide.estimate == pytest.approx(narrow.estimate)


@pytest.mark.parametrize("test", [spa, reality_check])
def test_size_under_the_null(test):
    """Twenty models without edge: rejected at 10 % in no more than about 10 % of worlds."""
    worlds, rejected = 300, 0
    for seed in range(worlds):
        random = np.random.default_rng([seed, 40])
        common = random.normal(size=(150, 1))
        returns = 0.5 * common + random.normal(size=(150, 20))
        found = test(returns, seed=seed, resamples=150, block_length=1)
        rejected += found.p_value <= 0.10
    assert 0.05 <= rejected / worlds <= 0.15


@pytest.mark.parametrize("studentised", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_p_values_are_those_of_a_loop(studentised, seed):
    random = np.random.default_rng(seed)
    returns = random.normal(0.0, [0.01] * 5 + [0.05], size=(120, 6))
    returns[:, 2] += 0.001
    returns[:, 4] -= 0.01
    test = spa if studentised else reality_check
    found = test(returns, seed=1, resamples=1_500, block_length=3)
    expected = oracle.superior_ability(returns, 3, 1_500, 9, studentised)
    assert found.p_value == pytest.approx(expected, abs=0.055)


def test_a_volatile_loser_hides_a_steady_winner_from_the_reality_check_alone():
    random = np.random.default_rng(4)
    returns = random.normal(0, 0.005, size=(500, 3))
    returns[:, 1] += 0.001
    loser = random.normal(0, 0.1, size=500)
    returns[:, 2] = loser - loser.mean() - 0.0005
    studentised, plain = spa(returns, seed=2), reality_check(returns, seed=2)
    assert studentised.best == plain.best == 1
    assert studentised.p_value < 0.01
    assert plain.p_value > 0.2


def test_bounds_hold_the_consistent_p_value_and_no_p_value_is_zero():
    random = np.random.default_rng(8)
    returns = random.normal(0.0, 0.01, size=(300, 8))
    returns[:, 3] -= 0.004
    found = spa(returns, seed=5, resamples=400)
    assert found.p_lower <= found.p_value <= found.p_upper
    certain = spa(returns + 0.02, seed=5, resamples=400)
    assert certain.p_value == pytest.approx(1 / 401)


def test_the_benchmark_is_subtracted_and_models_equal_to_it_are_left_out():
    random = np.random.default_rng(6)
    market = random.normal(0.001, 0.02, size=300)
    returns = np.column_stack([market, market + random.normal(0, 0.005, 300), np.zeros(300)])
    found = spa(returns, market, seed=1, resamples=200)
    assert found.models == 2
    assert found.best in (1, 2)
    shifted = spa(returns - market[:, None], seed=1, resamples=200)
    assert shifted == found


def test_the_seed_decides():
    returns = np.random.default_rng(0).normal(size=(200, 3))
    assert spa(returns, seed=4) == spa(returns, seed=4)
    first, second = (stationary_bootstrap(returns[:, 0], seed=seed) for seed in (1, 2))
    assert first == stationary_bootstrap(returns[:, 0], seed=1)
    assert (first.low, first.high) != (second.low, second.high)


def test_an_account_that_never_moves_has_an_interval_of_nothing():
    found = stationary_bootstrap(np.zeros(50), seed=0, resamples=100)
    assert (found.low, found.estimate, found.high, found.block_length) == (0.0, 0.0, 0.0, 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stationary_bootstrap([0.1, 0.2, 0.3], seed=0), "at least 4 bars"),
        (lambda: stationary_bootstrap([0.1, 0.2, 0.3, math.nan], seed=0), "1 values that are not finite"),
        (lambda: stationary_bootstrap(SERIES, seed=-1), "seed is -1"),
        (lambda: stationary_bootstrap(SERIES, seed=0, resamples=5), "resamples is 5"),
        (lambda: stationary_bootstrap(SERIES, seed=0, confidence=1.0), "confidence is 1.0"),
        (lambda: stationary_bootstrap(SERIES, seed=0, block_length=0), "block_length is 0"),
        (lambda: mean_variance(SERIES, block_length=0.5), "block_length is 0.5"),
        (lambda: spa(np.zeros((50, 2)), seed=0), "nothing to test"),
        (lambda: spa(np.ones((50, 2)), np.ones(49), seed=0), "expected 50 returns"),
    ],
)
def test_input_without_meaning_is_refused(call, message):
    with pytest.raises(ConfigError, match=message):
        call()
