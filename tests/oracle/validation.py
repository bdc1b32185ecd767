"""Slow twins of lab.validation: plain loops, library quantiles, quadrature."""

from __future__ import annotations

import itertools
import math
from statistics import NormalDist

import numpy as np
from scipy.integrate import quad
from scipy.stats import norm, rankdata


def folds(total, train_size, test_size, purged_size, embargo_size, expand_train):
    """Walk-forward folds by asking of every bar, one at a time, whether it may train."""
    found = []
    start = train_size + purged_size
    earlier_ends = []
    while start + test_size <= total:
        allowed = []
        for bar in range(start - purged_size):
            embargoed = any(end <= bar < end + embargo_size for end in earlier_ends)
            if not embargoed:
                allowed.append(bar)
        train = allowed if expand_train else allowed[-train_size:]
        found.append((train, list(range(start, start + test_size))))
        start += test_size
        earlier_ends.append(start)
    return found


def overfitting_logits(returns, blocks):
    """Logit of the best's relative rank, by enumerating every split on the returns themselves."""
    bars = len(returns) // blocks
    parts = np.array_split(returns[len(returns) - bars * blocks :], blocks)
    logits = []
    for inside in itertools.combinations(range(blocks), blocks // 2):
        outside = [part for part in range(blocks) if part not in inside]
        train = np.concatenate([parts[part] for part in inside])
        test = np.concatenate([parts[part] for part in outside])
        best = int(np.argmax(train.mean(axis=0) / train.std(axis=0, ddof=1)))
        rank = rankdata(test.mean(axis=0) / test.std(axis=0, ddof=1))[best]
        relative = rank / (returns.shape[1] + 1)
        logits.append(math.log(relative / (1 - relative)))
    return logits


def overfitting(returns, blocks):
    """Probability of backtest overfitting: the share of logits at or below zero."""
    logits = overfitting_logits(returns, blocks)
    return sum(logit <= 0 for logit in logits) / len(logits)


def exact_expected_max(trials):
    """Mean of the largest of `trials` standard normals, by quadrature of its density."""
    density = lambda x: x * trials * norm.pdf(x) * norm.cdf(x) ** (trials - 1)  # noqa: E731
    return quad(density, -10, 12, limit=200)[0]


def sharpe_error(sharpe, skewness, kurtosis, n_observations):
    """Standard error of a Sharpe ratio from moments (Mertens), with excess kurtosis written out."""
    excess = kurtosis - 3
    variance = 1 + 0.5 * sharpe**2 - skewness * sharpe + 0.25 * excess * sharpe**2
    return math.sqrt(variance / (n_observations - 1))


def probability_above(sharpe, benchmark, error):
    """Normal probability that the true value is above the benchmark, by the standard library."""
    return 1 - NormalDist(sharpe, error).cdf(benchmark)


def purged_training(total, tested, label_ends, purged_size, embargo_size):
    """Positions that may train beside a test, by comparing every sample with every forbidden bar."""
    forbidden = set()
    for block in _blocks(tested):
        reach = max(label_ends[sample] for sample in block)
        for bar in range(block[0] - purged_size, reach + purged_size + embargo_size + 1):
            forbidden.add(bar)
    train = []
    for sample in range(total):
        span = range(sample, label_ends[sample] + 1)
        if not any(bar in forbidden for bar in span):
            train.append(sample)
    return train


def _blocks(positions):
    blocks = []
    for position in sorted(positions):
        if blocks and blocks[-1][-1] == position - 1:
            blocks[-1].append(position)
        else:
            blocks.append([position])
    return blocks


def stationary_variance_of_mean(values, probability):
    """Variance of the stationary bootstrap's mean by enumerating every sequence of drawn positions."""
    total = len(values)
    centre = sum(values) / total
    variance = 0.0
    for sequence in itertools.product(range(total), repeat=total):
        chance = 1 / total
        for before, after in itertools.pairwise(sequence):
            follows = after == (before + 1) % total
            chance *= probability / total + (1 - probability) * follows
        mean = sum(values[position] for position in sequence) / total
        variance += chance * (mean - centre) ** 2
    return variance


def superior_ability(excess, block_length, resamples, seed, studentised):
    """p-value of the best mean in a loop: own draws, own variances from those draws, own recentring."""
    random = np.random.RandomState(seed)
    total, models = excess.shape
    drawn = np.empty((resamples, models))
    for resample in range(resamples):
        position = random.randint(total)
        rows = []
        while len(rows) < total:
            rows.append(position)
            fresh = random.random_sample() < 1 / block_length
            position = random.randint(total) if fresh else (position + 1) % total
        drawn[resample] = excess[rows].mean(axis=0)
    means = excess.mean(axis=0)
    scale = drawn.std(axis=0) * math.sqrt(total) if studentised else np.ones(models)
    observed = max(math.sqrt(total) * means / scale)
    limit = -math.sqrt(2 * math.log(math.log(total)))
    as_good = 0
    for resample in range(resamples):
        best = -math.inf
        for model in range(models):
            hopeless = studentised and math.sqrt(total) * means[model] / scale[model] < limit
            centre = 0.0 if hopeless else means[model]
            best = max(best, math.sqrt(total) * (drawn[resample, model] - centre) / scale[model])
        as_good += best > observed
    return as_good / resamples
