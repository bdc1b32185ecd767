"""For each statistic an oracle of another kind; the published values are in test_published."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from lab.core.errors import ConfigError
from lab.validation.overfitting import (
    block_moments,
    deflated_sharpe_ratio,
    expected_max_sharpe,
    min_backtest_length,
    min_track_record_length,
    overfit_logits,
    probabilistic_sharpe_ratio,
    probability_of_backtest_overfitting,
    sharpe_statistics,
)
from tests.oracle import validation as oracle


@pytest.mark.parametrize(("trials", "exact"), [(10, 1.538753), (100, 2.507594), (1000, 3.241436)])
def test_expected_max_against_quadrature(trials, exact):
    by_quadrature = oracle.exact_expected_max(trials)
    assert by_quadrature == pytest.approx(exact, abs=1e-6)
    assert by_quadrature < expected_max_sharpe(trials) < 1.026 * by_quadrature


def test_expected_max_of_one_trial_is_nothing():
    assert expected_max_sharpe(1, variance=4.0) == 0.0
    assert expected_max_sharpe(10, variance=0.0) == 0.0


def test_expected_max_against_simulation():
    rng = np.random.default_rng(11)
    drawn = 0.2 * rng.standard_normal((20_000, 50)).max(axis=1)
    error = drawn.std() / math.sqrt(len(drawn))
    # The approximation lies at most 2.6 % above.
    expected = expected_max_sharpe(50, variance=0.04)
    assert drawn.mean() - 4 * error < expected < 1.026 * (drawn.mean() + 4 * error)


@pytest.mark.parametrize("seed", range(3))
def test_probabilistic_and_deflated_against_skfolio(seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from skfolio import measures
    rng = np.random.default_rng(seed)
    returns = 0.002 + 0.01 * rng.standard_t(4, size=300)
    trials = rng.normal(0, 0.05, size=40)
    found = sharpe_statistics(returns)
    moments = {"skewness": found.skewness, "kurtosis": found.kurtosis}
    assert probabilistic_sharpe_ratio(
        found.sharpe, n_observations=300, benchmark=0.03, **moments
    ) == pytest.approx(measures.probabilistic_sharpe_ratio(returns, 0.03), abs=1e-12)
    variance = float(np.var(trials, ddof=1))
    assert deflated_sharpe_ratio(
        found.sharpe, n_observations=300, n_trials=40, variance=variance, **moments
    ) == pytest.approx(measures.deflated_sharpe_ratio(returns, trials), abs=1e-12)


def test_deflated_against_vectorbt():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from vectorbt.returns.metrics import deflated_sharpe_ratio as theirs
    rng = np.random.default_rng(5)
    for _ in range(20):
        sharpe, skewness = rng.normal(0.05, 0.1), rng.normal()
        kurtosis, length, trials = 1 + skewness**2 + rng.exponential(4), rng.integers(50, 3_000), 77
        expected = theirs(
            est_sharpe=sharpe,
            var_sharpe=0.002,
            nb_trials=trials,
            backtest_horizon=length,
            skew=skewness,
            kurtosis=kurtosis,
        )
        found = deflated_sharpe_ratio(
            sharpe,
            n_observations=length,
            n_trials=trials,
            variance=0.002,
            skewness=skewness,
            kurtosis=kurtosis,
        )
        assert found == pytest.approx(float(expected), abs=1e-12)


def test_probabilistic_sharpe_against_the_moment_form_of_the_error():
    rng = np.random.default_rng(9)
    for _ in range(30):
        sharpe, benchmark, skewness = rng.normal(0.1, 0.2), rng.normal(0, 0.1), rng.normal()
        kurtosis = 1 + skewness**2 + rng.exponential(3)
        error = oracle.sharpe_error(sharpe, skewness, kurtosis, 200)
        found = probabilistic_sharpe_ratio(
            sharpe, n_observations=200, benchmark=benchmark, skewness=skewness, kurtosis=kurtosis
        )
        assert found == pytest.approx(oracle.probability_above(sharpe, benchmark, error), abs=1e-9)


def test_probabilistic_sharpe_is_calibrated_by_simulation():
    """Of samples whose true Sharpe ratio is the benchmark, about 5 % reach 95 % (skewed returns)."""
    rng = np.random.default_rng(3)
    truth = 0.1
    shocks = rng.gamma(4.0, size=(3_000, 500))
    samples = -(shocks - 4.0) / 2.0 + truth
    reached = 0
    for sample in samples:
        found = sharpe_statistics(sample)
        reached += (
            probabilistic_sharpe_ratio(
                found.sharpe,
                n_observations=500,
                benchmark=truth,
                skewness=found.skewness,
                kurtosis=found.kurtosis,
            )
            >= 0.95
        )
    assert 0.035 < reached / 3_000 < 0.065


def test_min_track_record_is_where_the_probabilistic_sharpe_reaches_confidence():
    moments = {"skewness": -1.0, "kurtosis": 7.0, "benchmark": 0.02}
    length = min_track_record_length(0.12, confidence=0.99, **moments)
    at = probabilistic_sharpe_ratio(0.12, n_observations=length, **moments)
    before = probabilistic_sharpe_ratio(0.12, n_observations=math.floor(length), **moments)
    assert at == pytest.approx(0.99, abs=1e-12)
    assert before < 0.99
    assert min_track_record_length(0.02, benchmark=0.02) == math.inf


def test_min_backtest_length_by_simulation():
    """Over that many years, the best of 45 strategies without edge shows about the target."""
    rng = np.random.default_rng(21)
    years = min_backtest_length(45, target_sharpe=1.0)
    best = (rng.standard_normal((20_000, 45)) / math.sqrt(years)).max(axis=1)
    assert best.mean() == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize(("bars", "trials", "blocks"), [(40, 5, 4), (63, 2, 6), (100, 12, 8), (83, 7, 10)])
def test_overfitting_against_exhaustive_enumeration(bars, trials, blocks):
    rng = np.random.default_rng(bars)
    returns = rng.normal(0.001, 0.01, size=(bars, trials))
    expected = oracle.overfitting(returns, blocks)
    assert probability_of_backtest_overfitting(returns, blocks=blocks) == pytest.approx(expected, abs=1e-12)


def test_sixteen_blocks_have_12870_splits():
    rng = np.random.default_rng(1)
    share = probability_of_backtest_overfitting(rng.normal(size=(64, 9)), blocks=16)
    assert share * 12_870 == pytest.approx(round(share * 12_870), abs=1e-6)
    assert share == pytest.approx(oracle.overfitting(np.random.default_rng(1).normal(size=(64, 9)), 16))


def test_block_moments_give_what_the_returns_give_and_can_be_joined():
    rng = np.random.default_rng(4)
    returns = rng.normal(0, 0.01, size=(333, 6))
    parts = [block_moments(returns[:, i]) for i in range(6)]
    joined = type(parts[0]).concatenate(parts)
    assert probability_of_backtest_overfitting(joined) == probability_of_backtest_overfitting(returns)
    assert joined.sums.nbytes + joined.squares.nbytes == 6 * 256


def test_trials_that_never_trade_do_not_disturb():
    returns = np.zeros((64, 3))
    returns[:, 1] = np.random.default_rng(0).normal(0.01, 0.01, 64)
    assert probability_of_backtest_overfitting(returns, blocks=8) == 0.0
    assert sharpe_statistics(np.zeros(10)).sharpe == 0.0
    assert sharpe_statistics(np.full(10, 0.01)).sharpe == 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: probabilistic_sharpe_ratio(0.1, n_observations=1), "n_observations is 1"),
        (lambda: probabilistic_sharpe_ratio(0.1, n_observations=50, kurtosis=0.0), "raw kurtosis"),
        (lambda: expected_max_sharpe(0), "n_trials is 0"),
        (lambda: expected_max_sharpe(5, variance=-1.0), "variance is -1"),
        (lambda: min_backtest_length(5, target_sharpe=0), "target_sharpe is 0"),
        (lambda: min_track_record_length(0.1, confidence=0.3), "confidence is 0.3"),
        (lambda: sharpe_statistics([0.1, float("nan")]), "1 values that are not finite"),
        (lambda: sharpe_statistics([0.1]), "at least two"),
        (lambda: probability_of_backtest_overfitting(np.ones((64, 1))), "at least two"),
        (lambda: probability_of_backtest_overfitting(np.ones((20, 3))), "at least 32 bars"),
        (lambda: probability_of_backtest_overfitting(np.ones((64, 3)), blocks=5), "even number"),
        (lambda: probability_of_backtest_overfitting(np.full((64, 3), np.nan)), "not finite"),
        (lambda: probability_of_backtest_overfitting(np.ones((64, 3)), blocks=22), "from 2 to 20"),
    ],
)
def test_input_without_meaning_is_refused(call, message):
    with pytest.raises(ConfigError, match=message):
        call()


@pytest.mark.parametrize(("bars", "trials", "blocks"), [(40, 5, 4), (63, 2, 6), (100, 11, 8)])
def test_logits_are_those_of_exhaustive_enumeration(bars, trials, blocks):
    returns = np.random.default_rng(bars).normal(0.001, 0.01, size=(bars, trials))
    found = overfit_logits(block_moments(returns, blocks=blocks))
    assert sorted(found) == pytest.approx(sorted(oracle.overfitting_logits(returns, blocks)), abs=1e-12)
    assert np.mean(found <= 0) == probability_of_backtest_overfitting(returns, blocks=blocks)
