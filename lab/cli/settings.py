"""``mnemo config``: what is in force, and the schema of every file a user writes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lab.cli.shell import Json, Root, emit, root_folder

app = typer.Typer(help="Settings in force, and schemas of the files a user writes.", no_args_is_help=True)


@app.command(epilog="Example: mnemo config show research/strategies/demo_tsm_1d.yaml")
def show(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="A strategy, portfolio, campaign, universe or bridge file; none: quality and retention."
        ),
    ] = None,
    root: Root = Path(),
    json: Json = False,
) -> None:
    """Print settings with every default filled in; those of the root as its files override them."""
    import yaml

    from lab.pipeline.settings import in_force

    document = in_force(file, root=root_folder(root))
    emit(document, as_json=json, show=lambda: typer.echo(yaml.safe_dump(document, sort_keys=False), nl=False))


@app.command(epilog="Example: mnemo config schema strategy > strategy.schema.json")
def schema(
    kind: Annotated[
        str,
        typer.Argument(
            help="strategy, portfolio, campaign, universe, bridge, quality, outages or retention."
        ),
    ],
    root: Root = Path(),
    json: Json = True,
) -> None:
    """Print the JSON schema of a kind of file; it is JSON with and without --json."""
    from lab.pipeline.settings import schema_of

    emit(schema_of(kind), as_json=True, show=lambda: None)
