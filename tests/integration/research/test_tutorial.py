"""The tutorial's commands, run one after another in a copy of the project, as a stranger would."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab.data.demo import install

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "research" / "TUTORIAL.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)
COPIED = ("lab", "feature_store", "live_bridge", "research", "pyproject.toml", "requirements.lock")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of the project with the demo's bars, and `mnemo` and `python` in front of the path."""
    place = tmp_path / "project"
    place.mkdir()
    ignored = shutil.ignore_patterns("*.nbi", "*.nbc", ".ipynb_checkpoints")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, place / name, ignore=ignored)
        else:
            shutil.copy(source, place / name)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, module in (("mnemo", "-m lab.cli"), ("python", "")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {module} "$@"\n')
        program.chmod(0o755)
    install(place)
    return place


def test_a_stranger_reaches_the_report_of_a_rule_of_their_own(clone: Path) -> None:
    assert len(BLOCKS) >= 9
    script = "set -euo pipefail\n" + "".join(f"echo '== {n}'\n{block}" for n, block in enumerate(BLOCKS))
    environment = {
        "PATH": f"{clone.parent / 'bin'}:/usr/bin:/bin",
        "PYTHONPATH": str(clone),
        "HOME": str(clone.parent),
        "TZ": "UTC",
    }
    done = subprocess.run(
        ["bash", "-c", script], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-2_000:]
    assert "Traceback" not in done.stderr
    assert "calm_momentum" in done.stdout
    assert "target_volatility) ** 2" in done.stdout
    (page,) = (clone / "reports").glob("calm_btc_1d-*.html")
    assert "<h1>calm_btc_1d</h1>" in page.read_text(encoding="utf-8")
    assert re.search(r"identical\s+│\s+True", done.stdout)


def test_the_prose_names_things_that_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (ROOT / "research" / target).exists(), target
    core = (ROOT / "lab" / "strategies" / "time_series_momentum.py").read_text(encoding="utf-8")
    (line,) = re.findall(r"^```python\n(.*?)\n```", TEXT, flags=re.MULTILINE | re.DOTALL)
    assert line in core
