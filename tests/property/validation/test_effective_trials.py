from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.validation.clustering import effective_trials


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 25), st.integers(3, 40), st.floats(0, 1))
def test_the_effective_number_lies_between_one_and_all(seed, trials, bars, common):
    random = np.random.default_rng(seed)
    returns = random.normal(size=(trials, bars)) + 3 * common * random.normal(size=bars)
    correlations = np.atleast_2d(np.corrcoef(returns))
    found = effective_trials(correlations)
    assert 1 <= found.number <= trials
    assert found.trials == trials
    assert found == effective_trials(correlations)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(1, 6))
def test_exact_copies_add_nothing(seed, trials, copies):
    """Copies of every trial, as many of each, leave as many clusters as there were trials, or fewer."""
    returns = np.random.default_rng(seed).normal(size=(trials, 500))
    found = effective_trials(np.corrcoef(np.repeat(returns, copies, axis=0)))
    assert found.number <= trials + 1e-6
