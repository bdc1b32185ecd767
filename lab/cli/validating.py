"""``mnemo validate``: what a careful person concludes of a run or a strategy file, and from what."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from lab.cli.shell import Json, Root, Seed, emit, progress, root_folder, table
from lab.core.errors import MnemoError

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("validate", epilog="Example: mnemo validate research/strategies/demo_tsm_1d.yaml --json")(
        _validate
    )


def _validate(
    target: Annotated[
        str, typer.Argument(help="Run id of a backtest or tune, or a strategy or portfolio file.")
    ],
    root: Root = Path(),
    seed: Seed = 0,
    resamples: Annotated[
        int, typer.Option("--resamples", help="Draws of the bootstrap.", min=100, max=100_000)
    ] = 1_000,
    workers: Annotated[
        int | None, typer.Option("--workers", help="Threads; default: one per processor.", min=1)
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 unless the evidence supports the result.")
    ] = False,
    json: Json = False,
) -> None:
    """Judge a result: its doubt, the trials behind it, its robustness, and one sentence to conclude.

    Parameter sets and circumstances that are tried on recorded bars are counted as trials. Exit code 1 where
    the figures must not be used (engines differ, signal not causal); with --strict unless they are supported.
    """
    from lab.pipeline.validation import validate

    with progress() as report:
        found = validate(
            target,
            root=root_folder(root),
            seed=seed,
            resamples=resamples,
            workers=workers,
            report=report,
        )
    emit(found.document, as_json=json, show=lambda: _show(found.document))
    if found.verdict.level == "invalid" or (strict and found.verdict.level != "supported"):
        raise MnemoError(found.verdict.conclusion)


def _show(document: dict[str, Any]) -> None:
    title = f"{document['name']}, {document['first_bar'][:10]} to {document['last_bar'][:10]}"
    table(title, ["", "value", "from"], [*_figures(document), *_counts(document)])
    table("Choice among parameter sets", ["", "value", "of"], _selection(document))
    table(
        "Robustness: annualised Sharpe ratio",
        ["test", "case", "cases", "as it is", "worst", "median", "best"],
        [list(row.values()) for row in document["robustness"]],
    )
    for weakness in document["weaknesses"]:
        typer.echo(f"weakness: {weakness}")
    typer.echo(document["conclusion"])


def _figures(document: dict[str, Any]) -> list[list[Any]]:
    interval, proof = document["sharpe_interval"], document["certificate"]
    years = f"{document['years']:.2f} years here"
    return [
        ["Sharpe ratio", document["sharpe"], "annualised; " + _kind(document)],
        [
            f"{interval['confidence']:.0%} interval",
            f"{interval['low']:.3f} to {interval['high']:.3f}",
            f"bootstrap, {interval['resamples']:,} resamples, blocks of {interval['block_length']} bars",
        ],
        ["probabilistic Sharpe", document["probabilistic_sharpe"], "against 0, one trial"],
        [
            "deflated Sharpe",
            document["deflated_sharpe"],
            f"against {document['expected_max_sharpe']:.3f}, the best of N trials without edge",
        ],
        ["minimum track record", _years(document["min_track_record_years"]), years],
        ["minimum backtest length", _years(document["min_backtest_years"]), f"for N trials; {years}"],
        [
            "break-even costs",
            f"{document['break_even_costs']:.1f} x",
            "of the costs in the file, by a straight line",
        ],
        [
            "certificate",
            "passed" if not proof["mismatches"] and not proof["leaks"] else "FAILED",
            f"{proof['bars_checked']:,} bars recomputed from their last {proof['lookback_declared']}",
        ],
        ["engine difference", document["engine_difference"], "fused kernel and vectorbt"],
    ]


def _counts(document: dict[str, Any]) -> list[list[Any]]:
    trials = document["trials"]
    families = ", ".join(f"{name} {count:,}" for name, count in trials["families"].items())
    added = trials["family"] - trials["before_this_validation"]
    rows: list[list[Any]] = [
        [
            "N",
            document["n_trials_ledger"],
            f"ledger, family {document['family']} on these markets; {added:,} of them made just now",
        ],
        ["N of all families", trials["all_families"], families],
        ["its deflated Sharpe", document["deflated_sharpe_all_families"], "if all of them count"],
    ]
    if trials["effective"] is not None:
        how = (
            f"{trials['clusters']:,} clusters of {trials['compared']:,} trials, "
            f"silhouette {trials['silhouette']:.2f}"
            if trials["clusters"]
            else f"no clusters; mean correlation {trials['mean_correlation']:.2f}"
        )
        rows += [
            ["effective N", f"{trials['effective']:,.1f}", how],
            [
                "its deflated Sharpe",
                document["deflated_sharpe_effective"],
                "the kindest count; not the headline",
            ],
        ]
    if document["deflated_sharpe_recorded"] is not None:
        recorded = f"when it was run, N = {document['n_trials_recorded']:,}"
        rows.append(["deflated Sharpe then", document["deflated_sharpe_recorded"], recorded])
    return rows


def _selection(document: dict[str, Any]) -> list[list[Any]]:
    sets = f"{document['sets']:,} sets: {document['sets_of']}"
    rows: list[list[Any]] = [["probability of overfitting", document["pbo"], document["pbo_of"]]]
    for name, words in (("cash", "cash"), ("buy_and_hold", "buy and hold")):
        if name in document["spa"]:
            rows.append([f"SPA against {words}, p", document["spa"][name]["p_value"], sets])
            rows.append([f"reality check against {words}, p", document["reality_check"][name], sets])
    paths = document["paths"]
    if paths is not None:
        spread = f"{paths['worst']:.3f} to {paths['best']:.3f}"
        how = f"{paths['paths']} paths of {paths['splits']} purged splits; {spread}"
        rows.append(["Sharpe of choosing, median path", paths["median"], how])
    return rows


def _years(needed: float) -> str:
    return f"{needed:.2f} years" if math.isfinite(needed) else "none is enough"


def _kind(document: dict[str, Any]) -> str:
    return (
        "out of sample, stitched" if document["held_out"] else "the file's own parameters, nothing held out"
    )
