"""``mnemo rehearse``: the real bridge, tick by tick over history, against the loopback exchange."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from lab.cli.shell import Json, Root, emit, instant, progress, root_folder, table

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(
        "rehearse",
        epilog="Example: mnemo rehearse research/portfolios/demo.yaml --from 2018-06-01 --to 2019-06-30",
    )(_rehearse)


def _rehearse(
    portfolio: Annotated[Path, typer.Argument(help="Portfolio file; all its markets of one venue.")],
    start: Annotated[str, typer.Option("--from", help="First bar traded in, ISO 8601, UTC.")],
    end: Annotated[str, typer.Option("--to", help="Last bar traded in, ISO 8601, UTC.")],
    mode: Annotated[
        Literal["paper", "live"], typer.Option("--mode", help="Simulated fills, or orders on the exchange.")
    ] = "paper",
    exact: Annotated[
        bool, typer.Option("--exact", help="Without lot sizes and smallest orders: equal to the backtest.")
    ] = False,
    root: Root = Path(),
    json: Json = False,
) -> None:
    """Compare the bridge's equity with the backtest's, and say what every difference comes from."""
    from lab.pipeline.rehearsal import rehearse

    first, last = instant(start, "--from"), instant(end, "--to")
    if first is None or last is None:  # both options are required
        raise typer.BadParameter("--from and --to")
    with progress() as report:
        document = rehearse(
            portfolio,
            root=root_folder(root),
            start=first,
            end=last,
            mode=mode,
            exact=exact,
            progress=lambda done, total: report(f"rehearse {portfolio.stem}", done, total),
        )
    emit(document, as_json=json, show=lambda: _show(document))
    raise typer.Exit(1 if document["mismatches"] else 0)


def _show(document: dict[str, Any]) -> None:
    rows = [[cause.replace("_", " "), amount] for cause, amount in document["attribution"].items()]
    table("Bridge minus backtest at the last close", ["cause", "quote currency"], rows)
    typer.echo(
        f"{document['ticks']:,} ticks ({document['failed']} failed, {document['without_bars']} without "
        f"bars), {document['decisions']:,} decisions, {document['mismatches']} of them not the backtest's "
        "to the bit"
    )
    typer.echo(
        f"{document['orders']} orders (backtest {document['orders_backtest']}); "
        f"equity {document['equity']:,.2f}, backtest {document['equity_backtest']:,.2f}"
    )
    typer.echo(
        f"largest difference at a close {document['equity_difference']:.2e}, "
        f"unexplained {document['residual']:.1e}"
    )
