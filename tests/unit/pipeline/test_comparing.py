"""What a comparison makes of ticks: whose doing another quantity was, and which bars agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lab.core.timeframe import Timeframe
from lab.pipeline.books import BridgeRecord
from lab.pipeline.comparing import _concordance, _unpriced
from lab.pipeline.tick_shortfalls import BarWishes, shortfalls_of

NAMES = {"A/USD": "x:A/USD"}
MARKET = "x:A/USD"
NAN = float("nan")


def tick(
    permitted: float | None, *, wanted: float | None = 0.5, quantity: float = 0.0, **keys: Any
) -> dict[str, Any]:
    order = {
        "symbol": "A/USD", "side": "buy" if quantity > 0 else "sell", "quantity": abs(quantity),
        "filled": abs(quantity), "fill_price": 10.0,
    }  # fmt: skip
    return {
        "targets": [{"symbol": "A/USD", "wanted": wanted, "permitted": permitted}],
        "orders": [order] if quantity else [],
        "skipped": [],
        **keys,
    }


def shortfall(found: dict[str, Any], theirs: tuple[float, float], cash: float = 1_000.0) -> Any:
    return shortfalls_of(found, cash, {MARKET: 0.0}, {MARKET: 10.0}, {MARKET: theirs}, NAMES)[MARKET]


def test_the_same_weight_leaves_rounding_alone() -> None:
    short = shortfall(tick(0.5, quantity=49.9), (0.5, 0.5))
    assert short.rounding == pytest.approx(-0.1)
    assert short.signal == short.risk == short.timing == short.partial_fill == short.command == 0.0


def test_another_decision_is_signal_and_another_permission_is_risk() -> None:
    assert shortfall(tick(0.4, wanted=0.4, quantity=40.0), (0.5, 0.5)).signal == pytest.approx(-10.0)
    assert shortfall(tick(0.4, wanted=0.5, quantity=40.0), (0.5, 0.5)).risk == pytest.approx(-10.0)
    assert shortfall(tick(None, wanted=0.5), (0.5, 0.5)).risk == pytest.approx(-50.0)
    assert shortfall(tick(0.5, wanted=0.5, quantity=50.0), (0.5, NAN)).risk == pytest.approx(50.0)


def test_a_later_price_is_timing() -> None:
    # Sized at 12.5 instead of at the open of 10: 40 instead of 50.
    short = shortfall(tick(0.5, quantity=40.0, marks={"A/USD": "12.5"}), (0.5, 0.5))
    assert short.timing == pytest.approx(-10.0)
    assert short.rounding == pytest.approx(0.0, abs=1e-12)


def test_what_a_person_sold_is_a_command() -> None:
    sold = {**tick(None, wanted=None, quantity=-30.0), "targets": [], "command": "flatten"}
    found = shortfalls_of(sold, 0.0, {MARKET: 30.0}, {MARKET: 10.0}, {MARKET: (NAN, NAN)}, NAMES)
    assert found[MARKET].command == -30.0


def test_concordance_counts_bars_at_which_either_decided() -> None:
    permitted = np.array([[NAN], [0.5], [0.5], [NAN], [0.5], [NAN]])
    wishes = BarWishes((MARKET,), {bar: bar for bar in range(6)}, permitted, permitted)
    ticks = {
        1: [tick(0.5)],
        2: [tick(0.5 + 1e-7)],
        3: [tick(0.3)],
        4: [],
        5: [],
    }
    found = _concordance(BridgeRecord(ticks, 1.0, NAMES), wishes, Timeframe.parse("1d").open_time)
    assert (found["compared"], found["missed"]) == (4, 1)
    assert (found["concordance"], found["concordance_exact"]) == (0.5, 0.25)
    assert [entry["market"] for entry in found["differing"]] == [MARKET, MARKET]


def test_fees_in_coins_without_a_price_are_told_by_coin() -> None:
    ticks = [
        {"orders": [{"unpriced": {"BNB": 0.25}}, {"unpriced": {}}]},
        {"orders": [{"unpriced": {"BNB": 0.5}}]},
    ]
    orphans = [
        {"symbol": "A/USD", "fee": "0.125", "fee_asset": "XYZ", "fee_price": None},
        {"symbol": "A/USD", "fee": "9", "fee_asset": "BNB", "fee_price": "300"},
        {"symbol": "A/USD", "fee": "9", "fee_asset": "A", "fee_price": None},
    ]
    assert _unpriced(ticks, orphans) == {"BNB": 0.75, "XYZ": 0.125}
    assert _unpriced([{"orders": []}], []) == {}
