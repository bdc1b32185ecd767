"""``mnemo doctor``: whether everything is in place."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from lab.cli.shell import Json, Root, emit, root_folder, table
from lab.core.errors import MnemoError

__all__ = ["register"]

_COLOURS = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("doctor", epilog="Example: mnemo doctor --json")(_doctor)


def _doctor(
    config: Annotated[
        Path | None,
        typer.Option("--config", help="A bridge.yaml: ask its exchange what the API key may do."),
    ] = None,
    root: Root = Path(),
    json: Json = False,
) -> None:
    """Look at environment, stores, disk, clock and key files; with --config at the key; changes nothing."""
    try:
        from lab.pipeline.doctor import examine

        place = root_folder(root)
        looked = examine(place, now=datetime.now(UTC), variables=os.environ, config=config)
        checks = [found.to_dict() for found in looked]
    except ImportError as error:
        # The one check that needs no library: without them nothing else can be looked at.
        found = {"name": "packages", "status": "failed", "found": str(error), "remedy": "make setup"}
        checks = [found]
    failed = [found["name"] for found in checks if found["status"] == "failed"]
    emit({"ok": not failed, "checks": checks}, as_json=json, show=lambda: _show(checks))
    if failed:
        raise MnemoError(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}")


def _show(checks: list[dict[str, Any]]) -> None:
    columns = ["check", "status", "found", "what to do"]
    rows = [[c["name"], c["status"], c["found"], c["remedy"]] for c in checks]
    table("mnemo doctor", columns, rows, colours=_COLOURS)
