"""``mnemo exchange``: the loopback exchange for rehearsals, started as a child process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lab.cli.shell import Root

app = typer.Typer(help="The loopback exchange that rehearsals trade against.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Keep ``serve`` a sub-command of its own."""


@app.command(
    epilog="Example: mnemo exchange serve --bars . --as binance --at 2019-06-01T00:00:00Z --clock manual",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def serve(
    context: typer.Context,
    bars: Annotated[
        Path | None, typer.Option("--bars", help="Root folder whose stored bars are served; default: --root.")
    ] = None,
    root: Root = Path(),
    speak: Annotated[str, typer.Option("--as", help="Protocol: binance (Spot REST).")] = "binance",
    port: Annotated[int, typer.Option("--port", help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    at: Annotated[
        str | None, typer.Option("--at", help="Start of the exchange's clock, ISO 8601, UTC.")
    ] = None,
    clock: Annotated[
        str, typer.Option("--clock", help="manual, real, or xN (N times real time).")
    ] = "manual",
    seed: Annotated[int, typer.Option("--seed", help="Seed of injected faults.")] = 0,
) -> None:
    """Serve stored bars as an exchange on 127.0.0.1; prints one JSON line with the address.

    Further options (--exchange, --spread-bps, --balance, --filters …) are passed on; see
    live_bridge/loopback/README.md.
    """
    from lab.pipeline.processes import serve_exchange

    options = [
        "--bars",
        str(bars or root),
        "--as",
        speak,
        "--port",
        str(port),
        "--clock",
        clock,
        "--seed",
        str(seed),
    ]
    if at is not None:
        options += ["--at", at]
    raise typer.Exit(serve_exchange([*options, *context.args]))
