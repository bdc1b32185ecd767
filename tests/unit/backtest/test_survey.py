"""What weights of accounts per market decide: all places that have one, and any fault among them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from lab.backtest.prices import frozen
from lab.backtest.survey import FAULT, survey_alone

Array = NDArray[np.float64]


def places_of(weights: Array, warm_up: int) -> list[int] | None:
    places = np.full(weights.size, -7)
    count = survey_alone(frozen(weights), warm_up, places)
    return None if count == FAULT else places[:count].tolist()


def some(rows: int, markets: int, share: float) -> Array:
    draw = np.random.default_rng(rows * markets)
    return np.where(draw.random((rows, markets)) < share, draw.random((rows, markets)), np.nan)


@pytest.mark.parametrize("share", [0.0, 0.04, 0.5, 1.0])
@pytest.mark.parametrize(("rows", "markets"), [(0, 3), (1, 1), (64, 1), (65, 2), (13, 10), (97, 33)])
def test_places_are_those_of_known_weights_after_the_warm_up(rows: int, markets: int, share: float) -> None:
    weights = some(rows, markets, share)
    for warm_up in (0, 1, rows // 2, rows, rows + 5):
        known = [k for k, weight in enumerate(weights.ravel()) if not np.isnan(weight)]
        assert places_of(weights, warm_up) == [k for k in known if k >= warm_up * markets]


@pytest.mark.parametrize("share", [0.04, 1.0])
@pytest.mark.parametrize("fault", [-1e-300, 1.0 + 2**-52, np.inf, -np.inf])
def test_a_weight_at_fault_is_found_wherever_it_is(share: float, fault: float) -> None:
    for place in range(0, 150, 7):
        weights = some(50, 3, share)
        weights.reshape(-1)[place] = fault
        assert places_of(weights, 20) is None
    assert places_of(np.array([[0.0, 1.0], [-0.0, np.nan]]), 0) == [0, 1, 2]
