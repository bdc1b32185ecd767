"""The lock file, and the environment against it."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

__all__ = ["changed_files", "inconsistent", "installed", "not_as_locked", "read_lock", "unpinned"]

# The project itself, and what a new virtual environment may bring along.
BESIDE: Final = frozenset({"mnemo-quant", "pip", "setuptools"})
_PINNED: Final = re.compile(r"==[^*,]+")


def read_lock(text: str) -> list[tuple[Requirement, int]]:
    """Return every requirement of a lock file with the number of its SHA-256 hashes.

    Raises
    ------
    ValueError
        For a line that is no requirement, such as an option or an address.
    """
    logical = text.replace("\\\n", " ").splitlines()
    entries = [line for line in logical if line.strip() and not line.lstrip().startswith("#")]
    return [(Requirement(e.partition(" --hash=")[0].strip()), e.count("--hash=sha256:")) for e in entries]


def unpinned(lock: Iterable[tuple[Requirement, int]]) -> list[str]:
    """Return the requirements without one exact version, without a hash, or from an address."""
    return [
        str(requirement)
        for requirement, hashes in lock
        if not _PINNED.fullmatch(str(requirement.specifier)) or requirement.url is not None or not hashes
    ]


def installed() -> dict[str, str]:
    """Return the version of every installed distribution by its normalised name."""
    return {canonicalize_name(found.name): found.version for found in metadata.distributions()}


def not_as_locked(lock: Iterable[tuple[Requirement, int]], have: Mapping[str, str]) -> list[str]:
    """Return what is missing here, has another version, or is in no lock.

    Parameters
    ----------
    lock : iterable
        Of :func:`read_lock`.
    have : mapping of str to str
        Installed versions by normalised name.
    """
    wanted = {
        canonicalize_name(requirement.name): str(requirement.specifier).removeprefix("==")
        for requirement, _ in lock
        if requirement.marker is None or requirement.marker.evaluate()
    }
    missing = [f"{name} {version} is not installed" for name, version in wanted.items() if name not in have]
    other = [
        f"{name} {have[name]} is installed, {version} is locked"
        for name, version in wanted.items()
        if name in have and have[name] != version
    ]
    strange = [f"{name} {have[name]} is in no lock" for name in have if name not in {*wanted, *BESIDE}]
    return sorted((*missing, *other, *strange))


def inconsistent() -> list[str]:
    """Return what installed packages ask of each other and do not get; ``uv pip check`` tells."""
    command = [str(Path(sys.executable).with_name("uv")), "pip", "check", "--python", sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return [] if done.returncode == 0 else lines or [f"uv pip check: exit code {done.returncode}"]


def changed_files(distributions: Iterable[metadata.Distribution]) -> tuple[list[str], int]:
    """Return the files that are not what their wheel recorded, and how many were looked at."""
    changed, looked = [], 0
    for found in distributions:
        for file in found.files or ():
            if file.hash is None or file.hash.mode != "sha256":
                continue
            looked += 1
            path = Path(str(found.locate_file(file)))
            if not path.is_file() or _digest(path) != file.hash.value:
                changed.append(f"{found.name}: {file}")
    return sorted(changed), looked


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
