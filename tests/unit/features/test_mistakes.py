"""A parameter that makes no sense is refused by name, whatever it is and wherever it is given."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest

import lab.features
from lab.core.errors import ConfigError
from lab.core.feature import Feature
from lab.features import bollinger_width, compute, mean, quantile
from tests.oracle.features_catalogue import make_panel

NONSENSE = (None, "x", [3], True, math.nan, math.inf, -1, 2.5, np.float64("nan"))
# What each constructor is called with where only the other parameters are in question.
SOUND = {"fast": 5, "slow": 9, "share": 0.5, "feature": mean("close", 5), "reference": "x:A/USDT"}
TEXT = {"column", "other", "reference"}


def constructors() -> dict[str, Any]:
    made = {name: getattr(lab.features, name) for name in lab.features.__all__}
    return {
        name: one
        for name, one in made.items()
        if inspect.isfunction(one)
        and inspect.signature(one).return_annotation == "Feature"
        and name != "coarser"
    }


def sound(name: str, parameter: inspect.Parameter) -> Any:
    if parameter.default is not inspect.Parameter.empty:
        return parameter.default
    return "close" if name in {"column", "other"} else SOUND.get(name, 7)


@pytest.mark.parametrize("name", constructors())
def test_nonsense_is_a_configuration_error(name: str) -> None:
    make = constructors()[name]
    given = {key: sound(key, value) for key, value in inspect.signature(make).parameters.items()}
    assert isinstance(make(**given), Feature)
    for parameter in given.keys() - TEXT:
        for value in NONSENSE:
            # Half a bar is nonsense, 2.5 deviations are not.
            if value == 2.5 and parameter == "deviations":
                continue
            with pytest.raises(ConfigError):
                make(**given | {parameter: value})


def test_the_message_says_what_was_found_and_expected() -> None:
    with pytest.raises(ConfigError, match=r"^feature mean: nan found, expected a whole number of bars >= 1$"):
        mean("close", math.nan)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"^feature mean: min_valid None found, expected a share above 0"):
        mean("close", 5, min_valid=None)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"^feature quantile: share 'x' found, expected a number in"):
        quantile("close", 5, "x")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"deviations 0 found, expected a number above 0"):
        bollinger_width("close", 5, 0)
    with pytest.raises(ConfigError, match=r"^'close' is no feature; build features with the constructors"):
        compute(make_panel(1, rows=10), ["close"])  # type: ignore[list-item]


def test_whole_numbers_of_other_types_are_whole_numbers() -> None:
    assert mean("close", np.int64(5)) == mean("close", 5.0) == mean("close", 5)  # type: ignore[arg-type]
