"""Every fault put into the engine is noticed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.oracle.mutants import MUTANTS

ROOT = Path(__file__).parents[3]
# Four of different kinds in every run, all of them in the long one.
QUICK = {"buys before sells", "one bar too early", "breaker not persisted", "frictions: remainder forgotten"}


def run(number: int, vectorbt: bool) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "0" if vectorbt else "1", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "tests.oracle.mutants", str(number)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_the_sound_engine_passes() -> None:
    done = run(-1, False)
    assert done.returncode == 0, done.stderr


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "number",
    [
        pytest.param(number, id=mutant.name, marks=() if mutant.name in QUICK else pytest.mark.slow)
        for number, mutant in enumerate(MUTANTS)
    ],
)
def test_a_fault_is_noticed(number: int) -> None:
    done = run(number, MUTANTS[number].vectorbt)
    assert done.returncode == 1, f"{MUTANTS[number].name} went unnoticed: {done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
