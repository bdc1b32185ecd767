"""What may go when: bars past their retention, leftovers, and on a full disk the files that matter least."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pydantic import Field, field_validator

from feature_store.dropping import drop_months
from lab.core.errors import ConfigError
from lab.core.settings import Section, parse_document
from lab.core.timeframe import Timeframe
from lab.data.catalog import Catalog, store_errors

__all__ = ["Pin", "Removal", "Retention", "plan", "retention_in_force", "sweep_out"]

RETENTION_FILE: Final = Path("data", "retention.yaml")
# Least critical first. Everything here can be made again; journals, ledgers, raw payloads and runs cannot.
_PURGE_ORDER: Final = ("reports", "data/features")


class Retention(Section):
    """How long bars stay, by timeframe; one that is not named stays for ever."""

    days: dict[str, int] = Field(
        default_factory=lambda: {"1m": 60, "1d": 1_825, "1w": 1_825},
        description="timeframe: days after which bars may be removed",
    )
    emergency_disk_pct: float = Field(
        0.9, gt=0, le=1, description="share of the disk from which files are purged"
    )

    @field_validator("days")
    @classmethod
    def _canonical(cls, value: dict[str, int]) -> dict[str, int]:
        if any(days < 1 for days in value.values()):
            raise ValueError("days must be at least 1")
        return {str(Timeframe.parse(name)): days for name, days in value.items()}


@dataclass(frozen=True, slots=True)
class Pin:
    """Bars that something needs: a timeframe's bars of a market between two opening times, inclusive."""

    market: str
    timeframe: str
    first: datetime
    last: datetime
    by: str


@dataclass(frozen=True, slots=True)
class Removal:
    """One thing that may go, or that stays because something pins it.

    Parameters
    ----------
    path : str
        Relative to the root; for bars ``data/bars/<dataset>/<month>``.
    bytes : int
        What that frees.
    reason : str
        Why it may go.
    pinned_by : str
        What needs it; then it stays.
    """

    path: str
    bytes: int
    reason: str
    pinned_by: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def retention_in_force(root: Path) -> Retention:
    """Return the retention under a root: ``data/retention.yaml``, or the defaults."""
    path = Path(root) / RETENTION_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Retention()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}; correct it or remove it") from None
    return parse_document(text, Retention, source=str(path))


def plan(
    root: Path,
    *,
    now: datetime,
    pins: Iterable[Pin] = (),
    used: Callable[[Path], float] | None = None,
) -> list[Removal]:
    """Return what retention and, on a full disk, need would remove; nothing is changed.

    Parameters
    ----------
    root : Path
        Folder under which ``data/`` and ``reports/`` lie.
    now : datetime
        Timezone-aware.
    pins : iterable of Pin
        What runs and bundles need: months with any of it stay.
    used : callable, optional
        Share of the disk in use at a path; default: as the system says.

    Returns
    -------
    list of Removal
        Months of bars whose last bar closed before the retention of their timeframe; from
        ``emergency_disk_pct`` of the disk on also reports and stored features, oldest first. Journals, the
        ledger, raw payloads and runs are never among them.
    """
    settings, needed = retention_in_force(root), list(pins)
    found = _old_months(Path(root), settings, now, needed)
    share = (used or _used)(Path(root))
    if share >= settings.emergency_disk_pct:
        found += _purgeable(Path(root), f"disk {share:.0%} full")
    return found


def sweep_out(root: Path, removals: Iterable[Removal]) -> list[Removal]:
    """Remove what is not pinned; return that."""
    catalog, gone = Catalog(root), []
    months: dict[str, list[str]] = {}
    for removal in removals:
        if removal.pinned_by:
            continue
        gone.append(removal)
        if removal.path.startswith("data/bars/"):
            dataset, _, month = removal.path.removeprefix("data/bars/").rpartition("/")
            months.setdefault(dataset, []).append(month)
        else:
            (Path(root) / removal.path).unlink(missing_ok=True)
    for dataset, names in months.items():
        with store_errors():
            drop_months(catalog.store, dataset, names)
    return gone


def _old_months(root: Path, settings: Retention, now: datetime, pins: list[Pin]) -> list[Removal]:
    catalog, found = Catalog(root), []
    for venue, grid in catalog.datasets():
        days = settings.days.get(str(grid))
        if days is None:
            continue
        dataset = f"{venue}/{grid}"
        with store_errors():
            manifest = catalog.store.manifest(dataset)
        # The last month stays: it says where a download goes on.
        for part in manifest.partitions[:-1] if manifest else ():
            first, last = (datetime.fromisoformat(text) for text in (part.first, part.last))
            if last + grid.duration > now - timedelta(days=days):
                continue
            size = part.bytes + (part.earlier.bytes if part.earlier else 0)
            by = next((pin.by for pin in pins if _needs(pin, venue, grid, first, last)), "")
            path = f"data/bars/{dataset}/{part.month}"
            found.append(Removal(path, size, f"{grid} bars stay {days} days", by))
    return found


def _needs(pin: Pin, venue: str, grid: Timeframe, first: datetime, last: datetime) -> bool:
    same = pin.market.startswith(f"{venue}:") and pin.timeframe == str(grid)
    return same and pin.first <= last and pin.last >= first


def _purgeable(root: Path, reason: str) -> list[Removal]:
    found = []
    for folder in _PURGE_ORDER:
        files = [path for path in (root / folder).rglob("*") if path.is_file() and path.name != "README.md"]
        for path in sorted(files, key=lambda each: (each.stat().st_mtime, str(each))):
            found.append(Removal(path.relative_to(root).as_posix(), path.stat().st_size, reason))
    return found


def _used(root: Path) -> float:
    while not root.exists():
        root = root.parent
    usage = shutil.disk_usage(root)
    return 1.0 - usage.free / usage.total
