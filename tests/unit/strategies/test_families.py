"""The families from closes to weights, on histories small enough to check by eye."""

from __future__ import annotations

import itertools
import math
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.strategies import Choice, Range, decide, families, load, strategy_of, total_lookback

RESEARCH = Path(__file__).parents[3] / "research" / "strategies"
DAY = Timeframe.parse("1d")


def panel_of(*closes: list[float], first_bar: int = 0) -> Panel:
    close = np.array(closes, dtype=np.float64).T
    bar = np.arange(first_bar, first_bar + len(close))
    names = tuple(f"synthetic:M{i}/USDT" for i in range(len(closes)))
    return Panel(DAY, bar, DAY.open_times(bar), names, {"close": close})


def weights_of(family: str, panel: Panel, **parameters: Any) -> np.ndarray:
    strategy = strategy_of(family)
    return decide(strategy, panel, strategy.params(**parameters))


def test_trend_is_held_sized_to_its_volatility() -> None:
    closes = [100.0, 110.0, 99.0, 105.0, 112.0, 120.0]
    weights = weights_of(
        "time_series_momentum",
        panel_of(closes, [100.0] * 6),
        lookback_window=2,
        vol_window=3,
        threshold=0.0,
        target_volatility=0.5,
    )
    assert np.isnan(weights[:3]).all()
    logs = [math.log(b / a) for a, b in itertools.pairwise(closes)]
    for t in (3, 4, 5):
        risen = closes[t] / closes[t - 2] - 1 > 0
        yearly = statistics.stdev(logs[t - 3 : t]) * math.sqrt(365)
        assert weights[t, 0] == pytest.approx(0.5 * min(1, 0.5 / yearly) if risen else 0.0, rel=1e-12)
        assert weights[t, 1] == 0.0
    assert weights[3, 0] == 0.0
    assert 0 < weights[4, 0] < weights[5, 0] == 0.5


def test_a_calm_trend_is_held_in_full_and_a_wild_one_not_at_all() -> None:
    calm = [100.0 * 1.01**t for t in range(6)]
    wild = [100.0, 150.0, 100.0, 160.0, 110.0, 170.0]
    weights = weights_of(
        "time_series_momentum", panel_of(calm, wild), lookback_window=2, vol_window=3, max_volatility=2.0
    )
    assert weights[-1].tolist() == [0.5, 0.0]


def test_the_strongest_risen_markets_are_held_until_the_next_ranking() -> None:
    panel = panel_of(
        [10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0],
        [10.0, 12.0, 14.0, 16.0, 15.0, 14.0, 13.0],
        [10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0],
        first_bar=3,
    )
    weights = weights_of("dual_momentum", panel, lookback_window=1, rebalance_bars=3, top_k=2)
    # Rankings on bars 3 (too early), 6 and 9, which are rows 0, 3 and 6.
    assert np.isnan(weights[:3]).all()
    assert weights[3].tolist() == weights[4].tolist() == weights[5].tolist() == [0.5, 0.5, 0.0]
    assert weights[6].tolist() == [0.5, 0.0, 0.0]


def test_a_fast_fall_is_bought_until_the_mean_or_the_time_is_reached() -> None:
    calm = [100.0, 101.0] * 7
    recovers = panel_of([*calm, 90.0, 90.0, 101.0, 100.0])
    stays = panel_of([*calm, 90.0, 89.0, 88.0, 87.0, 86.0, 85.0, 84.0])
    rule = {"window": 8, "entry_z": 1.5, "exit_z": 0.0, "max_holding": 3, "fall_window": 4}
    held = weights_of("mean_reversion", recovers, **rule)[14:, 0]
    # Row 14 falls; two bars are below the mean, then it is back.
    assert held.tolist() == [1.0, 1.0, 0.0, 0.0]
    held = weights_of("mean_reversion", stays, **rule)[14:, 0]
    assert held.tolist() == [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]


def test_of_equal_markets_the_first_is_held() -> None:
    risen = [10.0, 11.0, 12.0]
    weights = weights_of("dual_momentum", panel_of(risen, risen, risen), lookback_window=1, rebalance_bars=1)
    assert weights[-1].tolist() == [1.0, 0.0, 0.0]


def test_a_reversion_remembers_its_longest_fall_and_holding_and_not_a_bar_more() -> None:
    strategy = strategy_of("mean_reversion")
    params = strategy.params(entry_z=1.0, exit_z=0.0, max_holding=4, fall_window=3)
    # Armed, three bars down to the entry, then held for four bars in all.
    score = np.array([[0.0, -0.5, -0.5, -1.0, -0.5, -0.5, -0.5, -0.5]]).T
    numbers = strategy.numbers(params, markets=1, first_bar=0)
    held = strategy.core(score, *numbers)[:, 0]
    assert held.tolist() == [0, 0, 0, 1, 1, 1, 1, 0]
    needed = strategy.lookback(params)
    assert needed == 7
    assert strategy.core(score[7 - needed : 7], *numbers)[-1] == 1.0
    assert strategy.core(score[8 - needed : 7], *numbers)[-1] == 0.0


@pytest.mark.parametrize("family", sorted(families()))
def test_every_set_of_the_search_space_is_valid(family: str) -> None:
    strategy = strategy_of(family)
    assert set(strategy.space) <= set(strategy.params.model_fields)
    for end in (0, -1):
        values = {name: dimension.values()[end] for name, dimension in strategy.space.items()}
        params = strategy.params(**values)
        assert params.model_dump() == {**strategy.params().model_dump(), **values}
        assert total_lookback(strategy, params) >= max(f.lookback for f in strategy.features(params))
    for name, dimension in strategy.space.items():
        for value in dimension.values():
            assert getattr(strategy.params(**{name: value}), name) == value


@pytest.mark.parametrize("rule", ["cross", "breakout"])
def test_a_search_varies_what_its_rule_reads_and_nothing_else(rule: str) -> None:
    instance = load(RESEARCH / "binance_ma_breakout_33_1d.yaml").with_params({"rule": rule})
    strategy = instance.strategy

    def read(**changed: Any) -> tuple[Any, ...]:
        params = instance.with_params(changed).params
        numbers = strategy.numbers(params, markets=3, first_bar=0)
        return strategy.features(params), numbers, strategy.lookback(params)

    for name, dimension in strategy.space.items():
        outcomes = {read(**{name: value}) for value in dimension.values()}
        assert (len(outcomes) == len(dimension.values())) == (name in instance.space), name
        assert (len(outcomes) == 1) == (name not in instance.space), name
    plain = load(RESEARCH / "binance_tsm_33_1d.yaml")
    assert plain.space == dict(plain.strategy.space)


@pytest.mark.parametrize("family", sorted(families()))
def test_declarations(family: str) -> None:
    strategy = strategy_of(family)
    assert strategy.family == family
    assert strategy.version.count(".") == 2
    words = ("Rule", "Hypothesis", "Source", "Evidence", "Defaults", "Lookback", "Works", "Fails", "Data")
    for word in words:
        assert f"**{word}" in (type(strategy).__doc__ or ""), word
    assert strategy.params().model_config["extra"] == "forbid"


@pytest.mark.parametrize(
    ("family", "wrong"),
    [
        ("time_series_momentum", {"lookback_window": 0}),
        ("time_series_momentum", {"lookback_window": "90"}),
        ("time_series_momentum", {"target_volatility": 0.0}),
        ("time_series_momentum", {"max_volatility": -1.0}),
        ("dual_momentum", {"top_k": 0}),
        ("dual_momentum", {"lookback": 90}),
        ("mean_reversion", {"entry_z": 1.0, "exit_z": -1.0}),
        ("mean_reversion", {"max_holding": 0}),
        ("ma_breakout", {"fast_window": 50, "slow_window": 50}),
        ("ma_breakout", {"rule": "triangle"}),
        ("ma_breakout", {"sizing": "kelly"}),
        ("cross_sectional_momentum", {"top_fraction": 0.0}),
        ("carry", {"full_below": 0.4, "none_above": 0.4}),
        ("value_quality", {"none_above": 1.0}),
        ("value_quality", {"short_window": 120}),
        ("ensemble", {"members": []}),
        ("ensemble", {"members": [{"family": "nobody", "weight": 1.0}]}),
        ("ensemble", {"members": [{"family": "dual_momentum", "weight": 0.6, "parameters": {"top_k": 0}}]}),
        ("ensemble", {"members": [{"family": "dual_momentum", "weight": w / 10} for w in (4, 5)]}),
        (
            "ensemble",
            {"members": [{"family": f, "weight": 0.6} for f in ("dual_momentum", "mean_reversion")]},
        ),
        ("mean_reversion", {"entry_z": math.nan}),
    ],
)
def test_impossible_parameters_are_refused(family: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        strategy_of(family).params(**wrong)


def test_dimensions_list_their_values() -> None:
    assert Range(1, 3).values() == (1, 2, 3)
    assert Range(0.0, 0.5, step=0.25).values() == (0.0, 0.25, 0.5)
    assert Choice((7, 1)).values() == (7, 1)
    assert Range(1, 3, step=2).is_integer
    assert not Range(0, 1, step=0.5).is_integer


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Range(2, 1), "lower end first"),
        (lambda: Range(0, 1, step=0), "expected above 0"),
        (lambda: Range(0, 1, step=0.3), "not a whole number of steps"),
        (lambda: Range(0.0, 1.0, log=True), "log needs ends above 0"),
        (lambda: Range(0.0, 1.0).values(), "continuous"),
        (lambda: Choice(()), "at least one option"),
        (lambda: Choice((1, 1)), "each once"),
    ],
)
def test_impossible_dimensions_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
