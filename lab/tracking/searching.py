"""Logged runs as a table: by tag, parameter and metric."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl

from lab.core.errors import ConfigError
from lab.tracking.store import RunStore
from lab.tracking.usage import SYSTEM

__all__ = ["search_runs"]

_PARENT: Final = "mlflow.parentRunId"
_FIRST: Final = ("run_id", "name", "kind", "status", "started", "seconds", "parent")


def search_runs(
    root: Path,
    where: str = "",
    *,
    tags: Mapping[str, str] | None = None,
    children: bool = False,
    limit: int = 1_000,
) -> pl.DataFrame:
    """Return logged runs, the newest first.

    Parameters
    ----------
    root : Path
        The folder that ``mlruns/`` lies under.
    where : str
        A condition in MLflow's words, for example ``metrics.deflated_sharpe > 0.5 and params.seed = '7'``.
    tags : mapping of str to str
        Tags that must be equal: ``kind, family, strategy_id, data_hash, config_hash, code_version, …``.
    children : bool
        Include folds, winners and trials, which are runs below another.
    limit : int
        Most runs to return.

    Returns
    -------
    polars.DataFrame
        ``run_id, name, kind, status, started, seconds, parent``, then ``metric.<name>``, ``param.<name>`` and
        ``tag.<name>``: null where a run has none. Parameters are text, as MLflow keeps them.

    Raises
    ------
    ConfigError
        If MLflow does not understand the condition.

    Examples
    --------
    >>> search_runs(Path("/nowhere"), tags={"family": "dual_momentum"}).columns[:3]
    ['run_id', 'name', 'kind']
    """
    store = RunStore(root)
    if not store.database.exists():
        return pl.DataFrame(schema={**dict.fromkeys(_FIRST, pl.String), "started": pl.Datetime("ms", "UTC")})
    rows = [_row(run) for run in _found(store, _condition(where, tags or {}), children, limit)]
    names = dict.fromkeys(name for row in rows for name in row)
    order = [*_FIRST, *sorted(name for name in names if name not in _FIRST)]
    frame = pl.DataFrame(rows, infer_schema_length=None).select([name for name in order if name in names])
    if frame.is_empty():
        return search_runs(Path("/nowhere"))
    started = pl.from_epoch("started", time_unit="ms").dt.replace_time_zone("UTC")
    return frame.with_columns(started)


def _found(store: RunStore, condition: str, children: bool, limit: int) -> list[Any]:
    from mlflow.exceptions import MlflowException

    client = store.open()
    found: list[Any] = []
    token = None
    while len(found) < limit:
        try:
            page = client.search_runs(
                [store.experiment], condition, max_results=min(limit, 1_000), page_token=token
            )
        except MlflowException as error:
            raise ConfigError(f"runs where {condition}: {str(error).splitlines()[0]}") from None
        found += [run for run in page if children or _PARENT not in run.data.tags]
        token = page.token
        if not token:
            break
    return found[:limit]


def _condition(where: str, tags: Mapping[str, str]) -> str:
    wrong = [text for pair in tags.items() for text in pair if "'" in text or "`" in text]
    if wrong:
        raise ConfigError(f"tag {wrong[0]!r}: quotes cannot be searched for")
    return " and ".join(
        filter(None, [where, *(f"tags.`{name}` = '{value}'" for name, value in tags.items())])
    )


def _row(run: Any) -> dict[str, Any]:
    end = run.info.end_time
    return {
        "run_id": run.info.run_id,
        "name": run.info.run_name,
        "kind": run.data.tags.get("kind"),
        "status": run.info.status,
        "started": run.info.start_time,
        "seconds": None if not end else (end - run.info.start_time) / 1_000,
        "parent": run.data.tags.get(_PARENT),
        **{
            f"metric.{name}": float(value) if math.isfinite(value) else None
            for name, value in run.data.metrics.items()
            if not name.startswith(SYSTEM)
        },
        **{f"param.{name}": value for name, value in run.data.params.items()},
        **{f"tag.{name}": v for name, v in run.data.tags.items() if not name.startswith(("mlflow.", "kind"))},
    }
