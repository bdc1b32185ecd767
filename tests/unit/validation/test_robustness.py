"""Robustness tests over callables whose answers are known, and the noise they put on prices."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lab.core.errors import ConfigError
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.strategies import Choice, Range
from lab.validation.neighbourhood import neighbourhood, neighbours
from lab.validation.robustness import (
    Case,
    break_even_costs,
    cost_stress,
    lag_decay,
    noisy,
    plateau,
    price_noise,
    start_shift,
    summarise,
    weaknesses,
)

SPACE = {
    "window": Range(20, 180, step=10),
    "hold": Choice((1, 7, 30)),
    "threshold": Range(0.0, 0.1, step=0.02),
}


def test_neighbours_surround_the_set_within_its_space():
    around = neighbourhood(SPACE, {"window": 20, "hold": 30, "threshold": 0.04, "other": 5})
    assert around == {"window": (20, 30), "hold": (7, 30), "threshold": (0.02, 0.04, 0.06)}


def test_the_set_itself_is_no_neighbour_and_every_neighbour_is_there_once():
    sets = neighbours(SPACE, {"window": 100, "hold": 7, "threshold": 0.04})
    assert len(sets) == 5 * 3 * 3 - 1
    assert {"window": 100, "hold": 7, "threshold": 0.04} not in sets
    assert len({tuple(one.items()) for one in sets}) == len(sets)


def test_a_parameter_that_is_switched_off_has_no_neighbours():
    assert neighbourhood({"target": Range(0.2, 0.8, step=0.1)}, {"target": None}) == {}
    assert neighbours({"target": Range(0.2, 0.8, step=0.1)}, {"target": None}) == []


@pytest.mark.parametrize(("dimensions", "largest"), [(3, 400), (5, 400), (9, 400)])
def test_many_parameters_are_varied_less(dimensions, largest):
    space = {f"p{place}": Range(0, 100) for place in range(dimensions)}
    sets = neighbours(space, dict.fromkeys(space, 50), largest=largest)
    assert 4 * dimensions <= len(sets) <= largest
    assert all(any(one[name] != 50 for name in one) for one in sets)


def test_cases_carry_what_the_callables_say():
    lags = lag_decay(lambda bars: 1 / bars, (1, 4), baseline=2.0)
    assert [(one.case, one.sharpe, one.baseline) for one in lags] == [
        ("1 bar later", 1.0, 2.0),
        ("4 bars later", 0.25, 2.0),
    ]
    starts = start_shift(float, (30,), baseline=1.0)
    assert [(one.test, one.case, one.sharpe) for one in starts] == [("start", "30 bars later", 30.0)]
    costs = cost_stress(lambda multiple: 2.0 - multiple, (0.0, 3.0), baseline=1.0)
    assert [one.sharpe for one in costs] == [2.0, -1.0]
    around = plateau(lambda sets: [one["a"] / 10 for one in sets], [{"a": 1}, {"a": 3}], baseline=0.2)
    assert [(one.case, one.sharpe) for one in around] == [("a 1", 0.1), ("a 3", 0.3)]


def test_draws_of_noise_have_seeds_of_their_own_and_the_seed_decides():
    seen: list[tuple[float, int]] = []
    price_noise(lambda scale, draw: seen.append((scale, draw)) or 0.0, seed=3, baseline=1.0, draws=4)
    assert len({draw for _, draw in seen}) == len(seen) == 12
    again: list[tuple[float, int]] = []
    price_noise(lambda scale, draw: again.append((scale, draw)) or 0.0, seed=3, baseline=1.0, draws=4)
    assert again == seen


@pytest.mark.parametrize(
    ("known", "expected"),
    [({0.0: 1.0, 2.0: 0.5}, 4.0), ({0.0: -0.1, 2.0: -0.5}, 0.0), ({0.0: 1.0, 2.0: 1.0}, math.inf)],
)
def test_break_even_costs(known, expected):
    assert break_even_costs(known) == expected


def case(test, sharpe, label="", baseline=1.0):
    return Case(test, label, sharpe, baseline)


SOUND = (
    case("parameters", 0.9),
    case("costs", 0.4, "2 x"),
    case("start", 0.8),
    case("lag", 0.7, "1 bar later"),
    case("noise", 0.9, "0.05 x volatility"),
)


def test_a_result_that_fades_slowly_has_no_weakness():
    assert weaknesses(SOUND) == ()


@pytest.mark.parametrize(
    ("cases", "words"),
    [
        ([case("parameters", each) for each in (0.1, 0.3, 2.0)], "neighbouring parameters keeps 30%"),
        ([case("costs", 0.0, "2 x")], "doubled costs leave nothing"),
        ([case("start", each) for each in (0.9, 0.2)], "the worst of the later starts keeps 20%"),
        ([case("lag", 0.5, "1 bar later")], "one bar of delay leaves 50%"),
        ([case("noise", 0.1, "0.05 x volatility"), case("noise", 0.9, "0.1 x volatility")], "noise"),
    ],
)
def test_each_weakness_is_named(cases, words):
    kept = [one for one in SOUND if one.test != cases[0].test]
    (found,) = weaknesses([*kept, *cases])
    assert words in found


def test_the_worst_weakness_comes_first_and_a_loss_has_nothing_to_lose():
    found = weaknesses([case("lag", 0.4, "1 bar later"), case("costs", -1.0, "2 x")])
    assert [words.split()[0] for words in found] == ["doubled", "one"]
    assert weaknesses([case("lag", -3.0, "1 bar later", baseline=-0.5)]) == ()


def test_rows_gather_neighbours_and_draws():
    rows = summarise([*(case("parameters", each, str(each)) for each in (1.0, 3.0, 2.0)), *SOUND[1:]])
    assert rows[0] == {
        "test": "parameters",
        "case": "neighbours",
        "cases": 3,
        "baseline": 1.0,
        "worst": 1.0,
        "median": 2.0,
        "best": 3.0,
    }
    assert len(rows) == 5


@pytest.fixture
def panel():
    random = np.random.default_rng(0)
    close = 100 * np.exp(np.cumsum(random.normal(0, [0.01, 0.05], size=(2_000, 2)), axis=0))
    close[300:310, 1] = np.nan
    bar = np.arange(2_000, dtype=np.int64)
    timeframe = Timeframe.parse("1d")
    bars = {"open": close * 0.999, "high": close * 1.01, "low": close * 0.98, "close": close}
    received = {f"received_{name}": values for name, values in bars.items()}
    fields = {**bars, **received, "volume": np.ones_like(close)}
    return Panel(timeframe, bar, timeframe.open_times(bar), ("a:A/B", "a:C/B"), fields)


def test_noise_moves_whole_bars_by_a_share_of_their_market_volatility(panel):
    changed = noisy(panel, 0.1, 7)
    factor = np.log(changed["close"] / panel["close"])
    assert np.nanstd(factor, axis=0) == pytest.approx([0.001, 0.005], rel=0.1)
    for name in ("open", "high", "low"):
        assert np.allclose(np.log(changed[name] / panel[name]), factor, atol=1e-12, equal_nan=True)
    assert np.isnan(changed["close"]).tolist() == np.isnan(panel["close"]).tolist()
    for name in ("received_open", "received_close", "volume"):
        assert changed[name].tobytes() == panel[name].tobytes()


def test_noise_of_nothing_changes_nothing_and_the_seed_decides(panel):
    assert noisy(panel, 0.0, 1)["close"].tobytes() == panel["close"].tobytes()
    assert noisy(panel, 0.1, 1)["close"].tobytes() == noisy(panel, 0.1, 1)["close"].tobytes()
    assert noisy(panel, 0.1, 1)["close"].tobytes() != noisy(panel, 0.1, 2)["close"].tobytes()


def test_noise_on_prices_that_are_traded_at_is_refused(panel):
    bare = Panel(panel.timeframe, panel.bar, panel.ts, panel.markets, {"close": panel["close"]})
    with pytest.raises(ConfigError, match="no received prices"):
        noisy(bare, 0.1, 1)
