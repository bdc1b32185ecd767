"""The model registry: runs of strategies under a name, with versions and aliases; never a pickle."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lab.core.errors import ConfigError
from lab.tracking.record import TrackedRun
from lab.tracking.store import RunStore
from lab.tracking.tracker import Tracker

__all__ = ["RegisteredStrategy", "register", "registered"]

_ALIAS: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
_RESERVED: Final = re.compile(r"latest|v\d+", re.IGNORECASE)
_TAGS: Final = (
    "kind",
    "family",
    "strategy_version",
    "config_version",
    "config_hash",
    "data_hash",
    "code_version",
    "code_dirty",
    "seed",
    "engine_difference",
    "ledger_head",
)
_FIGURES: Final = ("sharpe", "deflated_sharpe", "n_trials", "pbo", "max_drawdown")


@dataclass(frozen=True, slots=True)
class RegisteredStrategy:
    """A version of a strategy in the registry.

    Attributes
    ----------
    name : str
        The strategy's or portfolio's id.
    version : int
        Counts from 1 for each name.
    aliases : tuple of str
        Names that point to this version: ``candidate``, ….
    run_id : str
        The run whose artifacts it is.
    """

    name: str
    version: int
    aliases: tuple[str, ...]
    run_id: str

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "name": self.name,
            "version": self.version,
            "aliases": list(self.aliases),
            "run_id": self.run_id,
        }


def register(run_id: str, *, root: Path, alias: str = "candidate") -> RegisteredStrategy:
    """Enter a run's strategy into the registry and point `alias` to it.

    The entry's source is the folder of the run's artifacts: configuration, result and tables; nothing is
    copied or pickled. A run that is registered already keeps its version.

    Parameters
    ----------
    run_id : str
        Of a backtest or a tune that is complete.
    root : Path
    alias : str
        Letters, digits, dash and underscore.

    Raises
    ------
    ConfigError
        If no run has that id, it is a part of a run, is not complete or FAILED, or the alias is no name.
    """
    if not _ALIAS.fullmatch(alias) or _RESERVED.fullmatch(alias):
        raise ConfigError(
            f"alias {alias!r}: expected at most 255 letters, digits, dashes and underscores, and neither "
            "'latest' nor a version such as 'v1', which name versions by themselves"
        )
    run = Tracker(root).load_run(run_id)
    if run.parent is not None or run.status != "FINISHED":
        what = f"a part of run {run.parent}" if run.parent is not None else f"marked {run.status}"
        raise ConfigError(
            f"run {run_id} is {what}; only a whole backtest or tune that finished can be registered"
        )
    store = RunStore(root)
    with store.alone():
        client = store.open()
        version = _version(client, run, store.artifact_folder(run_id).as_uri())
        client.set_registered_model_alias(run.name, alias, version)
        entry = _entry(client.get_model_version(run.name, version))
        store.settle()
    return entry


def registered(root: Path) -> list[RegisteredStrategy]:
    """Return every registered version, by name, newest first."""
    store = RunStore(root)
    if not store.database.exists():
        return []
    client = store.open()
    names = sorted(model.name for model in client.search_registered_models())
    found = [version for name in names for version in client.search_model_versions(f"name = '{name}'")]
    entries = [_entry(client.get_model_version(one.name, one.version)) for one in found]
    return sorted(entries, key=lambda entry: (entry.name, -entry.version))


def _version(client: Any, run: TrackedRun, source: str) -> str:
    """Return the version that the run has, or a new one."""
    if not client.search_registered_models(f"name = '{run.name}'"):
        client.create_registered_model(run.name, tags={"family": run.tags.get("family", "")})
    for known in client.search_model_versions(f"name = '{run.name}'"):
        if known.run_id == run.run_id:
            return str(known.version)
    figures = {name: repr(run.metrics[name]) for name in _FIGURES if name in run.metrics}
    tags = {name: run.tags[name] for name in _TAGS if name in run.tags}
    said = ", ".join(f"{name} {run.metrics[name]:.4g}" for name in figures)
    made = client.create_model_version(
        run.name,
        source=source,
        run_id=run.run_id,
        tags={**tags, **figures},
        description=f"{run.kind} of {run.started:%Y-%m-%d %H:%M}Z: {said}. Parameters: {_text(run)}.",
    )
    return str(made.version)


def _text(run: TrackedRun) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(run.params.items()))


def _entry(version: Any) -> RegisteredStrategy:
    return RegisteredStrategy(
        version.name, int(version.version), tuple(sorted(version.aliases)), version.run_id
    )
