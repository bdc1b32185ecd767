"""Every fault put into the risk module is noticed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.oracle.risk_mutants import MUTANTS

ROOT = Path(__file__).parents[3]
# Two in every run, all of them in the long one.
QUICK = {"breaker not persisted in the state", "breaker not persisted in JSON"}


def run(number: int) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "tests.oracle.risk_mutants", str(number)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_sound_module_passes() -> None:
    done = run(-1)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(number, id=mutant.name, marks=() if mutant.name in QUICK else pytest.mark.slow)
        for number, mutant in enumerate(MUTANTS)
    ],
)
def test_a_fault_is_noticed(number: int) -> None:
    done = run(number)
    assert done.returncode == 1, f"{MUTANTS[number].name} went unnoticed: {done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
