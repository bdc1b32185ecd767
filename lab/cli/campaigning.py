"""``mnemo campaign``: families and portfolios through periods, regimes and cost levels."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from lab.cli.shell import Json, Root, emit, progress, root_folder, table
from lab.core.errors import MnemoError

__all__ = ["register"]

_KINDS: Final = {"all": "All bars", "regime": "Regime, told from what was known before each bar"}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("campaign", epilog="Example: mnemo campaign research/campaigns/demo.yaml")(_campaign)


def _campaign(
    file: Annotated[Path, typer.Argument(help="Campaign file, for example research/campaigns/demo.yaml.")],
    root: Root = Path(),
    json: Json = False,
) -> None:
    """Run families and portfolios through periods, regimes and cost levels, beside buy and hold."""
    from lab.pipeline.campaign import run_campaign

    with progress() as report:
        run = run_campaign(file, root=root_folder(root), report=report)
    emit(run.document, as_json=json, show=lambda: _show(run.document))
    if run.document["status"] == "FAILED":
        raise MnemoError(
            f"the two engines differ in {', '.join(run.document['failed'])}; do not use these figures"
        )


def _show(document: dict[str, Any]) -> None:
    config = document["config"]
    members = {member["id"]: member for member in document["members"]}
    figures = document["figures"]
    typer.echo(
        f"Total returns by cost level and of buy and hold; the rest at {config['headline_costs']} costs."
    )
    for kind, part in dict.fromkeys((row["kind"], row["part"]) for row in figures):
        rows = [row for row in figures if (row["kind"], row["part"]) == (kind, part)]
        title = _KINDS.get(kind, f"Named afterwards, {kind}")
        table(
            title if kind == "all" else f"{title}: {part}",
            _columns(config["costs"]),
            _rows(rows, config, members),
        )
    _show_pairs(document["correlations"])
    if "plateaus" in document:
        plateaus = document["plateaus"]
        table(
            f"Sharpe ratio around the own parameters, {config['neighbourhood']['costs']} costs",
            list(plateaus[0]),
            [list(row.values()) for row in plateaus],
        )
    table(
        "Judged by all trials on record",
        ["id", "trials", "deflated Sharpe", "engines differ by"],
        [
            [m["id"], m["n_trials_ledger"], m["deflated_sharpe"], m["engine_difference"]]
            for m in document["members"]
        ],
    )
    typer.echo(f"run {document['run_id']}; tables in {document['folder']}")


def _columns(costs: list[str]) -> list[str]:
    beside = ["hold", "Sharpe", "Sharpe hold", "drawdown", "drawdown hold", "beta"]
    return ["id", "bars", *costs, *beside]


def _rows(figures: list[dict[str, Any]], config: dict[str, Any], members: dict[str, Any]) -> list[list[Any]]:
    """Return a row per member: total returns at each cost level and of buy and hold, then the headline's."""
    rows = []
    for name in members:
        own = {row["costs"]: row for row in figures if row["id"] == name}
        if not own:
            continue
        main = own[config["headline_costs"]]
        returns = [own[level]["total_return"] for level in config["costs"]]
        beside = ("hold_total_return", "sharpe", "hold_sharpe", "max_drawdown", "hold_max_drawdown", "beta")
        rows.append(_known([name, main["bars"], *returns, *(main[column] for column in beside)]))
    return rows


def _show_pairs(pairs: list[dict[str, Any]]) -> None:
    names = list(dict.fromkeys([name for pair in pairs for name in (pair["a"], pair["b"])]))
    known = {(pair["a"], pair["b"]): pair["correlation"] for pair in pairs}
    if not names:
        return
    letters = {name: str(number + 1) for number, name in enumerate(names)}
    rows = [[f"{letters[a]} {a}", *(known.get((a, b), known.get((b, a), 1.0)) for b in names)] for a in names]
    table("Correlation of daily returns", ["", *letters.values()], [_known(row) for row in rows])


def _known(row: list[Any]) -> list[Any]:
    """Return a row in which what has no value is missing."""
    return [None if isinstance(value, float) and math.isnan(value) else value for value in row]
