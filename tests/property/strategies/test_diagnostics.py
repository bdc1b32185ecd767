"""Diagnostics: weights are untouched, every cell has a reason, none knows more than the weights."""

from __future__ import annotations

import numpy as np
import pytest

from lab.core.frames import RECEIVED
from lab.strategies import DecisionReason, decide, diagnose, families, total_lookback
from tests.property.strategies.test_decide import CASES, market_panel

WHY_KEPT = (
    DecisionReason.KEPT_BY_RULE
    | DecisionReason.WARMING_UP
    | DecisionReason.NOT_RECEIVED
    | DecisionReason.GAP_BEGINS
)


@pytest.mark.parametrize(("family", "values"), CASES)
def test_every_weight_has_its_reason(family: str, values: dict[str, float]) -> None:
    strategy = families()[family]
    params = strategy.params(**values)
    panel = market_panel(7)
    told = diagnose(strategy, panel, params)
    assert told.weights.tobytes() == decide(strategy, panel, params).tobytes()
    kept = np.isnan(told.weights)
    assert ((told.reasons & WHY_KEPT) != 0)[kept].all()
    assert ((told.reasons & (DecisionReason.KEPT_BY_RULE | DecisionReason.WARMING_UP)) == 0)[~kept].all()
    assert ((told.reasons & DecisionReason.HELD) != 0)[told.weights > 0].all()
    assert ((told.reasons & DecisionReason.FLAT) != 0)[told.weights == 0].all()
    missing = np.isnan(panel[RECEIVED["close"]])
    np.testing.assert_array_equal((told.reasons & DecisionReason.NOT_RECEIVED) != 0, missing)
    for values_of in told.filters.values():
        assert set(np.unique(values_of[~np.isnan(values_of)])) <= {0.0, 1.0}


@pytest.mark.parametrize(("family", "values"), CASES)
def test_diagnostics_have_the_memory_of_the_weights(family: str, values: dict[str, float]) -> None:
    strategy = families()[family]
    params = strategy.params(**values)
    panel = market_panel(8)
    lookback = total_lookback(strategy, params)
    full = diagnose(strategy, panel, params)
    for end in range(lookback, len(panel) + 1, 7):
        tail = diagnose(strategy, panel.rows(end - lookback, end), params)
        assert (tail.reasons[-1] == full.reasons[end - 1]).all()
        for name, array in (*full.scores.items(), *full.filters.items()):
            mine = {**tail.scores, **tail.filters}[name]
            assert mine[-1].tobytes() == array[end - 1].tobytes(), (name, end)


@pytest.mark.parametrize("family", ["time_series_momentum", "carry", "value_quality"])
def test_what_a_filter_refuses_is_flat_and_the_rest_is_held(family: str) -> None:
    strategy = families()[family]
    params = strategy.params(**dict(CASES)[family])
    told = diagnose(strategy, market_panel(9), params)
    refused = (told.reasons & DecisionReason.FILTERED) != 0
    decided = ~np.isnan(told.weights)
    assert (told.weights[refused & decided] == 0).all()
    assert (told.weights[~refused & decided] > 0).all()
    assert refused.any()
    assert (~refused & decided).any()


def test_the_frame_has_a_row_per_bar_and_market() -> None:
    strategy = families()["ma_breakout"]
    params = strategy.params(**CASES[[family for family, _ in CASES].index("ma_breakout") + 1][1])
    panel = market_panel(10)
    told = diagnose(strategy, panel, params)
    frame = told.frame(panel)
    assert frame.columns[:3] == ["ts", "market", "weight"]
    assert {"flow", "spread", "reasons", *told.scores} <= set(frame.columns)
    assert frame.height == panel.shape[0] * panel.shape[1]
    row = frame.row(170 * 3 + 1, named=True)
    assert row["market"] == "synthetic:M1/USDT"
    assert row["reasons"] == ",".join(
        str(reason.name) for reason in DecisionReason if told.reasons[170, 1] & reason
    )
    np.testing.assert_equal(row["weight"], told.weights[170, 1])
    np.testing.assert_equal(row["flow"], told.filters["flow"][170, 1])
