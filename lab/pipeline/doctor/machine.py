"""The machine: disk, clock, files that hold secrets, the browser that prints."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import stat
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from lab.pipeline.doctor.check import Check

__all__ = ["browser", "clock", "disk", "key_files", "keys"]

_FULL: Final = 0.90
_FILLING: Final = 0.80
_LEAST_FREE_BYTES: Final = 500_000_000
# A clock that jumps back shows in files that are younger than now; file systems round by less than this.
_ROUNDING: Final = timedelta(seconds=5)
_KEY_FILES: Final = (".env", ".env.*", "*.age", "*.key", "*.pem", "keys.*", "secrets.*", "passphrase*")
_NAMES_KEY_FILE: Final = re.compile(r"MNEMO_[A-Z0-9_]+_KEYS_FILE|MNEMO_KEYS_PASSPHRASE_FILE")
_KEY_FOLDERS: Final = (".", "data", "data/live", "research")


def disk(root: Path) -> Check:
    """Look at free space and at whether the root may be written to."""
    place = next(folder for folder in (root, *root.parents) if folder.exists())
    usage = shutil.disk_usage(place)
    share = 1.0 - usage.free / usage.total
    said = f"{share:.0%} used, {usage.free / 1e9:,.1f} GB free on the disk of {place}"
    if not os.access(place, os.W_OK):
        return Check(
            "disk", "failed", f"{place} is read-only", "name another --root, or change its permissions"
        )
    if share >= _FULL or usage.free < _LEAST_FREE_BYTES:
        return Check("disk", "failed", said, "'mnemo data prune --dry-run' says what may go")
    if share >= _FILLING:
        return Check("disk", "warning", said, "'mnemo data prune --dry-run' says what may go")
    return Check("disk", "ok", said)


def clock(root: Path, now: datetime) -> Check:
    """Compare the clock with the newest file under the root: a clock that jumped back shows there.

    Parameters
    ----------
    root : Path
        Folder that holds ``data/``, ``mlruns/`` and ``reports/``.
    now : datetime
        What the clock says, timezone-aware.
    """
    newest = 0.0
    for folder in ("data", "mlruns", "reports"):
        files = (path for path in (root / folder).rglob("*") if path.is_file())
        newest = max((path.stat().st_mtime for path in files), default=newest)
    known = "" if _synchronised() else "not known to be "
    said = f"{now.isoformat(timespec='seconds')}, {known}synchronised"
    ahead = timedelta(seconds=newest) - timedelta(seconds=now.timestamp())
    if ahead > _ROUNDING:
        found = f"{said}, yet a file under {root} is {ahead.total_seconds():,.0f} s younger"
        return Check("clock", "failed", found, "set the clock (timedatectl set-ntp true)")
    return Check("clock", "ok", said)


def key_files(root: Path, environment: Mapping[str, str]) -> Check:
    """Look for files with keys that others may read: under the root, and those the environment names."""
    found = sorted(
        {
            path
            for folder in _KEY_FOLDERS
            for pattern in _KEY_FILES
            for path in (root / folder).glob(pattern)
            if path.is_file()
        }
        | {Path(value) for name, value in environment.items() if _NAMES_KEY_FILE.fullmatch(name)}
    )
    if absent := [path for path in found if not path.is_file()]:
        return Check(
            "key files", "failed", f"{absent[0]} does not exist", "correct the variable that names it"
        )
    if not found:
        return Check("key files", "skipped", "none under the root; keys come from the environment")
    loose = [path for path in found if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)]
    if loose:
        said = f"others may read {', '.join(str(path) for path in loose)}"
        return Check("key files", "failed", said, f"chmod 600 {shlex.join(str(path) for path in loose)}")
    return Check("key files", "ok", f"{len(found)} files, for their owner only")


def keys(environment: Mapping[str, str]) -> Check:
    """Look whether every API key in the environment has its secret, or a file; values are never shown."""
    given = {name for name, value in environment.items() if name.startswith("MNEMO_") and value}
    names = {name.removesuffix("_API_KEY") for name in given if name.endswith("_API_KEY")}
    secrets = {name.removesuffix("_API_SECRET") for name in given if name.endswith("_API_SECRET")}
    if odd := sorted(names ^ secrets):
        said = f"{', '.join(odd)}: a key without a secret, or a secret without a key"
        return Check("keys", "failed", said, "set both MNEMO_<EXCHANGE>_API_KEY and _API_SECRET, or neither")
    files = {name.removesuffix("_KEYS_FILE") for name in given if _NAMES_KEY_FILE.fullmatch(name)}
    files.discard("MNEMO_KEYS_PASSPHRASE_FILE")
    if not names | files:
        return Check("keys", "skipped", "none in the environment; paper trading and research need none")
    told = [f"key and secret for {_exchanges(names)}"] if names else []
    told += [f"a file for {_exchanges(files - names)}"] if files - names else []
    return Check("keys", "ok", "; ".join(told))


def _exchanges(names: set[str]) -> str:
    return ", ".join(sorted(name.removeprefix("MNEMO_").lower() for name in names))


def browser(names: tuple[str, ...]) -> Check:
    """Look for the browser that prints reports as PDF."""
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        return Check("browser", "skipped", "none of the known ones: --pdf will not work, pages print by hand")
    return Check("browser", "ok", found)


def _synchronised() -> bool:
    """Whether systemd's time service has said so; other services leave no mark."""
    return Path("/run/systemd/timesync/synchronized").exists()
