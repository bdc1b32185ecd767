"""From a bridge's journal to the operator's report; the bridge is a child process and a file that is read."""

from __future__ import annotations

import json
import shlex
import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from feature_store.atomic import write_bytes
from lab.core.errors import DataError, MnemoError
from lab.pipeline.comparing import compare
from lab.pipeline.processes import run_bridge
from lab.report.execution import run_notebook
from lab.report.naming import file_stem
from lab.report.operator import OperatorInput, Period, period_before
from lab.report.page import build_page
from lab.strategies import Portfolio, load_portfolio
from lab.tracking import Tracker, code_version

__all__ = ["operator_notebook", "write_operator_report"]

_COMPARED: Final = ("from", "compared", "concordance", "missed", "mismatches", "tracking_error")


def operator_notebook() -> Path:
    """Return the notebook that operator's reports are made from: copy it and edit the copy."""
    import lab.report

    return Path(lab.report.__file__).parent / "notebooks" / "operator_report.py"


def write_operator_report(
    config: Path,
    *,
    root: Path,
    period: str,
    now: datetime,
    run_id: str | None = None,
    notebook: Path | None = None,
) -> dict[str, Any]:
    """Write ``reports/<date>/operator-<account>-<period>.html`` for the last whole period before `now`.

    The bridge itself checks its journal first; a copy of it is then read, so that a tick may run meanwhile.
    The page is published whole or not at all.

    Parameters
    ----------
    config : Path
        The bridge's YAML file: ``account``, ``portfolio`` and ``state`` in force are read.
    root : Path
        Folder that holds ``data/``, ``mlruns/`` and ``reports/``.
    period : {"daily", "weekly", "monthly"}
    now : datetime
        Timezone-aware.
    run_id : str, optional
        A logged backtest that the account is held against.
    notebook : Path, optional
        An edited copy of :func:`operator_notebook`.

    Returns
    -------
    dict
        ``report`` (path), ``period, start, end, profit, return, equity, exposure, orders, incidents`` (counts
        by severity), ``criteria_met``.

    Raises
    ------
    ConfigError, DataError
        If the file, the journal or the run cannot be read, or the bridge finds its journal damaged.
    ReportError
        If a cell of the notebook fails.
    """
    span = period_before(period, now)
    settings, portfolio = _settings(config, root)
    state = root / str(settings["state"])
    if not state.is_file():
        raise DataError(f"{state} not found: the bridge has not run under {root}; 'live-bridge run' opens it")
    run_bridge(["status", "--config", str(config), "--root", str(root)])
    account = str(settings["account"])
    command = ["mnemo", "operator-report", "--config", str(config), "--period", period]
    context = {
        "account": account,
        "portfolio": portfolio.portfolio_id,
        "strategies": [instance.strategy_id for instance in portfolio.instances],
        "journal": str(state),
        "code_version": str(code_version()),
        "command": shlex.join([*command, "--at", now.isoformat()]),
        "reference": _reference(run_id, root),
        "comparison": _comparison(portfolio, config, root, span),
        "period": {"name": span.name, "start": span.start.isoformat(), "end": span.end.isoformat()},
    }
    with tempfile.TemporaryDirectory(prefix="mnemo-operator-") as scratch:
        folder = Path(scratch)
        _copy(state, folder / "journal.sqlite")
        (folder / "context.json").write_text(json.dumps(context), encoding="utf-8")
        report = OperatorInput.read(folder)
        cells = run_notebook(notebook or operator_notebook(), {"folder": str(folder)})
        page = build_page(cells, title=f"{account} · {span.name} report · {span.text}")
        document = _document(report, span)
    place = root / "reports" / span.end.date().isoformat()
    target = place / f"operator-{file_stem(account)}-{span.name}.html"
    write_bytes(target, page.encode("utf-8"))
    return {"report": str(target), **document}


def _settings(config: Path, root: Path) -> tuple[Mapping[str, Any], Portfolio]:
    """Return the bridge's settings in force, which are the file's, its profile's and the environment's."""
    found = run_bridge(["settings", "--config", str(config), "--root", str(root)])
    beside = config.parent / found["portfolio"]
    return found, load_portfolio(beside if beside.exists() else root / found["portfolio"])


def _reference(run_id: str | None, root: Path) -> dict[str, Any] | None:
    if run_id is None:
        return None
    metrics = Tracker(root).load_run(run_id).result.get("metrics") or {}
    return {"run_id": run_id, **{name: metrics.get(name) for name in ("max_drawdown", "sharpe")}}


def _comparison(portfolio: Portfolio, config: Path, root: Path, span: Period) -> dict[str, Any]:
    """Return how the account agrees with its backtest up to the period's end, or why that is not known."""
    try:
        found = compare(portfolio.source, config=config, root=root, until=span.end)
    except MnemoError as error:
        return {"problem": str(error)}
    return {key: found[key] for key in _COMPARED}


def _copy(journal: Path, target: Path) -> None:
    try:
        with (
            closing(sqlite3.connect(f"{journal.resolve().as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(target)) as copy,
        ):
            source.backup(copy)
    except sqlite3.Error as error:
        raise DataError(f"{journal} cannot be copied: {error}") from None


def _document(report: OperatorInput, span: Period) -> dict[str, Any]:
    criteria = report.criteria()
    return {
        "period": span.name,
        "start": span.start.isoformat(),
        "end": span.end.isoformat(),
        **report.figures(),
        "incidents": report.counts(),
        "criteria_met": criteria.filter(criteria["state"] == "met")["criterion"].to_list(),
    }
