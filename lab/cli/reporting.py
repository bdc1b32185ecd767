"""What a person looks at: tearsheets, the operator's reports, the MLflow UI."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from lab.cli.shell import Json, Root, emit, instant, root_folder
from lab.core.errors import ConfigError

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("report", epilog="Example: mnemo report RUN_ID --pdf")(_report)
    app.command(
        "operator-report",
        epilog="Example: mnemo operator-report --config research/bridge.example.yaml --period daily",
    )(_operator_report)
    app.command("ui", epilog="Example: mnemo ui --port 5000")(_ui)


def _report(
    run_ids: Annotated[
        list[str], typer.Argument(help="Run id that backtest, tune or demo printed; several are compared.")
    ],
    root: Root = Path(),
    shares: Annotated[
        str | None, typer.Option("--shares", help="Of several runs in their combination: 0.5,0.3,0.2.")
    ] = None,
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Print it as PDF too, with the Chromium that is installed.")
    ] = False,
    json: Json = False,
) -> None:
    """Write the tearsheet of a run, or the comparison of several, as one offline HTML file under reports/."""
    from lab.pipeline.reporting import write_comparison, write_tearsheet

    document: dict[str, Any]
    if len(run_ids) == 1:
        if shares is not None:
            raise ConfigError("--shares: only for a comparison of several runs; one run was given")
        path = write_tearsheet(run_ids[0], root=root_folder(root))
        document = {"run_id": run_ids[0], "report": str(path)}
    else:
        path = write_comparison(run_ids, root=root_folder(root), shares=_fractions(shares))
        document = {"run_ids": run_ids, "report": str(path)}
    if pdf:
        from lab.report.printing import print_pdf

        document["pdf"] = str(print_pdf(path, path.with_suffix(".pdf")))
    written = [document[key] for key in ("report", "pdf") if key in document]
    emit(document, as_json=json, show=lambda: typer.echo("\n".join(written)))


def _fractions(text: str | None) -> list[float]:
    refusal = f"--shares {text!r} not understood: write fractions as 0.5,0.3,0.2"
    try:
        found = [float(part) for part in text.split(",")] if text is not None else []
    except ValueError:
        raise ConfigError(refusal) from None
    if not all(map(math.isfinite, found)):
        raise ConfigError(refusal)
    return found


def _operator_report(
    config: Annotated[Path, typer.Option("--config", help="The bridge's YAML file.")],
    period: Annotated[
        str, typer.Option("--period", help="daily, weekly or monthly: the last whole one.")
    ] = "daily",
    run: Annotated[
        str | None, typer.Option("--run", help="Run id of the backtest that the account is held against.")
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", help="As of this time, ISO 8601, UTC; default: now.")
    ] = None,
    notebook: Annotated[
        Path | None, typer.Option("--notebook", help="Your copy of lab/report/notebooks/operator_report.py.")
    ] = None,
    root: Root = Path(),
    json: Json = False,
) -> None:
    """Write the operator's report of a bridge under reports/<date>/, made for cron."""
    from lab.pipeline.operating import write_operator_report

    document = write_operator_report(
        config,
        root=root_folder(root),
        period=period,
        now=instant(at, "--at") or datetime.now(UTC),
        run_id=run,
        notebook=notebook,
    )
    emit(document, as_json=json, show=lambda: typer.echo(document["report"]))


def _ui(
    root: Root = Path(),
    port: Annotated[int, typer.Option("--port", help="Port on 127.0.0.1.", min=1, max=65_535)] = 5000,
) -> None:
    """Serve the MLflow UI of this root on 127.0.0.1 and print the address of its table of runs."""
    from lab.pipeline.processes import serve_mlflow

    raise typer.Exit(
        serve_mlflow(
            root_folder(root), port, announce=lambda address: typer.echo(f"open {address}", err=True)
        )
    )
