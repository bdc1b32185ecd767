"""All checks of ``mnemo doctor``, in order."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path

from lab.pipeline.doctor import bridge, environment, machine, stores
from lab.pipeline.doctor.check import Check, checked
from lab.report.printing import BROWSERS

__all__ = ["examine"]

_REBUILD = "mnemo data rebuild makes the bars again from what was received"


def examine(
    root: Path, *, now: datetime, variables: Mapping[str, str], config: Path | None = None
) -> list[Check]:
    """Look at everything that a command may stumble over; changes nothing.

    Parameters
    ----------
    root : Path
        Folder that holds ``data/``, ``mlruns/`` and ``reports/``; need not exist.
    now : datetime
        What the clock says, timezone-aware.
    variables : mapping of str to str
        The environment's variables.
    config : Path, optional
        A ``bridge.yaml``: its exchange is asked what the API key may do. Left out, nothing is asked.
    """
    checkout = Path(__file__).resolve().parents[3]
    looks = (
        ("python", environment.python, "make clean setup"),
        ("packages", partial(environment.packages, checkout / "requirements.lock"), "make setup"),
        ("sqlite", environment.sqlite, "upgrade Python"),
        ("kernels", environment.kernels, "make clean setup"),
        ("bars", partial(stores.store, "bars", root / "data" / "bars", _REBUILD), _REBUILD),
        (
            "features",
            partial(stores.store, "features", root / "data" / "features", "mnemo features build CONFIG"),
            "remove data/features; it can be made again",
        ),
        ("trial ledger", partial(stores.ledger, root), "restore data/ledger from a copy"),
        ("runs", partial(stores.runs, root), "restore mlruns from a copy"),
        ("disk", partial(machine.disk, root), "name another --root"),
        ("clock", partial(machine.clock, root, now), "set the clock"),
        ("key files", partial(machine.key_files, root, variables), "chmod 600"),
        ("keys", partial(machine.keys, variables), ""),
        ("browser", partial(machine.browser, BROWSERS), ""),
    )
    found = [checked(name, look, remedy) for name, look, remedy in looks]
    return [*found, *stores.journals(root), *(bridge.keys(config, root) if config else ())]
