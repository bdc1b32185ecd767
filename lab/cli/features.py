"""``mnemo features``: build, list, verify and trace stored features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lab.cli.shell import Json, Root, Seed, emit, progress, root_folder, table
from lab.core.errors import MnemoError

app = typer.Typer(help="Build, list, verify and trace stored features.", no_args_is_help=True)


@app.command(epilog="Example: mnemo features build research/strategies/demo_tsm_1d.yaml")
def build(
    config: Annotated[Path, typer.Argument(help="Strategy file whose features are built.")],
    full: Annotated[bool, typer.Option("--full", help="Write everything anew.")] = False,
    root: Root = Path(),
    json: Json = False,
) -> None:
    """Bring a strategy's stored features up to its stored bars: new, late and revised ones only."""
    from dataclasses import asdict

    from lab.pipeline.features import build as run

    document = asdict(run(config, root=root_folder(root), full=full))
    rows = [[key, value] for key, value in document.items()]
    emit(document, as_json=json, show=lambda: table(f"Features of {config.stem}", ["", "value"], rows))


@app.command("list", epilog="Example: mnemo features list --json")
def list_(root: Root = Path(), json: Json = False) -> None:
    """List the stored features with timeframe, lookback, rows and range, and whether their code changed."""
    from lab.pipeline.features import stored_features

    found = stored_features(root_folder(root))
    columns = ["feature", "timeframe", "lookback", "markets", "rows", "first", "last", "code"]
    emit(
        found,
        as_json=json,
        show=lambda: table("Stored features", columns, [[row[key] for key in columns] for row in found]),
    )


@app.command(epilog="Example: mnemo features verify --timeframe 1d --json")
def verify(
    timeframe: Annotated[str | None, typer.Option("--timeframe", help="Only this one.")] = None,
    market: Annotated[
        list[str] | None, typer.Option("--market", help="Only these; default: all stored ones.")
    ] = None,
    only: Annotated[str | None, typer.Option("--only", help="Features whose name contains this.")] = None,
    bars: Annotated[int | None, typer.Option("--bars", min=1, help="Only this many last bars.")] = None,
    root: Root = Path(),
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Prove on the stored bars that every registered feature is the same number whichever way it is made.

    At every bar, to the last bit: computed from the full history, from its last window alone, and through
    the store in pieces with late and revised bars. Also compares what 'mnemo features build' has stored.
    """
    from lab.pipeline.verification import verify_features

    with progress() as report:
        found = verify_features(
            root_folder(root),
            timeframe=timeframe,
            markets=market or None,
            only=only,
            bars=bars,
            seed=seed,
            progress=report,
        )
    columns = ["feature", "timeframe", "markets", "lookback", "bars_checked", "tail_mismatches"]
    columns += ["incremental_mismatches", "stored_mismatches", "max_ulp"]
    emit(
        found,
        as_json=json,
        show=lambda: table("Features", columns, [[row[key] for key in columns] for row in found]),
    )
    wrong = [row for row in found if row["max_ulp"] or row["first"]]
    if wrong:
        raise MnemoError("\n".join(_described(row) for row in wrong))


@app.command(epilog="Example: mnemo features lineage volatility --timeframe 1d")
def lineage(
    feature: Annotated[str, typer.Argument(help="Name, or whole key as 'mnemo features list' prints it.")],
    timeframe: Annotated[str | None, typer.Option("--timeframe", help="Only this one.")] = None,
    root: Root = Path(),
    json: Json = False,
) -> None:
    """Show what a stored feature was made from: definition, code, bars and received files, by month."""
    from lab.pipeline.features import lineage as trace

    found = trace(root_folder(root), feature, timeframe=timeframe)
    emit(found, as_json=json, show=lambda: _show(found))


def _show(found: list[dict[str, Any]]) -> None:
    for made in found:
        typer.echo(f"{made['feature']} on {made['timeframe']}: reads {', '.join(made['reads'])}")
        typer.echo(f"  code {made['code'][:12]} ({made['code_state']}), {len(made['functions'])} functions")
        rows = [
            [
                part["month"],
                part["rows"],
                (part["sha256"] or "-")[:12],
                ", ".join(each[:12] for each in part["inputs"]),
                ", ".join(each[:12] for each in part["received"]) or "-",
            ]
            for part in made["partitions"]
        ]
        table(made["dataset"], ["month", "rows", "file", "bars", "received files"], rows)


def _described(row: dict[str, Any]) -> str:
    return (
        f"feature {row['feature']} on {row['timeframe']}: {row['tail_mismatches']} tails, "
        f"{row['incremental_mismatches']} incremental and {row['stored_mismatches'] or 0} stored values "
        f"differ from the full history by up to {row['max_ulp']} ulp, first {row['first']}"
    )
