"""Costs as fractions, presets and settings."""

from __future__ import annotations

import math
import re

import pytest

from lab.core.errors import ConfigError
from lab.core.settings import CostSettings
from lab.costs import Costs, MarketRules, fee_bps


def test_basis_points_become_fractions() -> None:
    costs = Costs(fee_bps=7.5, slippage_bps=15.0)
    assert (costs.fee, costs.slippage) == (0.00075, 0.0015)


def test_rate_covers_either_side_of_a_trade() -> None:
    costs = Costs(fee_bps=50.0, slippage_bps=100.0)
    assert costs.rate == pytest.approx(0.01505)
    assert 100.0 * costs.rate >= 100.0 - 100.0 * 0.99 * 0.995


def test_presets_order_by_how_much_they_cost() -> None:
    rates = [Costs.preset(name).rate for name in ("optimistic", "base", "conservative")]
    assert rates == sorted(rates)
    assert Costs.preset("base") == Costs()
    with pytest.raises(ConfigError, match=r"no preset 'cheap'; presets are conservative, base, optimistic"):
        Costs.preset("cheap")


@pytest.mark.parametrize("value", [-0.1, 1000.1, math.nan, math.inf])
def test_impossible_figures_are_refused(value: float) -> None:
    with pytest.raises(ConfigError, match=r"fee_bps is .* expected basis points between 0 and 1000"):
        Costs(fee_bps=value)
    with pytest.raises(ConfigError, match="slippage_bps"):
        Costs(slippage_bps=value)


def test_explicit_figures_replace_the_preset() -> None:
    assert Costs.from_settings(CostSettings()) == Costs.preset("base")
    assert Costs.from_settings(CostSettings(preset="conservative")) == Costs(20.0, 15.0)
    assert Costs.from_settings(CostSettings(preset="optimistic", slippage_bps=0.0)) == Costs(7.5, 0.0)
    assert Costs.from_settings(CostSettings(fee_bps=0.0, slippage_bps=0.0)).rate == 0.0


@pytest.mark.parametrize("value", [None, "x", [3], True, math.nan, math.inf, -1.0])
@pytest.mark.parametrize(
    ("make", "name"),
    [
        *((Costs, name) for name in ("fee_bps", "slippage_bps", "slippage_volatility", "impact_bps")),
        *((MarketRules, name) for name in ("lot", "tick", "min_notional")),
    ],
)
def test_what_is_no_number_is_refused_by_name(make: type, name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"^costs: {name} .*is {re.escape(repr(value))}, expected"):
        make(**{name: value})


def test_an_unknown_side_of_the_book_is_not_taken_for_the_cheaper_one() -> None:
    assert fee_bps("binance", liquidity="maker") == 10.0
    with pytest.raises(ConfigError, match="liquidity is 'marker', expected maker or taker"):
        fee_bps("kraken", liquidity="marker")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"has tiers 0 to \d+, found 1\.5"):
        fee_bps("binance", tier=1.5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"rules is \[3\], expected a tuple of MarketRules"):
        Costs(rules=[3])  # type: ignore[arg-type]
