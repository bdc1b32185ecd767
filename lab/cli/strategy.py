"""``mnemo strategy``: the families the lab knows, and what of them is switched off."""

from __future__ import annotations

from pathlib import Path

import typer

from lab.cli import flagging
from lab.cli.shell import Json, Root, emit, table

app = typer.Typer(help="Strategy families, registered strategies, flags.", no_args_is_help=True)
flagging.register(app)


@app.callback()
def group() -> None:
    """Keep ``list`` a sub-command of its own."""


@app.command("list", epilog="Example: mnemo strategy list --json")
def list_families(root: Root = Path(), json: Json = False) -> None:
    """List the registered families with version, parameters and search space."""
    from lab.pipeline.settings import family_rows

    rows = family_rows()
    emit(
        rows,
        as_json=json,
        show=lambda: table(
            "Strategy families",
            ["family", "version", "parameters", "search space"],
            [[r["family"], r["version"], _pairs(r["parameters"]), _pairs(r["space"])] for r in rows],
        ),
    )


def _pairs(mapping: dict[str, object]) -> str:
    return ", ".join(f"{key}={value}" for key, value in mapping.items())
