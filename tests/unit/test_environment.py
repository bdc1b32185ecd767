"""pyproject.toml, requirements.lock and environment.yml say the same; nothing committed names an index."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version
from rattler import MatchSpec

from tests.audit.lock import read_lock, unpinned

ROOT = Path(__file__).parents[2]
CONDA_NAMES = {"arch-py": "arch", "prometheus-client": "prometheus-client", "python-duckdb": "duckdb"}
CONDA_ONLY = {"python", "pip"}
PYTHONS = ("3.11", "3.12", "3.13")
MACHINES = ("x86_64", "aarch64")

Requirements = dict[str, SpecifierSet]


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project


def _wanted() -> Requirements:
    project = _project()
    extras = project["optional-dependencies"].values()
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    requirements = [Requirement(line) for line in lines]
    return {canonicalize_name(r.name): r.specifier for r in requirements}


def _environment() -> tuple[Requirements, Requirements, list[str]]:
    """What environment.yml asks of conda, what it asks of pip, and pip's other lines."""
    document = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda: Requirements = {}
    pip: Requirements = {}
    other: list[str] = []
    for entry in document["dependencies"]:
        if isinstance(entry, dict):
            for line in entry["pip"]:
                if line.startswith("-"):
                    other.append(line)
                else:
                    requirement = Requirement(line)
                    pip[canonicalize_name(requirement.name)] = requirement.specifier
            continue
        MatchSpec(entry, strict=True)  # raises for what conda would not understand
        name, _, version = entry.partition(" ")
        conda[canonicalize_name(name)] = SpecifierSet(version)
    return conda, pip, other


def _locked() -> list[tuple[Requirement, int]]:
    return read_lock((ROOT / "requirements.lock").read_text())


def test_environment_yml_equals_pyproject() -> None:
    conda, pip, other = _environment()
    assert not conda.keys() & pip.keys()
    renamed = {CONDA_NAMES.get(name, name): spec for name, spec in conda.items() if name not in CONDA_ONLY}
    assert renamed | pip == _wanted()
    assert other == ["--editable ."]


def test_environment_yml_takes_the_python_that_pyproject_takes() -> None:
    conda, _, _ = _environment()
    assert conda["python"] == SpecifierSet(str(_project()["requires-python"]))


def test_environment_yml_names_channels_and_no_addresses() -> None:
    document = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert document["channels"] == ["conda-forge", "nodefaults"]


def test_lock_has_an_exact_version_and_hashes_for_every_requirement() -> None:
    assert unpinned(_locked()) == []


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("machine", MACHINES)
def test_lock_satisfies_pyproject(python: str, machine: str) -> None:
    markers = {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "platform_machine": machine,
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    locked: dict[str, Version] = {}
    for requirement, _ in _locked():
        if requirement.marker is None or requirement.marker.evaluate(markers):
            name = canonicalize_name(requirement.name)
            assert name not in locked, f"{name} is locked twice"
            locked[name] = Version(str(requirement.specifier).removeprefix("=="))
    wrong = {n: str(s) for n, s in _wanted().items() if n not in locked or locked[n] not in s}
    assert not wrong


@pytest.mark.skipif("CONDA_PREFIX" in os.environ, reason="environment.yml resolves afresh")
def test_this_environment_is_the_locked_one() -> None:
    different = {}
    for requirement, _ in _locked():
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        locked = str(requirement.specifier).removeprefix("==")
        installed = metadata.version(requirement.name)
        if Version(installed).public != Version(locked).public:
            different[requirement.name] = (installed, locked)
    assert not different, "run `make setup`"


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=False, capture_output=True, text=True
    ).stdout.split("\0")
    return [ROOT / name for name in listed if name]


def test_no_committed_set_up_file_names_an_index_or_a_machine() -> None:
    names = {"pyproject.toml", "requirements.lock", "environment.yml", "Makefile", ".pre-commit-config.yaml"}
    files = [ROOT / name for name in names] + sorted((ROOT / ".ci").iterdir())
    pattern = re.compile(
        r"--(?:extra-)?index-url(?!\s)|--find-links|default-index|trusted-host|/simple\b|pythonhosted|file://"
        r"|(?<![\w.])/(?:work|home|root|opt|Users)/"
    )
    found = [
        f"{file.name}:{number}: {line}"
        for file in files
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if pattern.search(line) and "--no-emit-index-url" not in line
    ]
    assert not found
    assert "://" not in (ROOT / "requirements.lock").read_text()


def test_generated_folders_commit_their_readme_alone() -> None:
    tracked = [path.relative_to(ROOT).as_posix() for path in _tracked()]
    if not tracked:
        pytest.skip("not a git checkout")
    generated = {name for name in tracked if name.startswith(("data/", "mlruns/", "reports/"))}
    assert generated == {"data/README.md", "mlruns/README.md", "reports/README.md"}


def test_console_scripts_are_the_documented_two() -> None:
    assert _project()["scripts"] == {"mnemo": "lab.cli:main", "live-bridge": "live_bridge.cli:main"}
