"""The tearsheet: one self-contained HTML file of one run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from feature_store.atomic import write_bytes
from lab.core.errors import ConfigError
from lab.report.execution import run_notebook
from lab.report.inputs import ReportInput
from lab.report.page.build import build_page

__all__ = ["tearsheet", "tearsheet_notebook"]


def tearsheet_notebook() -> Path:
    """Return the notebook that tearsheets are made from, in percent format: copy it and edit the copy."""
    return Path(str(resources.files("lab.report").joinpath("notebooks/tearsheet.py")))


def tearsheet(
    folder: Path | str,
    out: Path | str,
    *,
    run: Mapping[str, Any] | None = None,
    notebook: Path | str | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Path:
    """Write the tearsheet of a run.

    The page needs no network and fetches nothing, prints to PDF, and follows the reader's light or dark
    setting. It is published whole or not at all.

    Parameters
    ----------
    folder : path
        The run's artifacts; see :class:`~lab.report.inputs.ReportInput` for the files.
    out : path
        The HTML file; its folder is made.
    run : mapping, optional
        What the run's record says beside the files: run_id, kind, status, started, params, metrics, tags.
    notebook : path, optional
        An edited copy of :func:`tearsheet_notebook`.
    parameters : mapping, optional
        Further parameters of the notebook.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    DataError, FrameError
        If the folder is not that of a run, or a file in it cannot be read.
    ConfigError
        If the notebook has no such parameter, cannot be read, or shows something from elsewhere.
    ReportError
        If a cell of the notebook fails; nothing is published.
    """
    place, target = Path(folder).resolve(), Path(out)
    if target.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"{target}: a tearsheet is one HTML file; give a name that ends in .html")
    record = json.loads(json.dumps(dict(run or {}), default=str))
    report = ReportInput.read(place, record)
    source = tearsheet_notebook() if notebook is None else Path(notebook)
    given = {"folder": str(place), "run": record, **(parameters or {})}
    title = f"{report.text('strategy_id') or place.name} · tearsheet"
    page = build_page(run_notebook(source, given), title=title)
    write_bytes(target, page.encode("utf-8"))
    return target
