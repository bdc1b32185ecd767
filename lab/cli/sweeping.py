"""``mnemo sweep``: all combinations of parameter values, counted as trials."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from lab.cli.shell import Json, Root, emit, progress, root_folder, table
from lab.core.errors import ConfigError

__all__ = ["parse_axis", "register"]

_MOST_VALUES: Final = 1_000_000


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(
        "sweep",
        epilog="Example: mnemo sweep research/strategies/demo_tsm_1d.yaml --grid lookback_window=20:180:10",
    )(_sweep)


def _sweep(
    config: Annotated[Path, typer.Argument(help="Strategy file: bars, costs, risk, other parameters.")],
    grid: Annotated[
        list[str],
        typer.Option("--grid", help="NAME=LOW:HIGH:STEP or NAME=A,B,C; repeat for more parameters."),
    ],
    root: Root = Path(),
    workers: Annotated[
        int | None, typer.Option("--workers", help="Threads; default: one per processor.", min=1)
    ] = None,
    memory: Annotated[
        float | None, typer.Option("--memory", help="Megabytes that features and working memory may take.")
    ] = None,
    json: Json = False,
) -> None:
    """Simulate every combination of parameter values; continues where a killed run stopped."""
    from lab.pipeline.sweeps import sweep

    if memory is not None and not memory > 0:
        raise ConfigError(f"--memory {memory:g}: expected megabytes above 0")
    axes: dict[str, list[Any]] = {}
    for name, values in map(parse_axis, grid):
        if name in axes:
            raise ConfigError(f"--grid: {name} is given twice; give all its values at once")
        axes[name] = values
    with progress() as report:
        run = sweep(
            config,
            axes,
            root=root_folder(root),
            workers=workers,
            memory_mb=memory,
            progress=lambda done, total: report(f"sweep {config.stem}", done, total),
        )
    emit(run.document, as_json=json, show=lambda: _show(config.stem, run.document))


def parse_axis(text: str) -> tuple[str, list[Any]]:
    """Return name and values of ``NAME=LOW:HIGH:STEP`` (both ends included) or ``NAME=A,B,C``.

    Whole numbers stay whole; others are rounded to twelve digits, so that 0.1 + 0.2 is 0.3.

    Raises
    ------
    ConfigError
        If the text is neither.

    Examples
    --------
    >>> parse_axis("window=10:30:10"), parse_axis("threshold=0:0.3:0.1"), parse_axis("k=1,5")
    (('window', [10, 20, 30]), ('threshold', [0.0, 0.1, 0.2, 0.3]), ('k', [1, 5]))
    """
    name, _, values = text.partition("=")
    try:
        if ":" not in values:
            return name.strip(), [_number(part) for part in values.split(",")]
        low, high, step = (_number(part) for part in values.split(":"))
        count = round((high - low) / step)
        if step <= 0 or count < 0 or abs(low + count * step - high) > 1e-9 * max(abs(high), 1.0):
            raise ValueError(values)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise ConfigError(
            f"--grid {text}: not understood; write NAME=LOW:HIGH:STEP with HIGH a whole number of steps "
            "above LOW, or NAME=A,B,C"
        ) from None
    if count >= _MOST_VALUES:
        raise ConfigError(f"--grid {text}: about {count:.3g} values; expected at most {_MOST_VALUES:,}")
    if all(isinstance(part, int) for part in (low, high, step)):
        return name.strip(), [low + place * step for place in range(count + 1)]
    return name.strip(), [float(f"{low + place * step:.12g}") for place in range(count + 1)]


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _show(name: str, document: dict[str, Any]) -> None:
    best = document["best"]
    if best:
        table(f"Best of {name}", list(best[0]), [list(row.values()) for row in best])
    plan, errors = document["plan"], document.get("plan_error")
    typer.echo(
        f"{document['sets_run']:,} of {document['sets']:,} sets run, {document['features']} features: "
        f"{document['seconds']:.1f} s, {document['processor_seconds']:.1f} s of processor time, peak "
        f"{document['peak_rss_mb']:.0f} MB"
    )
    typer.echo(
        f"planned: {plan['seconds']:.1f} s, {plan['processor_seconds']:.1f} s, peak {plan['peak_mb']:.0f} MB"
        + ("" if errors is None else " (off by " + ", ".join(f"{e:+.0%}" for e in errors.values()) + ")")
    )
    typer.echo(
        f"{document['n_trials_ledger']:,} trials on record: the best of as many without any edge would "
        f"show a Sharpe ratio of {document['luck_sharpe']:.2f}"
    )
    typer.echo(document["folder"])
