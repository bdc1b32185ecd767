"""Known vulnerabilities of what is locked, as pip-audit finds them; where nobody answers, nothing is said."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

__all__ = ["Looked", "look", "pip_audit"]

_VERSION: Final = "2.10.1"
_SECONDS: Final = 900

# Runs pip-audit with arguments; returns exit code, standard output and standard error.
Run = Callable[[Sequence[str]], tuple[int, str, str]]


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found; `why_not` says of what nothing could be, and is empty where all was looked at."""

    vulnerable: tuple[str, ...] = ()
    audited: int = 0
    why_not: str = ""


def pip_audit(arguments: Sequence[str]) -> tuple[int, str, str]:
    """Run pip-audit: the one on the path, else one that uv fetches for the occasion."""
    own = shutil.which("pip-audit")
    uv = str(Path(sys.executable).with_name("uv"))
    command = (
        [own] if own else [uv, "tool", "run", "--quiet", "--from", f"pip-audit=={_VERSION}", "pip-audit"]
    )
    try:
        done = subprocess.run(
            [*command, *arguments], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, "", f"{type(error).__name__}: pip-audit did not run to its end"
    return done.returncode, done.stdout, done.stderr


def look(lock: str, *, service: str, run: Run = pip_audit) -> Looked:
    """Ask a vulnerability service about every requirement of a lock file.

    One requirement is asked about first. pip-audit calls a package clean that the service does not know, and
    ends with 0: where an index has packages and no vulnerabilities, all of them would be.

    Parameters
    ----------
    lock : str
        The lock file's text.
    service : str
        ``pypi`` or ``osv``.
    run : callable, optional
    """
    first = _first(lock)
    probe = _asked(first, service, run)
    if probe.why_not:
        return Looked(why_not=probe.why_not)
    return _asked(lock, service, run)


def _first(lock: str) -> str:
    """Return the first requirement of a lock file, its hashes included."""
    lines = [line for line in lock.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    end = next((n for n, line in enumerate(lines[1:], 1) if not line.startswith(" ")), len(lines))
    return "\n".join(lines[:end]) + "\n"


def _asked(lock: str, service: str, run: Run) -> Looked:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text(lock)
        options = ["--requirement", str(file), "--require-hashes", "--disable-pip", "--format", "json"]
        code, output, errors = run(
            [*options, "--vulnerability-service", service, "--progress-spinner", "off"]
        )
    try:
        dependencies: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        said = errors.strip().splitlines()
        return Looked(why_not=f"pip-audit ended with {code}: {said[-1] if said else 'without a word'}")
    skipped = [found["name"] for found in dependencies if "skip_reason" in found]
    names = ", ".join(skipped[:3])
    why_not = f"{service} does not know {len(skipped)} of {len(dependencies)} packages ({names})"
    vulnerable = tuple(
        f"{found['name']} {found['version']}: {fault['id']}, mended in "
        + (", ".join(fault["fix_versions"]) or "no version")
        for found in dependencies
        for fault in found.get("vulns", ())
    )
    return Looked(vulnerable, len(dependencies) - len(skipped), why_not if skipped else "")
