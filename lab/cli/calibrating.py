"""``mnemo calibrate``: how often the pipeline is fooled by noise, and how often it finds what is there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lab.cli.shell import Json, Root, Seed, emit, progress, root_folder, table
from lab.core.errors import MnemoError

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(
        "calibrate", epilog="Example: mnemo calibrate research/strategies/demo_tsm_1d.yaml --worlds 40"
    )(_calibrate)


def _calibrate(
    config: Annotated[Path, typer.Argument(help="Strategy file: rule, costs, limits and search.")],
    worlds: Annotated[
        int, typer.Option("--worlds", help="Of plain noise; a quarter of each other kind, half planted.")
    ] = 400,
    trials: Annotated[int, typer.Option("--trials", help="Parameter sets tried in each world.")] = 100,
    sharpe: Annotated[
        float, typer.Option("--sharpe", help="Annual Sharpe ratio of the planted edge, net of costs.")
    ] = 1.5,
    years: Annotated[float, typer.Option("--years", help="Length of each world.")] = 4.0,
    method: Annotated[
        str, typer.Option("--method", help="sweep, or walk_forward (many times slower).")
    ] = "sweep",
    workers: Annotated[int, typer.Option("--workers", help="Threads; the result does not depend on it.")] = 2,
    seed: Seed = 0,
    root: Root = Path(),
    json: Json = False,
) -> None:
    """Backtest the backtester: search, selection and gates on synthetic worlds whose truth is known.

    Nothing is written and no trial is counted. Exit code 1 where noise is promoted more often than the gate
    promises, beyond doubt.
    """
    from lab.pipeline.calibration import calibrate

    root_folder(root)
    with progress() as report:
        found = calibrate(
            config,
            worlds=worlds,
            trials=trials,
            seed=seed,
            method=method,
            sharpe=sharpe,
            years=years,
            workers=workers,
            progress=lambda world, done, total: report(f"calibrate {world}", done, total),
        )
    emit(found.document, as_json=json, show=lambda: _show(config.stem, found.document))
    if found.broken:
        rate = found.document["false_promotion"]
        raise MnemoError(
            f"{config}: {rate['count']} of {rate['worlds']} worlds of noise were promoted; the gate promises "
            f"at most 5 %, and the true rate is above {rate['lower_95']:.1%} with 95 % confidence"
        )


def _show(name: str, document: dict[str, Any]) -> None:
    gate = document["gates"]
    rows = [_row(world, found, "no edge") for world, found in document["no_edge"].items()]
    planted = document["planted"]
    rows.append(_row("planted", planted, f"Sharpe {planted['sharpe_earned']:.2f}"))
    columns = ["world", "truth", "worlds", "promoted", "rate", "95 % from", "to", "with PBO too"]
    table(
        f"{name}: {document['method']}, {document['trials']} trials ({document['sampler']}) on "
        f"{document['years']:g} years, promoted at a deflated Sharpe ratio of {gate['deflated_sharpe']:g}",
        columns,
        rows,
    )
    typer.echo(_sentence(document))


def _row(world: str, found: dict[str, Any], truth: str) -> list[Any]:
    shares = [f"{found[key]:.1%}" for key in ("rate", "lower_95", "upper_95")]
    return [world, truth, found["worlds"], found["count"], *shares, found["passing_pbo_too"]]


def _sentence(document: dict[str, Any]) -> str:
    rate, planted = document["false_promotion"], document["planted"]
    discovery = document["false_discovery"]["0.1"]
    said = (
        f"Of noise {rate['rate']:.1%} is promoted (at most {rate['upper_95']:.1%}, with 95 % confidence); an "
        f"edge worth a Sharpe ratio of {planted['sharpe_earned']:.2f} is found in {planted['rate']:.0%} of "
        "worlds."
    )
    if discovery is not None:
        said += f" If one idea in ten has such an edge, {discovery:.1%} of those promoted have none."
    return f"{said} ({document['seconds']:.0f} s)"
