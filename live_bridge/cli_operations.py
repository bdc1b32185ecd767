"""Commands of ``live-bridge`` beside the tick: health, watch, replay, backup, restore."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Event
from typing import Annotated

import typer

from live_bridge.cli_options import Config, Json, Root, show

__all__ = ["register"]


_EXAMPLE = "research/bridge.example.yaml"


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command("health", epilog=f"Example: live-bridge health --config {_EXAMPLE}")(health_command)
    app.command("history", epilog=f"Example: live-bridge history --config {_EXAMPLE} --json")(history_command)
    app.command("watch", epilog=f"Example: live-bridge watch --config {_EXAMPLE} --delay 5")(watch_command)
    app.command("replay", epilog=f"Example: live-bridge replay demo-20190701T000000Z-1 --config {_EXAMPLE}")(
        replay_command
    )
    app.command("backup", epilog=f"Example: live-bridge backup --config {_EXAMPLE} --to copy.sqlite")(
        backup_command
    )
    app.command("restore", epilog=f"Example: live-bridge restore --config {_EXAMPLE} --from copy.sqlite")(
        restore_command
    )


def health_command(config: Config, root: Root = Path(), as_json: Json = False) -> None:
    """Check exchange, clock, data, disk and journal; exit 1 when anything is not well."""
    from live_bridge.config import load_config
    from live_bridge.monitoring.health import check_health, health_document
    from live_bridge.runner import through_ccxt

    loaded = load_config(config, root=root, environment=os.environ)
    checks = check_health(loaded, connect=partial(through_ccxt, loaded), local_now=partial(datetime.now, UTC))
    document = health_document(checks)
    width = max(len(check.name) for check in checks)
    lines = [
        f"{'ok  ' if check.ok else 'FAIL'}  {check.name:<{width}}  {check.found}"
        + ("" if check.ok else f" (expected {check.expected})")
        for check in checks
    ]
    show(document, lines, as_json=as_json)
    raise typer.Exit(0 if document["healthy"] else 1)


def history_command(config: Config, root: Root = Path(), as_json: Json = False) -> None:
    """List every finished tick since the account began; asks no exchange."""
    from live_bridge.tick_history import history

    document = history(config, root=root)
    lines = [
        "{now}  {0:>3} orders, equity {1:,.2f}: {tick}".format(
            len(tick["orders"]), tick["state"]["equity"], **tick
        )
        for tick in document["ticks"]
    ]
    show(document, [*lines, f"{len(lines)} ticks since {document['opened']['at']}"], as_json=as_json)


def watch_command(
    config: Config,
    root: Root = Path(),
    delay: Annotated[float, typer.Option(min=0.0, max=86_400.0, help="Seconds after a bar's close.")] = 2.0,
    ticks: Annotated[int | None, typer.Option(min=1, help="Stop after this many ticks.")] = None,
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Serve /metrics on 127.0.0.1 at this port.")
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Passed on to every tick.")] = False,
) -> None:
    """Run a tick at every bar close by the exchange's clock, each in its own process, until told to stop."""
    from lab.strategies import load_portfolio
    from live_bridge.config import load_config
    from live_bridge.monitoring.serving import metrics_server
    from live_bridge.runner import through_ccxt
    from live_bridge.watch import tick_process, watch

    loaded = load_config(config, root=root, environment=os.environ)
    timeframes = [instance.timeframe for instance in load_portfolio(loaded.portfolio).instances]
    stop = Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    arguments = ["--config", str(config), "--root", str(root), *(["--live"] if live else [])]
    with ExitStack() as stack:
        if metrics_port is not None:
            server = metrics_server(root / loaded.settings.monitoring.metrics, metrics_port)
            stack.callback(server.shutdown)
            sys.stderr.write(f"metrics at http://127.0.0.1:{server.server_port}/metrics\n")
        code = watch(
            timeframes,
            tick=partial(tick_process, arguments),
            now=through_ccxt(loaded).now,
            stop=stop,
            delay=delay,
            ticks=ticks,
        )
    raise typer.Exit(code)


def replay_command(
    tick: Annotated[str, typer.Argument(help="Name of the tick, as 'status' shows it.")],
    config: Config,
    root: Root = Path(),
    as_json: Json = False,
) -> None:
    """Derive a past tick again from its recorded inputs; exit 1 unless every byte is the same."""
    from live_bridge.replay import replay

    document, code = replay(config, tick, root=root)
    lines = [f"{tick}: {len(document['compared'])} records, " + ("different" if code else "identical")]
    lines += [
        f"{entry['record']} {entry['key']}: recorded {entry['recorded']!r}, derived {entry['derived']!r}"
        for entry in document["differences"]
    ]
    show(document, lines, as_json=as_json)
    raise typer.Exit(code)


def backup_command(
    config: Config,
    to: Annotated[Path, typer.Option("--to", help="The copy; replaced whole if it exists.")],
    root: Root = Path(),
    as_json: Json = False,
) -> None:
    """Copy the journal consistently, also while a tick runs; the copy's chain is checked."""
    from live_bridge.backup import backup
    from live_bridge.config import load_config

    document = backup(load_config(config, root=root, environment=os.environ).state, to)
    show(document, [f"{document['path']}: {document['events']} events, chain intact"], as_json=as_json)


def restore_command(
    config: Config,
    copy: Annotated[Path, typer.Option("--from", help="What live-bridge backup wrote.")],
    root: Root = Path(),
    as_json: Json = False,
) -> None:
    """Put a copy back as the journal; what was there is kept beside it, and the next run notices."""
    from live_bridge.backup import restore
    from live_bridge.config import load_config
    from live_bridge.runner import exclusive

    loaded = load_config(config, root=root, environment=os.environ)
    with exclusive(loaded.state):
        document = restore(copy, loaded.state)
    lines = [f"{document['path']}: {document['events']} events, chain intact"]
    if document["replaced"]:
        lines.append(f"{document['replaced']}: what was there before")
    lines.append("The next run compares it with the exchange before it orders anything.")
    show(document, lines, as_json=as_json)
