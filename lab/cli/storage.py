"""``mnemo data resample | rebuild | compact | prune | index``: what is done to bars that are stored."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from lab.cli.data import column_mapping
from lab.cli.shell import Json, Root, emit, progress, root_folder, table
from lab.core.errors import ConfigError, MnemoError

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands to ``mnemo data``."""
    app.command(epilog=_RESAMPLE)(resample)
    app.command(epilog="Example: mnemo data rebuild --dry-run")(rebuild)
    app.command(epilog="Example: mnemo data compact --json")(compact)
    app.command(epilog="Example: mnemo data prune --dry-run")(prune)
    app.command(epilog="Example: mnemo data index --json")(index)


_RESAMPLE = (
    "Example: mnemo data resample --from 1h --to 1d --dry-run, or: mnemo data resample "
    "--trades trades.parquet --exchange binance --to 1m"
)


def resample(
    to: Annotated[str, typer.Option("--to", help="Length of the bars wanted.")],
    source: Annotated[str | None, typer.Option("--from", help="Length of the stored bars.")] = None,
    trades: Annotated[Path | None, typer.Option("--trades", help="A file of trades instead.")] = None,
    exchange: Annotated[str | None, typer.Option("--exchange", help="Only this one.")] = None,
    market: Annotated[list[str] | None, typer.Option("--market", help="Only these; several.")] = None,
    mapping: Annotated[
        list[str] | None, typer.Option("--map", help="Columns of the trades: ts=…, symbol=…, price=…")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare only; store nothing.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when stored bars differ.")] = False,
    root: Root = Path(),
    json: Json = False,
) -> None:
    """Make coarser bars of stored ones, or bars of trades: whole ones only, never replacing stored bars."""
    from lab.data.resampling import resample as make
    from lab.data.resampling import resample_trades

    where, now = root_folder(root), datetime.now(UTC)
    if (source is None) == (trades is None):
        raise ConfigError("give either --from TIMEFRAME (stored bars) or --trades FILE")
    if trades is not None:
        found = resample_trades(
            trades,
            root=where,
            target=to,
            exchange=exchange,
            arrived=now,
            mapping=column_mapping(mapping),
            store=not dry_run,
        )
    else:
        found = make(
            root=where,
            source=str(source),
            target=to,
            arrived=now,
            exchange=exchange,
            markets=market or (),
            store=not dry_run,
        )
    rows = [record.to_dict() for record in found]
    columns = ["market", "timeframe", "made", "partial", "equal", "different", "new", "first_difference"]
    total = {name: sum(row[name] for row in rows) for name in columns[2:7]}
    shown = [[row[name] for name in columns] for row in [*rows, {**dict.fromkeys(columns, ""), **total}]]
    shown[-1][0] = "all"
    emit(rows, as_json=json, show=lambda: table("Resampled bars", columns, shown))
    if strict and total["different"]:
        raise MnemoError(f"{total['different']} bars differ from those stored, expected none")


def rebuild(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare only; restore nothing.")] = False,
    root: Root = Path(),
    json: Json = False,
) -> None:
    """Make the bars again from what was received; put damaged or missing months back, byte for byte."""
    from lab.data.rebuilding import rebuild_bars

    with progress() as report:
        rows = [
            found.to_dict() for found in rebuild_bars(root_folder(root), dry_run=dry_run, progress=report)
        ]
    columns = ["dataset", "months", "identical", "damaged", "restored", "differing"]
    shown = [[_joined(row[name]) for name in columns] for row in rows]
    emit(rows, as_json=json, show=lambda: table("Rebuilt from what was received", columns, shown))


def compact(root: Root = Path(), json: Json = False) -> None:
    """Move the newest bars from their small file into the files of their months."""
    from lab.data.catalog import Catalog

    moved = Catalog(root_folder(root)).compact()
    rows = [[row["dataset"], row["rows"]] for row in moved]
    emit(moved, as_json=json, show=lambda: table("Moved into months", ["dataset", "rows"], rows))


def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show only; remove nothing.")] = False,
    root: Root = Path(),
    json: Json = False,
) -> None:
    """Remove bars past their retention (data/retention.yaml), and on a full disk what can be made again."""
    from lab.data.housekeeping import plan, sweep_out
    from lab.tracking.pins import pinned_by_runs

    where = root_folder(root)
    found = plan(where, now=datetime.now(UTC), pins=pinned_by_runs(where))
    if not dry_run:
        sweep_out(where, found)
    rows = [removal.to_dict() | {"removed": not (dry_run or removal.pinned_by)} for removal in found]
    columns = ["path", "bytes", "reason", "pinned_by", "removed"]
    shown = [[row[name] for name in columns] for row in rows]
    emit(rows, as_json=json, show=lambda: table("Housekeeping", columns, shown))


def index(root: Root = Path(), json: Json = False) -> None:
    """Bring the index of all files up to date (data/index.sqlite) and print it."""
    from lab.data.artifacts import index_artifacts

    rows = index_artifacts(root_folder(root), now=datetime.now(UTC))
    columns = ["path", "bytes", "modified", "sha256", "tags"]
    shown = [
        [row["path"], row["bytes"], row["modified"], row["sha256"][:12], _joined(row["tags"])] for row in rows
    ]
    emit(rows, as_json=json, show=lambda: table("Artifacts", columns, shown))


def _joined(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else value
