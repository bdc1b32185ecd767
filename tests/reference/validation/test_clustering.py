"""The effective number of trials in worlds where it is known, and the silhouette behind it by loops."""

from __future__ import annotations

import numpy as np
import pytest

from lab.core.errors import ConfigError
from lab.search.effective import effective_of
from lab.search.sketches import sketch
from lab.search.trials import TrialBatch, parameter_hash
from lab.validation.clustering import effective_trials
from tests.oracle.search import IDENTITY


def world(seed, ideas, variants, correlation, bars=800):
    """Returns of `variants` of each of some unrelated ideas, shape (trials, bars), in mixed order."""
    random = np.random.default_rng(seed)
    idea = np.repeat(random.normal(size=(ideas, bars)), variants, axis=0)
    noise = random.normal(size=(ideas * variants, bars))
    returns = np.sqrt(correlation) * idea + np.sqrt(1 - correlation) * noise
    return 0.01 * returns[random.permutation(len(returns))]


def batch(returns, first_bar=0):
    bars = np.arange(first_bar, first_bar + returns.shape[1], dtype=np.int64)
    names = [f"{first_bar}-{place}" for place in range(len(returns))]
    return TrialBatch(
        family="time_series_momentum",
        version="1.0.0",
        identity=IDENTITY,
        content_hash="c",
        window=(str(first_bar), str(first_bar + returns.shape[1])),
        n_observations=returns.shape[1],
        cost_hash="costs",
        risk_hash="risk",
        parameter_hashes=tuple(parameter_hash({"name": name}) for name in names),
        sharpes=returns.mean(axis=1) / np.maximum(returns.std(axis=1, ddof=1), 1e-9),
        sketches=sketch(returns, bars),
    )


WORLDS = [(2, 12, 0.9), (5, 20, 0.7), (12, 6, 0.85), (30, 5, 0.8)]


@pytest.mark.parametrize(("ideas", "variants", "correlation"), WORLDS)
def test_variants_of_an_idea_count_once(ideas, variants, correlation):
    found = effective_trials(np.corrcoef(world(1, ideas, variants, correlation)))
    assert (found.number, found.clusters) == (ideas, ideas)
    assert found.silhouette > 0.25


@pytest.mark.parametrize(("ideas", "variants", "correlation"), WORLDS[:3])
def test_sketches_tell_the_same(ideas, variants, correlation):
    found = effective_of([batch(world(2, ideas, variants, correlation))])
    assert found.number == ideas


@pytest.mark.parametrize("trials", [5, 60, 200])
def test_unrelated_trials_count_in_full(trials):
    found = effective_trials(np.corrcoef(world(3, trials, 1, 0.0)))
    assert found.number == pytest.approx(trials, rel=0.02)
    assert effective_of([batch(world(3, trials, 1, 0.0))]).number == pytest.approx(trials, rel=0.05)


def test_one_idea_counts_by_its_mean_correlation():
    found = effective_trials(np.corrcoef(world(4, 1, 60, 0.9, bars=4_000)))
    assert found.clusters == 0
    assert found.number == pytest.approx(0.9 + 0.1 * 60, abs=0.6)


def test_repeats_and_motionless_trials_do_not_add():
    made = batch(world(5, 4, 8, 0.9))
    still = batch(np.zeros((3, 800)), first_bar=0)
    once, twice = effective_of([made]), effective_of([made, made])
    assert once == twice
    assert effective_of([made, still]).number == once.number
    assert effective_of([still]) is None
    assert effective_of([]) is None


def test_the_same_idea_on_other_bars_is_another_trial():
    returns = world(6, 1, 20, 0.95)
    found = effective_of([batch(returns), batch(returns, first_bar=10_000)])
    assert found.number == 2


def test_of_many_trials_an_even_sample_is_compared():
    returns = world(7, 3, 40, 0.9)
    found = effective_of([batch(returns)], compared=30)
    assert (found.trials, found.number) == (30, 3)
    unrelated = effective_of([batch(world(8, 120, 1, 0.0))], compared=30)
    assert unrelated.number == pytest.approx(120, rel=0.1)


def test_the_number_of_clusters_is_that_of_the_largest_silhouette_by_loops():
    random = np.random.default_rng(9)
    correlations = np.corrcoef(world(9, 4, 5, 0.6) + 0.004 * random.normal(size=(20, 800)))
    distances = np.sqrt((1 - correlations) / 2)
    groups = [[place] for place in range(20)]
    scores = {}
    while len(groups) > 2:
        pairs = [(a, b) for a in range(len(groups)) for b in range(a + 1, len(groups))]
        a, b = min(pairs, key=lambda pair: np.mean(distances[np.ix_(groups[pair[0]], groups[pair[1]])]))
        groups = [g for k, g in enumerate(groups) if k not in (a, b)] + [groups[a] + groups[b]]
        scores[len(groups)] = np.mean([width(distances, groups, place) for place in range(20)])
    best = max(scores, key=scores.get)
    found = effective_trials(correlations)
    assert found.clusters == best
    assert found.silhouette == pytest.approx(scores[best], abs=1e-9)


def width(distances, groups, place):
    own = next(group for group in groups if place in group)
    if len(own) == 1:
        return 0.0
    inside = sum(distances[place, other] for other in own if other != place) / (len(own) - 1)
    outside = min(
        np.mean([distances[place, other] for other in group]) for group in groups if group is not own
    )
    return (outside - inside) / max(inside, outside)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [([[1.0, 0.0]], r"shape \(1, 2\)"), ([[1.0, np.nan], [np.nan, 1.0]], "not finite")],
)
def test_a_matrix_without_meaning_is_refused(matrix, message):
    with pytest.raises(ConfigError, match=message):
        effective_trials(matrix)
