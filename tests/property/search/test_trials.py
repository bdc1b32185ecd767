from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.search.sketches import sketch
from lab.search.trials import DataIdentity, TrialBatch, judge_batches
from tests.oracle.search import batch, distinct_trials

trials = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from([-0.2, 0.0, 0.1, 0.1000000001, 0.3])),
    min_size=1,
    max_size=6,
)
batches = st.lists(
    st.builds(
        lambda rows, window, length: batch(
            [name for name, _ in rows],
            [sharpe for _, sharpe in rows],
            window=window,
            n_observations=length,
        ),
        trials,
        st.integers(0, 2),
        st.sampled_from([50, 200]),
    ),
    max_size=6,
)


@given(batches)
def test_distinct_trials_and_their_variance_are_those_of_a_plain_count(recorded):
    judged = judge_batches(recorded)
    count, variance = distinct_trials(recorded)
    assert judged.n_trials == count
    assert judged.scaled_variance == pytest.approx(variance, abs=1e-12)


@given(batches)
def test_recording_everything_twice_changes_nothing(recorded):
    assert judge_batches([*recorded, *recorded]) == judge_batches(recorded)


@given(batches)
def test_a_batch_survives_its_own_text(recorded):
    for one in recorded:
        read = TrialBatch.from_body(json.loads(json.dumps(one.to_body())))
        assert read.to_body() == one.to_body()


@given(st.permutations(["binance:BTC/USDT", "kraken:ETH/USD", "binance:ADA/USDT"]))
def test_the_order_of_markets_is_no_identity(markets):
    assert DataIdentity.of(markets, "1d").digest == DataIdentity.of(sorted(markets), "1d").digest
    assert DataIdentity.of(markets, "1d").source == "binance+kraken"


def test_products_of_sketches_estimate_correlations():
    rng = np.random.default_rng(6)
    bars = np.arange(18_000, 18_800)
    common = rng.normal(size=800)
    series = np.array([np.sqrt(w) * common + np.sqrt(1 - w) * rng.normal(size=800) for w in (1, 0.9, 0.5, 0)])
    errors = []
    for shift in range(200):
        found = sketch(series * 0.01 + 0.001, bars + 1_000 * shift).astype(np.float64)
        errors.append(found @ found.T - np.corrcoef(series))
    # Without bias, and as scattered as 64 signs leave it: at most sqrt((1 + 1) / 64) = 0.18.
    assert np.abs(np.mean(errors, axis=0)).max() < 0.06
    assert np.std(errors, axis=0).max() < 0.20


def test_sketches_of_overlapping_windows_meet_on_the_bars_they_share():
    rng = np.random.default_rng(7)
    returns = rng.normal(size=(1, 1_000))
    products = []
    for shift in range(300):
        bars = np.arange(1_000) + 2_000 * shift
        early = sketch(returns[:, :800], bars[:800]).astype(np.float64)
        late = sketch(returns[:, 200:], bars[200:]).astype(np.float64)
        products.append((early @ late.T).item())
    assert np.mean(products) == pytest.approx(600 / 800, abs=0.06)


def test_a_flat_series_has_an_empty_sketch():
    assert not sketch(np.zeros((1, 50)), np.arange(50)).any()
    assert not sketch(np.full((1, 50), 0.01), np.arange(50)).any()
