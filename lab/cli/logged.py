"""Commands on logged runs: export their tables, enter their strategy into the registry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lab.cli.shell import Json, Root, emit, root_folder, table

__all__ = ["register"]

RunId = Annotated[str, typer.Argument(help="Run id that backtest, tune or demo printed.")]


def register(app: typer.Typer, strategies: typer.Typer) -> None:
    """Add ``export`` to `app` and ``register`` to the sub-commands of ``strategy``."""
    app.command("export", epilog="Example: mnemo export RUN_ID --to results --format csv")(_export)
    strategies.command("register", epilog="Example: mnemo strategy register RUN_ID --alias candidate")(
        _register
    )


def _export(
    run_id: RunId,
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder for the files; default: reports/RUN_ID.")
    ] = None,
    form: Annotated[list[str] | None, typer.Option("--format", help="csv or parquet; default: both.")] = None,
    root: Root = Path(),
    json: Json = False,
) -> None:
    """Write a run's equity, weights, orders and trades as CSV and Parquet, its returns for QuantStats."""
    from lab.pipeline.exporting import export_run

    folder = root_folder(root) / "reports" / run_id if to is None else to.resolve()
    formats = tuple(form) if form else ("csv", "parquet")
    written = export_run(run_id, root=root_folder(root), folder=folder, formats=formats)
    rows: list[list[Any]] = [[name, ", ".join(files)] for name, files in written.items()]
    emit(
        {"run_id": run_id, "folder": str(folder), "files": written},
        as_json=json,
        show=lambda: table(f"{folder}", ["table", "files"], rows),
    )


def _register(
    run_id: RunId,
    alias: Annotated[str, typer.Option("--alias", help="Name that points to this version.")] = "candidate",
    root: Root = Path(),
    json: Json = False,
) -> None:
    """Enter a run's strategy into the model registry: its artifacts under a name, a version and an alias."""
    from lab.tracking import register as enter

    entry = enter(run_id, root=root_folder(root), alias=alias)
    emit(
        entry.document(),
        as_json=json,
        show=lambda: typer.echo(
            f"{entry.name} version {entry.version} ({', '.join(entry.aliases)}): run {entry.run_id}"
        ),
    )
