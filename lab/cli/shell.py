"""What every command shares: the root folder, one JSON document, tables, progress, exit codes."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from lab.core.errors import ConfigError

__all__ = ["Json", "Root", "Seed", "emit", "instant", "progress", "quiet", "root_folder", "table"]

Root = Annotated[
    Path,
    typer.Option(
        "--root", envvar="MNEMO_ROOT", help="Folder that holds data/, mlruns/ and reports/.", show_default="."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random; recorded with the run.")]

Report = Callable[[str, int, int], None]

# Beyond them, times with a lookback taken off or a bar added leave the calendar.
_FIRST_YEAR = 1900
_LAST_YEAR = 2200


def root_folder(root: Path) -> Path:
    """Return `root` as an absolute path; it must be a folder or not exist yet."""
    if root.exists() and not root.is_dir():
        raise ConfigError(f"--root {root}: found a file, expected a folder (it is created when missing)")
    return root.resolve()


def emit(document: Any, *, as_json: bool, show: Callable[[], None]) -> None:
    """Print `document` as JSON on stdout, or call `show` to print it for a person."""
    if as_json:
        sys.stdout.write(json.dumps(_finite(document), indent=2, default=str, allow_nan=False) + "\n")
    else:
        show()


def table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    colours: Mapping[str, str] | None = None,
) -> None:
    """Print a table on stdout; the first column is text, numbers are right-aligned.

    On a terminal, cells that equal a key of `colours` take its style.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=title, title_justify="left", header_style="bold")
    body = [[_cell(value) for value in row] for row in rows]
    for position, column in enumerate(columns):
        numeric = bool(body) and position > 0 and all(_is_number(row[position]) for row in body)
        # The first column names the row: broken into pieces it could not be read or copied.
        drawn.add_column(
            column, justify="right" if numeric else "left", overflow="fold", no_wrap=position == 0
        )
    for row in body:
        drawn.add_row(*(Text(cell, style=(colours or {}).get(cell, "")) for cell in row))
    Console(width=None if sys.stdout.isatty() else 160).print(drawn, markup=False)


@contextmanager
def progress() -> Iterator[Report]:
    """Yield ``report(task, done, total)``; bars on a terminal's stderr, quiet in pipes."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<44}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def report(task: str, done: int, total: int) -> None:
            if task not in tasks:
                tasks[task] = bars.add_task(task, total=total)
            bars.update(tasks[task], completed=done, total=total)

        yield report


def instant(text: str | None, option: str) -> datetime | None:
    """Return a time that a user typed, in UTC: ISO 8601, without a zone it is UTC. None stays None."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{option} {text!r} not understood: write for example 2020-01-01 or 2020-01-01T12:00:00Z"
        ) from None
    if not _FIRST_YEAR <= found.year <= _LAST_YEAR:
        raise ConfigError(f"{option} {text!r}: expected a year from {_FIRST_YEAR} to {_LAST_YEAR}")
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def quiet(task: str, done: int, total: int) -> None:
    """Report progress to nobody."""


def _finite(value: Any) -> Any:
    """Return `value` with null for what is not a finite number: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e-3 and value != 0 else f"{value:,.3f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _is_number(text: str) -> bool:
    return text == "-" or text.replace(",", "").replace(".", "").replace("-", "").replace("e", "").isdigit()
