"""The table in the package's README is what the registry has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import lab.features
from lab.core.feature import Feature
from tests.oracle.features_catalogue import EVERY, shipped_definitions

README = Path(lab.features.__file__).with_name("README.md")
ROW = re.compile(
    r"^\| `(?P<name>\w+)\((?P<parameters>[^)]*)\)` \| (?P<what>.+) \| (?P<lookback>.+) \| (?P<peer>.+) \|$"
)


def rows() -> dict[str, re.Match[str]]:
    found = [ROW.match(line) for line in README.read_text().splitlines()]
    return {row["name"]: row for row in found if row is not None}


def test_every_definition_has_its_row_and_no_other() -> None:
    assert set(rows()) == shipped_definitions()
    assert len(re.findall(r"^\| `", README.read_text(), re.MULTILINE)) == len(shipped_definitions())


def test_every_name_is_exported() -> None:
    assert shipped_definitions() <= set(lab.features.__all__)


@pytest.mark.parametrize("feature", EVERY, ids=str)
def test_lookback_is_the_one_in_the_table(feature: Feature) -> None:
    text = rows()[feature.name]["lookback"]
    if "feature" in text or "docstring" in text:
        pytest.skip("said of another feature")
    for name, value in feature.parameters:
        text = re.sub(rf"\b{name}\b", str(value), text)
    assert re.fullmatch(r"[\d x+()-]+", text), text
    assert eval(text.replace("x", "*")) == feature.lookback


@pytest.mark.parametrize("name", sorted(shipped_definitions()))
def test_row_names_the_parameters_of_the_constructor(name: str) -> None:
    made = next(feature for feature in EVERY if feature.name == name)
    named = [parameter for parameter in rows()[name]["parameters"].split(", ") if parameter]
    known = {key.partition(".")[0] for key, _ in made.parameters}
    assert set(named) <= known
    assert known - set(named) <= {"min_valid", "least_markets", "complete"}
