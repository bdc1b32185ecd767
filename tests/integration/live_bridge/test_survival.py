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


def played(tally: Tally, module: str, *options: str) -> tuple[list[dict[str, Any]], int]:
    """Run a command in a process of its own: it forks, and must not have started any threads."""
    done = subprocess.run(
        [sys.executable, "-m", module, *options], capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr
    documents = [json.loads(text) for text in done.stdout.splitlines()]
    for document in documents:
        naive = "--naive" in options or document.get("show") == "naive"
        canaries = f"{document['canaries']['found']} in {document['canaries']['texts']:,} texts"
        name = f"{document['what']}{' (naive bridge)' if naive else ''}"
        tally(name, **{key: document[key] for key in ("cases", "failed", "seed")}, canaries=canaries)
        assert document["leaks"] == []
    return documents, done.returncode


def test_a_few_cases_of_everything_lose_and_double_nothing(tally: Tally) -> None:
    found, code = played(tally, "tests.survival", "--short", "--seed", "20")
    documents = {document["show"]: document for document in found}
    assert documents.pop("naive")["failed"] == 1
    assert len(documents) == 7
    assert [document["failures"] for document in documents.values()] == [{}] * len(documents)
    assert code == 0
    # What was looked through is where keys would stand.
    assert all(document["canaries"]["masked"] > 20 for document in documents.values())
    # Otherwise nothing was tried.
    assert documents["chaos"]["exit_codes"].get("4", 0) > 0
    assert documents["chaos"]["orders"] > 0


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
    (document,), code = played(tally, f"tests.survival.{module}")
    assert document["cases"] >= least
    assert (document["failures"], code) == ({}, 0)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("module", ["exactly_once", "every_fault"])
def test_the_naive_bridge_fails_both(tally: Tally, module: str) -> None:
    (document,), code = played(tally, f"tests.survival.{module}", "--cases", "25", "--naive")
    assert document["failed"] > 0
    assert code == 1
