"""``mnemo data ingest | discover | universe | series | compare``: exchanges and other sources."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from lab.cli.data import column_mapping
from lab.cli.shell import Json, Root, emit, progress, root_folder, table
from lab.core.errors import ConfigError, VenueError

__all__ = ["register"]

Venue = Annotated[str, typer.Argument(help="CCXT's id of the exchange, such as binance.")]
BaseUrl = Annotated[
    str | None,
    typer.Option("--base-url", help="Another host that speaks its protocol; plain http only to loopback."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to ``mnemo data``."""
    app.command(
        epilog="Example: mnemo data ingest binance BTC/USDT ETH/USDT --timeframe 1d --since 2020-01-01"
    )(ingest)
    app.command(epilog="Example: mnemo data discover binance --json")(discover)
    app.command(epilog="Example: mnemo data universe --at 2022-05-01 --min-quote-volume 1000000")(universe)
    app.command(epilog="Example: mnemo data series funding funding.parquet --exchange binance")(series)
    app.command(epilog="Example: mnemo data compare first.parquet second.parquet --json")(compare)


def ingest(
    exchange: Venue,
    symbols: Annotated[list[str] | None, typer.Argument(help="Unified symbols, such as BTC/USDT.")] = None,
    universe: Annotated[
        Path | None, typer.Option("--universe", help="YAML file with symbols, and exchange and timeframe.")
    ] = None,
    timeframe: Annotated[str | None, typer.Option("--timeframe", help="Length of a bar: 1m … 1w.")] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", help="First opening time, UTC; default: after the stored bars."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--until", help="Opening times before this, UTC; default: all that closed."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Ask for stored bars, too, in order to find revised ones.")
    ] = False,
    base_url: BaseUrl = None,
    root: Root = Path(),
    json: Json = False,
) -> None:
    """Download complete bars; stop it whenever you like, the same command goes on where it was."""
    from lab.data.download import download
    from lab.data.download_client import connect

    names, length = _wanted(exchange, symbols or [], universe, timeframe)
    derivatives = any(":" in name for name in names)
    _quiet_retries()
    feed = connect(exchange, base_url=base_url, derivatives=derivatives)
    with progress() as report:
        verdicts = download(
            feed,
            names,
            length,
            root=root_folder(root),
            since=_instant("--since", since),
            until=_instant("--until", until),
            again=again,
            progress=report,
        )
    rows = [verdict.to_dict() for verdict in verdicts]
    columns = ["market", "timeframe", "status", "pages", "bars", "first", "last", "missing"]
    emit(rows, as_json=json, show=lambda: table("Download", columns, [[r[c] for c in columns] for r in rows]))
    failed = [verdict for verdict in verdicts if not verdict.ok]
    for verdict in verdicts:
        if verdict.missing:
            start, bars = verdict.gaps[0]
            typer.echo(
                f"note: {verdict.market} {verdict.timeframe}: the exchange did not give {verdict.missing} "
                f"bars (first {start:%Y-%m-%d %H:%M}Z, {bars} in a row)",
                err=True,
            )
    if failed:
        raise VenueError("\n".join(verdict.error for verdict in failed))


def discover(exchange: Venue, base_url: BaseUrl = None, root: Root = Path(), json: Json = False) -> None:
    """Ask an exchange for its markets, rules and timeframes, and keep the answer with its time."""
    from lab.data.discovery import discover as ask
    from lab.data.download_client import connect

    _quiet_retries()
    found = ask(connect(exchange, base_url=base_url), root=root_folder(root))
    visit = found.visit
    summary: dict[str, Any] = {
        "exchange": visit.exchange,
        "version": visit.version,
        "time": f"{visit.time:%Y-%m-%dT%H:%M:%SZ}",
        "markets": len(found.markets),
        "active": sum(market["active"] is not False for market in found.markets.values()),
        "listed": list(visit.listed) if visit.number > 1 else [],
        "delisted": list(visit.delisted),
        "timeframes": list(found.timeframes),
    }
    columns = ["exchange", "version", "time", "markets", "active"]
    emit(summary, as_json=json, show=lambda: table("Discovery", columns, [[summary[c] for c in columns]]))


def universe(
    at: Annotated[str, typer.Option("--at", help="Instant, UTC, such as 2022-05-01.")],
    exchange: Annotated[str | None, typer.Option("--exchange", help="Only this one.")] = None,
    min_quote_volume: Annotated[
        float, typer.Option("--min-quote-volume", help="Mean per day of a liquid market, in quote currency.")
    ] = 1_000_000.0,
    days: Annotated[int, typer.Option("--days", help="Days before, for the mean.", min=1, max=365)] = 30,
    root: Root = Path(),
    json: Json = False,
) -> None:
    """List the markets that traded at an instant, those that are gone today included."""
    from lab.data.universe import universe as at_instant

    instant = _instant("--at", at)
    if instant is None:
        raise ConfigError("--at: found nothing, expected a time")
    found = at_instant(
        root_folder(root), instant, exchange=exchange, min_quote_volume=min_quote_volume, window_days=days
    )
    emit(found.to_dicts(), as_json=json, show=lambda: table("Universe", found.columns, found.rows()))


def series(
    kind: Annotated[str, typer.Argument(help="funding or onchain.")],
    files: Annotated[list[Path], typer.Argument(help="CSV or Parquet files, folders or patterns.")],
    exchange: Annotated[str | None, typer.Option("--exchange", help="Of symbols that name none.")] = None,
    delay_hours: Annotated[
        float | None,
        typer.Option("--delay-hours", help="From the end of a value's period to publication."),
    ] = None,
    mapping: Annotated[
        list[str] | None, typer.Option("--map", help="Column names: ts=time,symbol=asset …")
    ] = None,
    root: Root = Path(),
    json: Json = False,
) -> None:
    """Import funding rates or on-chain figures; each value is known from its publication on."""
    from dataclasses import replace

    from lab.data.reading import listed_files
    from lab.data.series import KINDS, import_series

    if kind not in KINDS:
        raise ConfigError(f"series {kind!r} unknown; expected one of {', '.join(KINDS)}")
    chosen = KINDS[kind]
    if delay_hours is not None:
        if not 0 <= delay_hours < 10_000:
            raise ConfigError(f"--delay-hours {delay_hours}: expected at least 0 and less than 10000")
        chosen = replace(chosen, delay=timedelta(hours=delay_hours))
    verdicts = import_series(
        listed_files(files),
        root=root_folder(root),
        kind=chosen,
        arrived=datetime.now(UTC),
        exchange=exchange,
        mapping=column_mapping(mapping),
    )
    rows = [verdict.to_dict() for verdict in verdicts]
    columns = ["file", "status", "rows", "snapped", "revised"]
    emit(rows, as_json=json, show=lambda: table("Series", columns, [[r[c] for c in columns] for r in rows]))
    for verdict in verdicts:
        if not verdict.ok:
            typer.echo(f"error: {verdict.error}", err=True)
    if not all(verdict.ok for verdict in verdicts):
        raise typer.Exit(3)


def compare(
    first: Annotated[str, typer.Argument(help="A file of bars, or a stored market (binance:BTC/USDT).")],
    second: Annotated[str, typer.Argument(help="The other source.")],
    timeframe: Annotated[str | None, typer.Option("--timeframe", help="Of stored markets.")] = None,
    mapping: Annotated[
        list[str] | None, typer.Option("--map", help="Column names of the files: ts=open_time …")
    ] = None,
    close_tolerance: Annotated[
        float, typer.Option("--close-tolerance", help="Fraction beyond which a close is QUESTIONABLE.")
    ] = 0.005,
    volume_tolerance: Annotated[
        float, typer.Option("--volume-tolerance", help="Fraction beyond which a volume is QUESTIONABLE.")
    ] = 0.20,
    root: Root = Path(),
    json: Json = False,
) -> None:
    """Compare two sources of the same bars: what differs, and what differs too much."""
    from lab.data.comparing import compare_bars, sources

    one, two = sources(
        first, second, root=root_folder(root), timeframe=timeframe, mapping=column_mapping(mapping)
    )
    found = compare_bars(one, two, close_tolerance=close_tolerance, volume_tolerance=volume_tolerance)
    document = found.to_dict()
    columns = [name for name in document if name != "rows"]

    def show() -> None:
        table("Comparison", columns, [[document[column] for column in columns]])
        worst = found.rows.sort("quality", "volume_gap", descending=True, nulls_last=True).head(20)
        if worst.height:
            table("Largest differences", worst.columns, worst.rows())

    emit(document, as_json=json, show=show)


def _wanted(
    exchange: str, symbols: list[str], file: Path | None, timeframe: str | None
) -> tuple[list[str], str]:
    names = list(symbols)
    if file is not None:
        from lab.data.download_result import read_universe_file

        told = read_universe_file(file)
        if told.exchange not in {None, exchange}:
            raise ConfigError(f"{file}: exchange is {told.exchange}, the command line says {exchange}")
        names += told.symbols
        timeframe = timeframe or told.timeframe
    if not names:
        raise ConfigError("no symbol named; give some, such as BTC/USDT, or --universe FILE")
    if timeframe is None:
        raise ConfigError("no timeframe named; give --timeframe, such as 1d")
    return names, timeframe


def _instant(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{option} {text!r} not understood: write for example 2020-01-01 or 2020-01-01T12:00:00Z"
        ) from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _quiet_retries() -> None:
    # Its own default prints to stdout, which belongs to --json.
    import stamina.instrumentation

    stamina.instrumentation.set_on_retry_hooks([])
