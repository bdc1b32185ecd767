"""Which code produced a run."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

__all__ = ["CodeVersion", "code_version"]

_DISTRIBUTION: Final = "mnemo-quant"
_SECONDS: Final = 20


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
        Whether tracked files differ from that commit.
    """

    release: str
    commit: str | None = None
    dirty: bool = False

    def __str__(self) -> str:
        if self.commit is None:
            return self.release
        return f"{self.release}+{self.commit}{'.dirty' if self.dirty else ''}"


def code_version(folder: Path | None = None) -> CodeVersion:
    """Return the version of the code in `folder` (default: where this package lies).

    A package installed into somebody else's checkout is not mistaken for that checkout: only a repository
    that tracks `folder` counts.
    """
    place = folder or Path(__file__).resolve().parent
    release = metadata.version(_DISTRIBUTION)
    if not _git(place, "ls-files", "--", "."):
        return CodeVersion(release)
    commit = _git(place, "rev-parse", "HEAD")
    if not commit:
        return CodeVersion(release)
    top = Path(_git(place, "rev-parse", "--show-toplevel"))
    changed = _git(top, "status", "--porcelain", "--untracked-files=no")
    return CodeVersion(release, commit, bool(changed))


def _git(folder: Path, *arguments: str) -> str:
    """Return what git prints, empty when there is no git, no repository or no such thing."""
    program = shutil.which("git")
    if program is None:
        return ""
    try:
        answer = subprocess.run(
            [program, "-C", str(folder), "--no-optional-locks", *arguments],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
