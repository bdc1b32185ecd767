"""The comparison of several runs as one self-contained HTML file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from feature_store.atomic import write_bytes
from lab.core.errors import ConfigError
from lab.report.execution import run_notebook
from lab.report.page.build import build_page

__all__ = ["compare_runs", "comparison_notebook"]


def comparison_notebook() -> Path:
    """Return the notebook that comparisons are made from, in percent format: copy it and edit the copy."""
    return Path(str(resources.files("lab.report").joinpath("notebooks/comparison.py")))


def compare_runs(
    folders: Sequence[Path | str],
    out: Path | str,
    *,
    runs: Sequence[Mapping[str, Any]] = (),
    shares: Sequence[float] = (),
    notebook: Path | str | None = None,
) -> Path:
    """Write the comparison of at least two runs: correlation, combined portfolio, what each run adds.

    A page like a tearsheet's: no network, published whole or not at all.

    Parameters
    ----------
    folders : sequence of path
        Artifacts of each run.
    out : path
        The HTML file; its folder is made.
    runs : sequence of mapping, optional
        What each run's record says beside its files.
    shares : sequence of float, optional
        Of each run in the combined portfolio, at most 1 in sum; default: equal ones.
    notebook : path, optional
        An edited copy of :func:`comparison_notebook`.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    ConfigError
        If there are fewer than two runs, shares do not fit, the runs have no time in common, or the notebook
        cannot be read.
    DataError, FrameError
        If a folder is not that of a run.
    ReportError
        If a cell of the notebook fails; nothing is published.
    """
    from lab.report.comparison import ComparisonInput

    target = Path(out)
    if target.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"{target}: a comparison is one HTML file; give a name that ends in .html")
    places = [str(Path(folder).resolve()) for folder in folders]
    records = json.loads(json.dumps([dict(run) for run in runs], default=str))
    # Read here first: what is wrong with the runs is said in one sentence, not as a failed cell.
    report = ComparisonInput.read(places, records, shares)
    source = comparison_notebook() if notebook is None else Path(notebook)
    cells = run_notebook(source, {"folders": places, "runs": records, "shares": list(shares)})
    page = build_page(cells, title=f"{' · '.join(report.names[:3])} · comparison")
    write_bytes(target, page.encode("utf-8"))
    return target
