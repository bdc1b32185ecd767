"""The audit of dependencies finds what is wrong with them, and takes no silence for an answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path
from typing import Any

import pytest

from tests.audit.licences import allowed, licence_of, not_allowed
from tests.audit.lock import changed_files, not_as_locked, read_lock, unpinned
from tests.audit.vulnerabilities import look

LOCK = r"""
# made by a tool
alpha==1.0 \
    --hash=sha256:00 \
    --hash=sha256:01
    # via nothing
beta==2.0 ; python_version < '3' \
    --hash=sha256:02
gamma-delta==3.0 \
    --hash=sha256:03
"""


def distribution(folder: Path, metadata: str = "", **files: str) -> Distribution:
    place = folder / "alpha-1.0.dist-info"
    place.mkdir()
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\n{metadata}\n")
    for name, text in files.items():
        (place / name).write_text(text)
    (place / "RECORD").write_text("".join(f"alpha-1.0.dist-info/{name},,\n" for name in files))
    return PathDistribution(place)


def test_every_requirement_needs_one_version_a_hash_and_no_address() -> None:
    assert unpinned(read_lock(LOCK)) == []
    loose = "a>=1 --hash=sha256:0\nb==1\nc==1.* --hash=sha256:0\nd @ https://x.org/d.whl --hash=sha256:0"
    assert [text[0] for text in unpinned(read_lock(loose))] == ["a", "b", "c", "d"]


def test_what_is_installed_is_what_applies_of_the_lock() -> None:
    lock = read_lock(LOCK)
    assert not_as_locked(lock, {"alpha": "1.0", "gamma-delta": "3.0", "pip": "26"}) == []
    assert not_as_locked(lock, {"alpha": "1.1", "beta": "2.0"}) == [
        "alpha 1.1 is installed, 1.0 is locked",
        "beta 2.0 is in no lock",
        "gamma-delta 3.0 is not installed",
    ]


def test_a_file_that_is_not_what_its_wheel_recorded_is_named(tmp_path: Path) -> None:
    found = distribution(tmp_path)
    code = tmp_path / "alpha.py"
    code.write_text("print(1)\n")
    # sha256sum of that line, as wheels write it.
    record = "alpha.py,sha256=zEIVUIj8pXMHWNtysqW8ozESqUHfqi1DCY7EIs5OohM,9\nalpha.pyc,,\n"
    (tmp_path / "alpha-1.0.dist-info" / "RECORD").write_text(record)
    before = changed_files([found])
    code.write_text("print(2)\n")
    assert (before, changed_files([found])) == (([], 1), (["alpha: alpha.py"], 1))
    code.unlink()
    assert changed_files([found])[0] == ["alpha: alpha.py"]


@pytest.mark.parametrize(
    ("metadata", "text", "licence", "may"),
    [
        ("License-Expression: MIT OR GPL-3.0-only", "", "MIT OR GPL-3.0-only", True),
        ("License-Expression: MIT AND GPL-3.0-only", "", "MIT AND GPL-3.0-only", False),
        ("License-Expression: Apache-2.0 WITH LLVM-exception", "", "Apache-2.0 WITH LLVM-exception", True),
        ("Classifier: License :: OSI Approved :: BSD License\nLicense: see file", "", "BSD-3-Clause", True),
        ("Classifier: License :: Other/Proprietary License", "", "Other/Proprietary License", False),
        ("License: Apache License, Version 2.0", "", "Apache-2.0", True),
        ("License: Proprietary", "", "Proprietary", False),
        ("", "Permission is hereby granted, free of charge, to any person obtaining", "MIT", True),
        ("", "Commons Clause. Apache License", "Apache-2.0 with Commons Clause", False),
        ("", "All rights reserved", "not told", False),
        ("", "", "not told", False),
    ],
)
def test_a_licence_is_told_by_metadata_or_text_and_is_allowed_or_not(
    tmp_path: Path, metadata: str, text: str, licence: str, may: bool
) -> None:
    found = distribution(tmp_path, metadata, **({"LICENSE": text} if text else {}))
    assert licence_of(found) == licence
    assert not_allowed([found]) == ([] if may else [f"alpha 1.0: {licence}"])


@pytest.mark.parametrize(
    ("expression", "may"),
    [
        ("(MIT OR GPL-3.0-only) AND ISC", True),
        ("MIT OR (ISC AND GPL-3.0-only)", True),
        ("GPL-3.0-only", False),
    ],
)
def test_an_expression_is_read_as_logic(expression: str, may: bool) -> None:
    assert allowed(expression) is may


class Service:
    """A pip-audit that answers for each package as it is told."""

    def __init__(self, known: dict[str, list[str]]) -> None:
        self.known = known
        self.asked: list[list[str]] = []

    def __call__(self, arguments: Sequence[str]) -> tuple[int, str, str]:
        text = Path(arguments[arguments.index("--requirement") + 1]).read_text()
        names = [requirement.name for requirement, _ in read_lock(text)]
        self.asked.append(names)
        found = [self.dependency(name) for name in names]
        return int(any(entry.get("vulns") for entry in found)), json.dumps({"dependencies": found}), ""

    def dependency(self, name: str) -> dict[str, Any]:
        if name not in self.known:
            return {"name": name, "skip_reason": "Dependency not found on PyPI"}
        faults = [{"id": fault, "fix_versions": ["9.9"]} for fault in self.known[name]]
        return {"name": name, "version": "1", "vulns": faults}


def test_known_vulnerabilities_are_named() -> None:
    service = Service({"alpha": [], "beta": [], "gamma-delta": ["PYSEC-1"]})
    found = look(LOCK, service="pypi", run=service)
    assert found.vulnerable == ("gamma-delta 1: PYSEC-1, mended in 9.9",)
    assert (found.audited, found.why_not) == (3, "")
    clean = look(LOCK, service="pypi", run=Service({"alpha": [], "beta": [], "gamma-delta": []}))
    assert (clean.vulnerable, clean.audited, clean.why_not) == ((), 3, "")


def test_a_service_that_knows_nothing_says_nothing_is_wrong_and_that_is_no_answer() -> None:
    service = Service({})
    found = look(LOCK, service="pypi", run=service)
    assert found.why_not == "pypi does not know 1 of 1 packages (alpha)"
    # One was enough to know: the others were not asked about.
    assert service.asked == [["alpha"]]
    partly = look(LOCK, service="pypi", run=Service({"alpha": [], "gamma-delta": ["PYSEC-1"]}))
    assert partly.why_not == "pypi does not know 1 of 3 packages (beta)"
    assert partly.vulnerable == ("gamma-delta 1: PYSEC-1, mended in 9.9",)


def test_a_service_that_cannot_be_reached_is_told_in_the_tools_words() -> None:
    found = look(LOCK, service="osv", run=lambda _: (1, "", "Traceback\nConnectionError: no such host\n"))
    assert found.why_not == "pip-audit ended with 1: ConnectionError: no such host"
