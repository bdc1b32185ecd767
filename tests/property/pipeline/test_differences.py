"""The causes of a difference sum to it, for accounts kept by an independent book."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.pipeline.differences import Fill, Shortfall, attribute

MARKETS = ("A", "B")
PRICES = st.floats(1.0, 1_000.0)
QUANTITIES = st.floats(-5.0, 5.0)
FILLS = st.builds(Fill, QUANTITIES, PRICES, st.floats(0.0, 2.0), st.floats(0.0, 0.01))
KEYS = st.tuples(st.integers(0, 5), st.sampled_from(MARKETS))
ACCOUNTS = st.dictionaries(KEYS, st.lists(FILLS, min_size=1, max_size=3), max_size=8)


def worth(fills: dict, marks: dict[str, float]) -> Fraction:
    """Cash and quantities, booked one by one in exact arithmetic."""
    cash = Fraction(0)
    held = dict.fromkeys(MARKETS, Fraction(0))
    for (_, market), several in fills.items():
        for fill in several:
            cash -= Fraction(fill.quantity) * Fraction(fill.price) + Fraction(fill.fee)
            held[market] += Fraction(fill.quantity) - Fraction(fill.fee_quantity)
    return cash + sum(held[market] * Fraction(marks[market]) for market in MARKETS)


@given(ACCOUNTS, ACCOUNTS, st.tuples(PRICES, PRICES), st.data())
def test_the_causes_sum_to_the_difference(
    ours: dict, theirs: dict, marks: tuple, data: st.DataObject
) -> None:
    at = dict(zip(MARKETS, marks, strict=True))
    references = {key: data.draw(PRICES) for key in {*ours, *theirs}}
    shortfalls = {key: Shortfall(*data.draw(st.tuples(*[QUANTITIES] * 8))) for key in ours}
    came = data.draw(st.dictionaries(st.sampled_from([*MARKETS, ""]), QUANTITIES))
    values = {**at, "": 1.0}
    gift = sum((Fraction(q) * Fraction(values[market]) for market, q in came.items()), Fraction(0))
    difference = float(worth(ours, at) + gift - worth(theirs, at))
    found = attribute(ours, theirs, shortfalls, references, at, equity_difference=difference, transfers=came)
    assert found.total == difference
    assert abs(found.residual) <= 1e-9 * 10_000


def test_a_book_that_does_not_add_up_shows_as_residual() -> None:
    fills = {(0, "A"): [Fill(1.0, 10.0)]}
    found = attribute(fills, fills, {}, {(0, "A"): 10.0}, {"A": 11.0}, equity_difference=0.5)
    assert found.residual == 0.5


@pytest.mark.parametrize(
    "cause",
    ["rounding", "min_notional", "partial_fill", "missed_tick", "timing", "signal", "risk", "command"],
)
def test_a_quantity_that_was_not_traded_is_valued_at_the_move_since(cause: str) -> None:
    backtest = {(0, "A"): [Fill(2.0, 10.0)]}
    bridge = {(0, "A"): [Fill(1.5, 10.0)]}
    found = attribute(
        bridge,
        backtest,
        {(0, "A"): Shortfall(**{cause: -0.5})},
        {(0, "A"): 10.0},
        {"A": 14.0},
        equity_difference=-2.0,
    )
    assert getattr(found, cause) == -2.0
    assert found.carried == found.price == found.fee == found.residual == 0.0


def test_prices_and_fees_have_their_own_lines() -> None:
    backtest = {(0, "A"): [Fill(2.0, 10.0, fee=0.1)]}
    bridge = {(0, "A"): [Fill(2.0, 10.5, fee=0.3)]}
    found = attribute(bridge, backtest, {}, {(0, "A"): 10.0}, {"A": 14.0}, equity_difference=-1.2)
    assert (found.price, found.fee) == (-1.0, pytest.approx(-0.2))
    assert found.residual == pytest.approx(0.0, abs=1e-12)
