"""The bridge's API key, as the exchange sees it: a child process asks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from lab.core.errors import MnemoError
from lab.pipeline.doctor.check import Check, Status
from lab.pipeline.processes import run_bridge

__all__ = ["key_checks", "keys"]

# Check, the code that is found where it does not pass, whether that fails, and what to do.
_LOOKS: Final[tuple[tuple[str, str, Status, str], ...]] = (
    (
        "key rights",
        "KEY_REFUSED",
        "failed",
        "trade and read only: change it at the exchange, or make another key",
    ),
    (
        "key addresses",
        "KEY_UNRESTRICTED",
        "warning",
        "bind the key to this machine's address at the exchange",
    ),
    ("key age", "KEY_OLD", "warning", "make another key, 'live-bridge keys encrypt', delete the old one"),
)


def keys(config: Path, root: Path) -> list[Check]:
    """Ask the exchange of a ``bridge.yaml`` what its API key may do, from where, and how old it is."""
    arguments = ["keys", "check", "--config", str(config), "--root", str(root)]
    try:
        return key_checks(run_bridge(arguments, codes=(0, 1)))
    except MnemoError as error:
        return [Check("bridge key", "failed", str(error), "correct it, and look again")]


def key_checks(document: Mapping[str, Any]) -> list[Check]:
    """Return the checks that a document of ``live-bridge keys check`` amounts to.

    Examples
    --------
    >>> said = {
    ...     "source": "file",
    ...     "exchange": "binance",
    ...     "ip_restricted": True,
    ...     "age_days": 3.0,
    ...     "findings": [],
    ... }
    >>> [(check.name, check.status) for check in key_checks(said)]
    [('key rights', 'ok'), ('key addresses', 'ok'), ('key age', 'ok')]
    """
    if document["source"] is None:
        return [Check("bridge key", "skipped", "none; mode: paper needs none")]
    well = {
        "key rights": f"may trade on {document['exchange']}, not withdraw",
        "key addresses": "bound to addresses",
        "key age": f"{document['age_days']} days",
    }
    checks = []
    for name, code, status, remedy in _LOOKS:
        details = [found["detail"] for found in document["findings"] if found["code"] == code]
        if details:
            checks.append(Check(name, status, "; ".join(details), remedy))
        elif name == "key age" and document["age_days"] is None:
            checks.append(Check(name, "skipped", "the exchange does not tell it"))
        else:
            checks.append(Check(name, "ok", well[name]))
    return checks
