"""Compiled code never outlives the sources it was made of."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from lab.core.compiled import source_digest
from lab.risk import step

CALLER = """\
from lab.core.compiled import njit
from lab.rule import double

@njit(cache=True)
def run(x):
    return double(x)
"""
RULE = """\
from lab.core.compiled import njit

@njit(cache=True)
def double(x):
    return {factor} * x
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "lab"
    (folder / "core").mkdir(parents=True)
    real = Path(sys.modules["lab.core.compiled"].__file__ or "")
    (folder / "__init__.py").write_text("")
    (folder / "core" / "__init__.py").write_text("")
    (folder / "core" / "compiled.py").write_bytes(real.read_bytes())
    (folder / "caller.py").write_text(CALLER)
    (folder / "rule.py").write_text(RULE.format(factor=2))
    return folder


def run(package: Path, **variables: str) -> int:
    code = "from lab.caller import run; print(run(3))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command,
        cwd=package.parent,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **variables},
    )
    return int(done.stdout)


def test_a_change_in_another_file_compiles_the_caller_again(package: Path) -> None:
    assert run(package) == 6
    (package / "rule.py").write_text(RULE.format(factor=5))
    assert run(package) == 15


def test_without_a_folder_for_caches_kernels_still_run(package: Path) -> None:
    assert run(package, NUMBA_CACHE_DIR="/dev/null/nothing-can-be-made-here") == 6


def test_on_a_full_disk_kernels_still_run(package: Path) -> None:
    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    code = "from lab.caller import run; print(run(3), file=__import__('sys').stderr)"
    done = subprocess.run(
        [sys.executable, "-B", "-c", code],
        cwd=package.parent,
        capture_output=True,
        text=True,
        preexec_fn=fill,
        check=False,
    )
    assert done.stderr.strip() == "6"
    # Nothing was kept, and the next run does not trip over what was begun.
    assert run(package) == 6


def test_the_digest_follows_imports_of_every_form(package: Path) -> None:
    for line in (
        "from lab.rule import double",
        "from lab.rule import (\n    double,\n)",
        "from lab import rule",
        "import lab.rule",
    ):
        (package / "caller.py").write_text(line + "\n")
        before = source_digest(package / "caller.py", package=package)
        original = (package / "rule.py").read_text()
        (package / "rule.py").write_text(original + "# changed\n")
        command = (
            "from pathlib import Path; from lab.core.compiled import source_digest; "
            f"print(source_digest(Path({str(package / 'caller.py')!r})))"
        )
        done = subprocess.run(
            [sys.executable, "-c", command], cwd=package.parent, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() != before, line
        (package / "rule.py").write_text(original)


def test_kernels_are_cached_under_their_digest() -> None:
    digest = source_digest(Path(sys.modules["lab.risk.step"].__file__ or ""))
    assert digest[:20] in step._cache.cache_path
