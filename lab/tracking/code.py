"""Which code produced a run."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Final

from lab.core.hashing import digest

__all__ = ["CodeVersion", "code_version"]

_DISTRIBUTION: Final = "mnemo-quant"
_SECONDS: Final = 20
_PACKAGES: Final = ("lab", "feature_store")
_DIFF: Final = ("diff", "--binary", "--no-color", "--no-ext-diff")
_SOURCES: Final = frozenset({".py", ".yaml"})


@dataclass(frozen=True, slots=True)
class CodeVersion:
    """Version of the code that is running.

    Parameters
    ----------
    release : str
        Version of the installed package.
    commit : str or None
        Git commit, 40 hex digits, where the code runs from a checkout.
    dirty : bool
        Whether tracked files differ from that commit, or source files were added to it.
    patch : str
        What they differ by, as ``git apply`` takes it; empty where nothing does.
    """

    release: str
    commit: str | None = None
    dirty: bool = False
    patch: str = field(default="", repr=False)

    def __str__(self) -> str:
        if self.commit is None:
            return self.release
        patched = digest(self.patch.encode("utf-8", "surrogateescape"))[:8] if self.patch else ""
        return ".".join(filter(None, [f"{self.release}+{self.commit}", "dirty" * self.dirty, patched]))


def code_version(folder: Path | None = None) -> CodeVersion:
    """Return the version of the code in `folder` (default: where this package lies).

    A package installed into somebody else's checkout is not mistaken for that checkout: only a repository
    that tracks `folder` counts. A new file is part of the code where it lies among the packages: a strategy
    that was not committed yet runs like any other.
    """
    place = (folder or Path(__file__).parent).resolve()
    release = metadata.version(_DISTRIBUTION)
    if not _git(place, "ls-files", "--", "."):
        return CodeVersion(release)
    commit = _git(place, "rev-parse", "HEAD").strip()
    if not commit:
        return CodeVersion(release)
    top = Path(_git(place, "rev-parse", "--show-toplevel").strip())
    patch = _git(top, *_DIFF, "HEAD") + "".join(_added(top, name) for name in _new(top, place))
    return CodeVersion(release, commit, bool(patch), patch)


def _new(top: Path, place: Path) -> list[str]:
    """Return source files beside the tracked ones of the packages."""
    packages = {place.relative_to(top).parts[0] if place != top else ".", *_PACKAGES}
    there = sorted(name for name in packages if (top / name).is_dir())
    listed = _git(top, "ls-files", "--others", "--exclude-standard", "-z", "--", *there)
    return [name for name in listed.split("\0") if Path(name).suffix in _SOURCES]


def _added(top: Path, name: str) -> str:
    return _git(top, *_DIFF, "--no-index", "--", os.devnull, name, success=(1,))


def _git(folder: Path, *arguments: str, success: tuple[int, ...] = (0,)) -> str:
    """Return what git prints, empty when there is no git, no repository or no such thing."""
    program = shutil.which("git")
    if program is None:
        return ""
    try:
        answer = subprocess.run(
            [program, "-C", str(folder), "--no-optional-locks", "-c", "core.quotepath=off", *arguments],
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout if answer.returncode in success else ""
