"""``mnemo compare``: a bridge's account against the backtest of the same bars."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lab.cli.shell import Json, Root, emit, instant, root_folder, table

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(
        "compare", epilog="Example: mnemo compare research/portfolios/demo.yaml --config bridge.yaml --json"
    )(_compare)


def _compare(
    portfolio: Annotated[Path, typer.Argument(help="Portfolio file.")],
    config: Annotated[Path, typer.Option("--config", help="The YAML file of the bridge that trades it.")],
    until: Annotated[
        str | None, typer.Option("--until", help="Ticks from then on are left out; ISO 8601, UTC.")
    ] = None,
    least: Annotated[
        float, typer.Option("--least", min=0.0, max=1.0, help="Exit with 1 below this concordance.")
    ] = 0.99,
    root: Root = Path(),
    json: Json = False,
) -> None:
    """Hold a live or paper account against its backtest, and say where every difference comes from."""
    from lab.pipeline.comparing import compare

    document = compare(portfolio, config=config, root=root_folder(root), until=instant(until, "--until"))
    emit(document, as_json=json, show=lambda: _show(document))
    concordance = document["concordance"]
    raise typer.Exit(1 if concordance is None or concordance < least else 0)


def _show(document: dict[str, Any]) -> None:
    trading = document["trading"]
    table(
        "{mode} account {account} against the backtest, {from} to {to}".format(**document),
        ["what", "bridge", "backtest"],
        [
            [
                "bars with equal permitted weights",
                f"{document['concordance']:.2%}",
                f"of {document['compared']}",
            ],
            ["  to the bit", f"{document['concordance_exact']:.2%}", ""],
            ["bars without a tick", document["missed"], ""],
            ["decisions not the backtest's", document["mismatches"], f"of {document['decisions']}"],
            ["orders filled", document["orders"], document["orders_backtest"]],
            ["slippage, bps", _bps(trading["slippage_bps"]), _bps(trading["slippage_bps_modelled"])],
            ["fees, bps", _bps(trading["fee_bps"]), _bps(trading["fee_bps_modelled"])],
            ["equity", f"{document['equity']:,.2f}", f"{document['equity_backtest']:,.2f}"],
            ["return correlation", _figure(document["return_correlation"], ".6f"), ""],
            ["tracking error, a year", _figure(document["tracking_error"], ".3%"), ""],
        ],
    )
    rows = [
        [cause.replace("_", " "), f"{amount:,.4f}"]
        for cause, amount in document["attribution"].items()
        if amount
    ]
    table(f"Bridge minus backtest at the last close, {document['currency']}", ["cause", "amount"], rows)
    for coin, amount in trading["unpriced_fees"].items():
        typer.echo(
            f"fees of {amount:g} {coin} had no price in {document['currency']}, and are in no figure here"
        )
    for entry in document["differing"]:
        ours, theirs = (_figure(entry[key], ".4%") for key in ("bridge", "backtest"))
        typer.echo(f"{entry['bar']} {entry['market']}: permitted {ours}, backtest {theirs}")
    typer.echo(f"unexplained {document['residual']:.1e} of equity at most")


def _bps(value: float | None) -> str:
    return _figure(value, ".2f")


def _figure(value: float | None, form: str) -> str:
    return "none" if value is None else format(value, form)
