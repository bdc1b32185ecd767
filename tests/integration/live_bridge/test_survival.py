"""What a live bridge has to survive: a few cases of each here, all of them marked slow."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("live_bridge")]


Tally = Callable[..., None]


def played(tally: Tally, module: str, *options: str) -> list[dict[str, Any]]:
    """Run a command in a process of its own: it forks, and must not have started any threads."""
    done = subprocess.run(
        [sys.executable, "-m", module, *options], capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr
    documents = [json.loads(text) for text in done.stdout.splitlines()]
    for document in documents:
        name = f"{document['what']}{' (naive bridge)' if '--naive' in options else ''}"
        canaries = f"{document['canaries']['found']} in {document['canaries']['texts']:,} texts"
        tally(name, **{key: document[key] for key in ("cases", "failed", "seed")}, canaries=canaries)
        assert document["leaks"] == []
    assert done.returncode == int(any(document["failed"] for document in documents))
    return documents


def test_a_few_cases_of_everything_lose_and_double_nothing(tally: Tally) -> None:
    documents = {document["show"]: document for document in played(tally, "tests.survival", "--short")}
    assert len(documents) == 7
    assert [document["failures"] for document in documents.values()] == [{}] * len(documents)
    assert all(document["canaries"]["texts"] > 10 for document in documents.values())
    # Otherwise nothing was tried.
    assert documents["chaos"]["exit_codes"].get("4", 0) > 0
    assert documents["chaos"]["orders"] > 0


def test_a_bridge_that_sends_an_unclear_order_again_is_caught(tally: Tally) -> None:
    found = played(tally, "tests.survival.every_fault", "--cases", "2", "--seed", "3", "--naive")
    assert found[0]["failed"] > 0


@pytest.mark.slow
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize(
    ("module", "least"),
    [
        ("exactly_once", 300),
        ("every_fault", 400),
        ("one_at_a_time", 39),
        ("reconciling", 80),
        ("failing_disk", 200),
        ("machine_trouble", 100),
        ("chaos", 20),
        ("soak", 721),
    ],
)
def test_all_of_it_loses_and_doubles_nothing(tally: Tally, module: str, least: int) -> None:
    document = played(tally, f"tests.survival.{module}")[0]
    assert document["cases"] >= least
    assert document["failures"] == {}


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("module", ["exactly_once", "every_fault"])
def test_the_naive_bridge_fails_both(tally: Tally, module: str) -> None:
    found = played(tally, f"tests.survival.{module}", "--cases", "25", "--seed", "7", "--naive")
    assert found[0]["failed"] > 0
