"""``mnemo data``: bring bars in, judge them, ask for them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from lab.cli.shell import Json, Root, emit, instant, root_folder, table
from lab.core.errors import ConfigError, MnemoError

app = typer.Typer(help="Bring bars in, judge them, ask for them.", no_args_is_help=True)

Files = Annotated[
    list[Path], typer.Argument(help="Files, folders of them, or patterns such as 'klines/*.zip'.")
]
Exchange = Annotated[
    str | None, typer.Option("--exchange", help="CCXT's id of the exchange the bars are of.")
]
Mapping = Annotated[
    list[str] | None,
    typer.Option(
        "--map", help="Column names: ts=open_time, market=symbol … Give several, or join them by commas."
    ),
]
Format = Annotated[str, typer.Option("--format", help="auto, binance, csv, freqtrade or parquet.")]

AsOf = Annotated[
    str | None, typer.Option("--as-of", help="As it was known at this time: 2024-01-31T12:00:00Z.")
]


@app.command(
    "import",
    epilog="Example: mnemo data import bars.csv --exchange binance --timeframe 1d --map ts=open_time",
)
def import_(
    files: Files,
    timeframe: Annotated[str, typer.Option("--timeframe", help="Length of a bar: 1m … 1w; checked.")],
    exchange: Exchange = None,
    mapping: Mapping = None,
    format: Format = "auto",
    strict: Annotated[bool, typer.Option("--strict", help="Refuse files that have BAD bars.")] = False,
    root: Root = Path(),
    json: Json = False,
) -> None:
    """Import files of bars; a bad file is refused with its reason and the others go on."""
    from lab.data.importing import import_files
    from lab.data.quality_file import settings_in_force
    from lab.data.reading import listed_files

    verdicts = import_files(
        listed_files(files),
        root=root_folder(root),
        exchange=exchange,
        timeframe=timeframe,
        arrived=datetime.now(UTC),
        mapping=column_mapping(mapping),
        format=format,  # type: ignore[arg-type]
        strict=strict,
        settings=settings_in_force(root_folder(root)),
    )
    columns = ["file", "status", "bars", "duplicates", "ohlc_violations", "zero_volume", "incomplete"]
    rows = [verdict.to_dict() for verdict in verdicts]
    emit(rows, as_json=json, show=lambda: table("Import", columns, [[r[c] for c in columns] for r in rows]))
    refused = [verdict for verdict in verdicts if not verdict.ok]
    for verdict in refused:
        typer.echo(f"error: {verdict.error}", err=True)
    if refused:
        raise typer.Exit(3)


@app.command(
    epilog="Example: mnemo data check --strict, or: mnemo data check bars.parquet --exchange binance"
)
def check(
    files: Annotated[list[Path] | None, typer.Argument(help="Files to judge; none: the stored bars.")] = None,
    exchange: Exchange = None,
    timeframe: Annotated[
        str | None, typer.Option("--timeframe", help="Only this one; detected in files.")
    ] = None,
    mapping: Mapping = None,
    format: Format = "auto",
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when there are BAD bars.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", help="Also write a heat map by market and month to this file.")
    ] = None,
    root: Root = Path(),
    json: Json = False,
) -> None:
    """Count what is wrong with bars: gaps, duplicates, violations, spikes, and their quality marks."""
    from feature_store.atomic import write_bytes
    from lab.data.checking import check_catalog, check_files
    from lab.data.heatmap import monthly_quality, render
    from lab.data.quality_file import settings_in_force
    from lab.data.reading import listed_files

    months: list[Any] = []
    settings = settings_in_force(root_folder(root))

    def see(marked: Any, grid: Any) -> None:
        if html is not None:
            months.append(monthly_quality(marked, grid))

    if files:
        found = check_files(
            listed_files(files),
            exchange=exchange,
            timeframe=timeframe,
            mapping=column_mapping(mapping),
            fmt=format,  # type: ignore[arg-type]
            settings=settings,
            see=see,
        )
    else:
        found = check_catalog(root_folder(root), timeframe=timeframe, settings=settings, see=see)
    if html is not None:
        write_bytes(html, render(months, title="Coverage and quality of bars").encode())
    emit(found, as_json=json, show=lambda: _show(found))
    bad = sum(record["bad"] for record in found)
    if strict and bad:
        raise MnemoError(f"{bad} BAD bars, expected none; 'mnemo data check' shows the markets")


@app.command("list", epilog="Example: mnemo data list --as-of 2024-01-31T00:00:00Z --json")
def list_(as_of: AsOf = None, root: Root = Path(), json: Json = False) -> None:
    """List the stored markets with timeframe, number of bars, first and last bar."""
    from lab.data.catalog import Catalog

    stored = Catalog(root_folder(root)).markets(as_of=instant(as_of, "--as-of"))
    emit(
        stored.to_dicts(),
        as_json=json,
        show=lambda: table("Stored bars", stored.columns, stored.rows()),
    )


@app.command(
    epilog="""Example: mnemo data sql "SELECT market, count(*) AS bars FROM bars GROUP BY market" """
)
def sql(
    query: Annotated[str, typer.Argument(help="One SELECT over the views bars, quality and markets.")],
    as_of: AsOf = None,
    root: Root = Path(),
    json: Json = False,
) -> None:
    """Ask DuckDB about the stored bars, read-only, without copying them."""
    from lab.data.sql import query as ask

    answer = ask(query, root=root_folder(root), as_of=instant(as_of, "--as-of"))
    emit(answer.to_dicts(), as_json=json, show=lambda: table("", answer.columns, answer.rows()))


def _show(records: list[dict[str, Any]]) -> None:
    columns = ["market", "timeframe", "bars", "gaps", "missing_bars", "duplicates", "ohlc_violations"]
    columns += ["zero_volume", "spikes", "good", "questionable", "bad"]
    table("Data quality", columns, [[record[column] for column in columns] for record in records])


def column_mapping(pairs: list[str] | None) -> dict[str, str]:
    """Return `--map` options as a mapping of what a column is to its name."""
    mapping: dict[str, str] = {}
    for pair in (part for text in pairs or [] for part in text.split(",")):
        name, separator, column = pair.partition("=")
        if not (name and separator and column):
            raise ConfigError(f"--map {pair!r} not understood: write target=column, for example ts=open_time")
        mapping[name.strip()] = column.strip()
    return mapping
