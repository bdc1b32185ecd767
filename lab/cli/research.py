"""The research commands: demo, backtest, tune, parity, reproduce, bench."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from lab.cli.shell import Json, Root, Seed, emit, instant, progress, root_folder, table
from lab.core.errors import ConfigError, MnemoError
from lab.core.tolerances import ENGINE_TOLERANCE

__all__ = ["register"]

Config = Annotated[
    Path, typer.Argument(help="Strategy file, for example research/strategies/demo_tsm_1d.yaml.")
]
Either = Annotated[
    Path, typer.Argument(help="Strategy or portfolio file, for example research/portfolios/demo.yaml.")
]
Start = Annotated[str | None, typer.Option("--start", help="First bar, ISO 8601, UTC.")]
End = Annotated[str | None, typer.Option("--end", help="Bars before this time, ISO 8601, UTC.")]
Workers = Annotated[int, typer.Option("--workers", help="Threads; the result does not depend on it.")]
TrialEngine = Annotated[
    str, typer.Option("--engine", help="What simulates the trials: fused, or vectorbt, slow and a check.")
]
LogTrials = Annotated[
    int,
    typer.Option("--log-trials", help="Best trials that become runs of their own; a table has all.", min=0),
]


def register(app: typer.Typer) -> None:
    """Add the research commands to `app`."""
    app.command("demo", epilog="Example: mnemo demo --root /tmp/mnemo --json")(_demo)
    app.command("backtest", epilog="Example: mnemo backtest research/strategies/demo_tsm_1d.yaml")(_backtest)
    app.command("tune", epilog="Example: mnemo tune research/strategies/demo_tsm_1d.yaml --seed 7")(_tune)
    app.command("parity", epilog="Example: mnemo parity research/strategies/demo_tsm_1d.yaml")(_parity)
    app.command("reproduce", epilog="Example: mnemo reproduce RUN_ID --json")(_reproduce)
    app.command("bench", epilog="Example: mnemo bench --only sweep --json")(_bench)


def _demo(root: Root = Path(), seed: Seed = 0, workers: Workers = 1, json: Json = False) -> None:
    """Go the whole way on bundled data: bars, walk-forward, MLflow, tearsheet, one tick of the bridge."""
    from lab.pipeline.demo import run_demo, summary

    with progress() as report:
        document = run_demo(root_folder(root), seed=seed, workers=workers, report=report)
    emit(document, as_json=json, show=lambda: typer.echo(summary(document, root)))


def _backtest(
    config: Either,
    root: Root = Path(),
    seed: Seed = 0,
    start: Start = None,
    end: End = None,
    json: Json = False,
) -> None:
    """Backtest a strategy or a portfolio as its file has it, in both engines, counted and logged."""
    from lab.pipeline import backtest

    run = backtest(config, root=root_folder(root), seed=seed, **_window(start, end))
    document = run.document
    emit(document, as_json=json, show=lambda: _show_result(config.stem, document["metrics"], document))
    _refuse_failed(document)


def _tune(
    config: Config,
    root: Root = Path(),
    seed: Seed = 0,
    trials: Annotated[
        int | None, typer.Option("--trials", help="Parameter sets per fold; default: the file's.")
    ] = None,
    workers: Workers = 1,
    start: Start = None,
    end: End = None,
    log_trials: LogTrials = 20,
    engine: TrialEngine = "fused",
    json: Json = False,
) -> None:
    """Tune a strategy walk-forward; the result is the stitched out-of-sample path.

    A tune that was killed goes on where it was when the same command is given again.
    """
    from lab.pipeline import tune

    if engine not in ("fused", "vectorbt"):
        raise ConfigError(f"--engine {engine} not understood: use fused or vectorbt")
    window = _window(start, end)

    with progress() as report:
        run = tune(
            config,
            root=root_folder(root),
            seed=seed,
            trials=trials,
            workers=workers,
            start=window["start"],
            end=window["end"],
            log_trials=log_trials,
            engine="vectorbt" if engine == "vectorbt" else "fused",
            progress=lambda done, total: report(f"tune {config.stem}", done, total),
        )
    document = run.document
    emit(document, as_json=json, show=lambda: _show_result(config.stem, document["oos"], document))
    _refuse_failed(document)


def _parity(config: Config, root: Root = Path(), seed: Seed = 0, json: Json = False) -> None:
    """Prove, bar by bar and bit by bit, that the last window alone gives the weights of the backtest."""
    from lab.pipeline import parity

    with progress() as report:
        certificate = parity(
            config,
            root=root_folder(root),
            seed=seed,
            progress=lambda share: report(f"parity {config.stem}", round(100 * share), 100),
        )
    document = certificate.report()
    rows = [[key, value if key != "leaks" else len(value)] for key, value in document.items()]
    emit(document, as_json=json, show=lambda: table(f"Parity of {config.stem}", ["", "value"], rows))
    if not certificate.ok:
        raise MnemoError("\n".join(f"{config}: {finding}" for finding in certificate.findings))


def _reproduce(
    run_id: Annotated[str, typer.Argument(help="Run id that backtest, tune or demo printed.")],
    root: Root = Path(),
    json: Json = False,
) -> None:
    """Run a logged run again, from its id alone, and compare the bytes; says what differs."""
    from lab.pipeline.reproduction import reproduce

    again = reproduce(run_id, root=root_folder(root))
    rows: list[list[Any]] = [["identical", again.identical], ["compared", ", ".join(again.compared)]]
    rows += [["differs", difference] for difference in again.differences]
    emit(again.document(), as_json=json, show=lambda: table(f"Run {run_id}", ["", "value"], rows))
    if not again.identical:
        raise MnemoError(f"run {run_id} is not reproduced: {'; '.join(again.differences)}")


def _bench(
    only: Annotated[str | None, typer.Option("--only", help="Cases whose name contains this.")] = None,
    runs: Annotated[int, typer.Option("--runs", help="Interleaved runs per side.", min=1)] = 5,
    root: Root = Path(),
    json: Json = False,
) -> None:
    """Measure speed and memory against peers, interleaved in one run, with the results compared."""
    from lab.pipeline.bench import run_cases

    with progress() as report:
        rows = [row.document() for row in run_cases(only, runs=runs, report=report)]
    columns = ["name", "ours_s", "peer", "peer_s", "ratio", "ours_mb", "peer_mb"]
    emit(
        rows, as_json=json, show=lambda: table("Benchmarks", columns, [[r[c] for c in columns] for r in rows])
    )


def _show_result(name: str, metrics: dict[str, float], document: dict[str, Any]) -> None:
    shown = ("sharpe", "annualised_return", "annualised_volatility", "max_drawdown", "calmar", "turnover")
    rows: list[list[Any]] = [[key, metrics[key]] for key in shown]
    judged = ("deflated_sharpe", "n_trials_ledger", "pbo", "engine_difference", "status")
    rows += [[key, document[key]] for key in judged if key in document]
    for budget in document.get("risk", {}).get("budgets", []):
        if budget["fraction"] != 0.0:
            rows.append(["at the last bar", budget["text"]])
    table(name, ["", "value"], rows)
    for warning in document["warnings"]:
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(f"run {document['run_id']}: mnemo report {document['run_id']}")


def _window(start: str | None, end: str | None) -> dict[str, datetime | None]:
    first, last = instant(start, "--start"), instant(end, "--end")
    if first is not None and last is not None and first >= last:
        raise ConfigError(f"--start {start} is not before --end {end}; no bar lies between them")
    return {"start": first, "end": last}


def _refuse_failed(document: dict[str, Any]) -> None:
    if document["status"] == "FAILED":
        raise MnemoError(
            f"run {document['run_id']} is marked FAILED: the two engines differ by "
            f"{document['engine_difference']:.3g}, at most {ENGINE_TOLERANCE:g} expected; "
            "do not use its figures"
        )
