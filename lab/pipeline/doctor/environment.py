"""The interpreter, the installed packages against the lock, the compiled kernels."""

from __future__ import annotations

import os
import re
import sqlite3
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Final

import polars as pl

from lab.core.frames import TS
from lab.pipeline.doctor.check import Check

__all__ = ["kernels", "locked_versions", "packages", "python", "sqlite"]

_DISTRIBUTION: Final = "mnemo-quant"
_OLDEST_PYTHON: Final = (3, 11)
_OLDEST_SQLITE: Final = (3, 38)
_PINNED: Final = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)")
_SHOWN: Final = 5


def python() -> Check:
    """Look at the interpreter's version."""
    found = sys.version.split()[0]
    if sys.version_info[:2] < _OLDEST_PYTHON:
        return Check("python", "failed", found, "install Python 3.11 or newer, then 'make clean setup'")
    return Check("python", "ok", f"{found} at {sys.executable}")


def locked_versions(text: str) -> dict[str, set[str]]:
    r"""Return the versions that a lock file allows, by normalised name: several where markers differ.

    Examples
    --------
    >>> lock = "numpy==2.4 ; python_version < '3.12'\nnumpy==2.5\n    --hash=sha256:0\nTa_Lib==0.8"
    >>> {name: sorted(versions) for name, versions in locked_versions(lock).items()}
    {'numpy': ['2.4', '2.5'], 'ta-lib': ['0.8']}
    """
    allowed: dict[str, set[str]] = {}
    for line in text.splitlines():
        if found := _PINNED.match(line):
            allowed.setdefault(_normal(found["name"]), set()).add(found["version"])
    return allowed


def packages(lock: Path, installed: Mapping[str, str] | None = None) -> Check:
    """Compare installed versions with the lock file, and look for what the project needs and lacks.

    Parameters
    ----------
    lock : Path
        The lock file.
    installed : mapping of str to str, optional
        Versions by name; those of this environment by default.
    """
    remedy = "make setup"
    if installed is None:
        installed = {found.metadata["Name"]: found.version for found in metadata.distributions()}
    have = {_normal(name): version for name, version in installed.items()}
    missing = sorted(_needed() - have.keys())
    if missing:
        return Check("packages", "failed", f"missing: {', '.join(missing)}", remedy)
    if not lock.is_file():
        return Check("packages", "warning", f"{len(have)} installed; no {lock.name} to compare with", "")
    allowed = locked_versions(lock.read_text(encoding="utf-8"))
    other = [
        f"{name} {version} (lock: {' or '.join(sorted(allowed[name]))})"
        for name, version in sorted(have.items())
        if name in allowed and version not in allowed[name]
    ]
    if other:
        more = f" and {len(other) - _SHOWN} more" if len(other) > _SHOWN else ""
        said = f"other versions than the lock: {', '.join(other[:_SHOWN])}{more}"
        return Check(
            "packages", "failed", said, f"{remedy}; results may differ in their last bits until then"
        )
    same = sum(name in allowed for name in have)
    return Check("packages", "ok", f"{same} as locked, {len(have) - same} not in the lock")


def sqlite() -> Check:
    """Look at SQLite, which keeps runs and journals."""
    found = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info[:2] < _OLDEST_SQLITE:
        return Check(
            "sqlite", "failed", found, "the journal's views need SQLite 3.38 or newer: upgrade Python"
        )
    return Check("sqlite", "ok", found)


def kernels() -> Check:
    """Run a compiled kernel, and look whether compiled code can be kept beside the sources."""
    from lab import features
    from lab.core.panel import Panel

    days = [datetime(2024, 1, day, tzinfo=UTC) for day in range(1, 6)]
    closes = [1.0, 2.0, 4.0, 8.0, 16.0]
    frame = pl.DataFrame({"ts": days, "market": "doctor:A/B", "close": closes}).cast({"ts": TS})
    wanted = features.mean(column="close", window=2)
    values = features.compute(Panel.from_frame(frame, timeframe="1d"), [wanted])[wanted][1:, 0].tolist()
    if values != [1.5, 3.0, 6.0, 12.0]:
        return Check("kernels", "failed", f"a mean of two bars gives {values}", "make clean setup")
    folder = Path(features.__file__).resolve().parent
    if not os.access(folder, os.W_OK):
        said = f"right, but {folder} is read-only: every process compiles anew"
        return Check(
            "kernels", "warning", said, "install as a user who may write there, or set NUMBA_CACHE_DIR"
        )
    return Check("kernels", "ok", f"compiled and right, kept under {folder}")


def _needed() -> set[str]:
    try:
        wanted = metadata.requires(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return {_DISTRIBUTION}
    names = (re.split(r"[\s\[<>=!~;(]", line, maxsplit=1)[0] for line in wanted if "extra ==" not in line)
    return {_normal(name) for name in names}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
