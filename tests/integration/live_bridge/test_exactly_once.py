"""No order twice and none lost: the commands that kill ticks and spoil answers, in short and in full."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("live_bridge")]


Tally = Callable[..., None]


def count(tally: Tally, module: str, *options: str) -> dict[str, Any]:
    """Run a command of its own process: it forks, and must not have started any threads."""
    done = subprocess.run(
        [sys.executable, "-m", module, *options], capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr
    document = json.loads(done.stdout)
    name = f"{document['what']}{' (naive bridge)' if '--naive' in options else ''}"
    tally(name, cases=document["cases"], failed=document["failed"], seed=document["seed"])
    assert done.returncode == int(document["failed"] > 0)
    return dict(document)


@pytest.mark.parametrize(("module", "cases"), [("tests.exactly_once", 5), ("tests.every_fault", 5)])
def test_some_kills_and_some_faults_lose_and_double_nothing(tally: Tally, module: str, cases: int) -> None:
    document = count(tally, module, "--cases", str(cases), "--seed", "20")
    assert (document["cases"], document["failures"]) == (cases, {})


def test_a_bridge_that_sends_an_unclear_order_again_is_caught(tally: Tally) -> None:
    document = count(tally, "tests.every_fault", "--cases", "4", "--seed", "3", "--naive")
    assert document["failed"] > 0


def test_a_few_bars_of_chaos_lose_and_double_nothing(tally: Tally) -> None:
    document = count(tally, "tests.chaos", "--bars", "3", "--seeds", "1", "--seed", "3")
    assert document["failures"] == {}
    # Otherwise nothing was tried.
    assert document["exit_codes"].get("4", 0) > 0
    assert document["orders_of_the_last"] > 0


@pytest.mark.slow
@pytest.mark.timeout(5_400)
def test_two_hundred_bars_of_chaos_twenty_times(tally: Tally) -> None:
    document = count(tally, "tests.chaos", "--bars", "200", "--seeds", "20", "--rate", "0.1")
    assert document["cases"] == 20
    assert document["failures"] == {}


@pytest.mark.slow
@pytest.mark.timeout(5_400)
def test_a_long_soak_grows_nothing_but_the_record(tally: Tally) -> None:
    document = count(tally, "tests.chaos", "--soak", "--bars", "720", "--rate", "0.03")
    assert document["failures"] == {}
    assert document["not_flat"] == []


@pytest.mark.slow
@pytest.mark.timeout(5_400)
def test_every_kill_and_kills_in_the_recovery(tally: Tally) -> None:
    document = count(tally, "tests.exactly_once", "--cases", "320", "--seed", "7")
    assert document["cases"] >= 300
    assert document["failures"] == {}


@pytest.mark.slow
@pytest.mark.timeout(5_400)
def test_every_fault_at_every_endpoint(tally: Tally) -> None:
    document = count(tally, "tests.every_fault", "--cases", "400", "--seed", "7")
    assert document["cases"] == 400
    assert document["failures"] == {}


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("module", ["tests.exactly_once", "tests.every_fault"])
def test_the_naive_bridge_fails_both(tally: Tally, module: str) -> None:
    assert count(tally, module, "--cases", "25", "--seed", "7", "--naive")["failed"] > 0
