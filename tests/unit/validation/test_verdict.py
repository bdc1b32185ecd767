"""What is concluded from which evidence, in one sentence."""

from __future__ import annotations

import dataclasses
import math

import pytest

from lab.validation.verdict import Evidence, conclude

STRONG = Evidence(
    sharpe=1.2,
    held_out=True,
    deflated_sharpe=0.97,
    expected_max_sharpe=0.5,
    n_trials=400,
    pbo=0.1,
    engine_difference=1e-15,
    certificate={"bars_checked": 900, "mismatches": 0, "leaks": []},
    interval=(0.3, 2.1),
    superiority=0.01,
)


@pytest.mark.parametrize(
    ("changed", "level", "words"),
    [
        ({}, "supported", "Holds up so far: out of sample the Sharpe ratio is 1.20"),
        ({"engine_difference": 1e-3}, "invalid", "Do not use this result: two engines"),
        ({"failed": True}, "invalid", "marked FAILED"),
        ({"certificate": {"mismatches": 2, "bars_checked": 9}}, "invalid", "2 of 9 bars"),
        ({"sharpe": math.nan}, "open", "Nothing to judge: the account never moved"),
        ({"deflated_sharpe": None}, "open", "says nothing about skill"),
        ({"held_out": False}, "open", "nothing held out"),
        ({"held_out": False, "deflated_sharpe": 0.1}, "weak", "No better than luck, though nothing was"),
        ({"held_out": False, "weaknesses": ("doubled costs leave nothing",)}, "open", "; but doubled costs"),
        ({"held_out": False, "next_step": "Tune its parts."}, "open", "; tune its parts."),
        ({"of_every_family": (900, 0.4)}, "supported", "if all 900 trials of every family"),
        ({"of_every_family": (900, 0.4)}, "supported", "count, it is 40%"),
        ({"deflated_sharpe": 0.2}, "weak", "No better than luck"),
        ({"deflated_sharpe": 0.9}, "weak", "Not proven"),
        ({"pbo": 0.4}, "weak", "The selection is overfit"),
        ({"superiority": 0.3}, "weak", "no better than cash with a probability of 30%"),
        ({"weaknesses": ("one bar of delay leaves 10%",)}, "weak", "Fragile: out of sample"),
        ({"interval": (-0.4, 2.1)}, "supported", "anything from -0.40 to 2.10"),
        ({"interval": (-2.4, -0.1), "deflated_sharpe": 0.01}, "weak", "is 1%."),
    ],
)
def test_conclusions(changed, level, words):
    found = conclude(dataclasses.replace(STRONG, **changed))
    assert found.level == level
    assert words in found.conclusion
    assert found.conclusion.endswith(".")
    assert ". " not in found.conclusion
    assert "\n" not in found.conclusion


def test_engines_come_before_everything_else():
    everything = dataclasses.replace(STRONG, engine_difference=math.inf, pbo=0.9, deflated_sharpe=0.1)
    assert conclude(everything).level == "invalid"


@pytest.mark.parametrize("every", [(400, 0.5), (900, 0.971), (900, 0.99), None])
def test_other_families_are_mentioned_only_where_they_make_a_difference(every):
    assert "every family" not in conclude(dataclasses.replace(STRONG, of_every_family=every)).conclusion
