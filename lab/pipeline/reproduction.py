"""A run again, from its id alone: rebuild what it recorded, compare the bytes, name what differs."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import polars as pl

from feature_store.atomic import parquet_bytes
from lab.backtest import BacktestResult, run_backtest
from lab.core.errors import DataError
from lab.pipeline.environment import environment
from lab.pipeline.inputs import Inputs, load_inputs
from lab.search import DataIdentity, Judgement, Ledger, TrialBatch, walk_forward
from lab.strategies import StrategyInstance, load
from lab.tracking import TrackedRun, Tracker, code_version
from lab.validation.overfitting import sharpe_statistics
from lab.validation.splits import WalkForward

__all__ = ["Reproduction", "reproduce"]

_TABLES: Final = ("weights", "orders", "trades", "equity", "returns")


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What came out of running a run again.

    Attributes
    ----------
    identical : bool
        Whether every compared part has the recorded bytes.
    compared : tuple of str
        Tables and figures that were compared.
    differences : tuple of str
        One sentence per part or circumstance that differs: data, code, library, processor, table, figure.
    """

    identical: bool
    compared: tuple[str, ...]
    differences: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Return what ``mnemo reproduce --json`` prints."""
        return {
            "identical": self.identical,
            "compared": list(self.compared),
            "differences": list(self.differences),
        }


class _RecordedLedger:
    """The ledger as it stood when the run was judged; what is run again is no new trial."""

    def __init__(self, ledger: Ledger, head: str) -> None:
        self._ledger = ledger
        self._head = head

    def append(self, batch: TrialBatch) -> str:
        return self._head

    def judge(self, family: str, identity: DataIdentity, *, head: str | None = None) -> Judgement:
        return self._ledger.judge(family, identity, head=self._head)


def reproduce(run_id: str, *, root: Path) -> Reproduction:
    """Run a logged backtest or tune again and compare it with what was recorded.

    Parameters
    ----------
    run_id : str
        As backtest, tune or demo printed it.
    root : pathlib.Path
        Folder with the run, the bars and the ledger.

    Raises
    ------
    ConfigError
        If no run has that id.
    DataError
        If the run left nothing to compare with, is a portfolio's, or its markets are gone.
    """
    run = Tracker(root).load_run(run_id)
    if "result.json" not in run.artifacts:
        raise DataError(
            f"run {run_id} recorded no result; give the id of a backtest or a tune, not of a fold"
        )
    recorded = run.result
    if recorded["family"] == "portfolio":
        raise DataError(
            f"run {run_id} is a portfolio's; only runs of one strategy can be run again from their record "
            "yet. Run 'mnemo backtest' on the portfolio's file and compare the fingerprints"
        )
    inputs = _inputs(run, recorded, root)
    tables, figures = _rebuilt(inputs, recorded, root)
    circumstances = _circumstances(run, recorded, inputs)
    compared, parts = _compare(run, recorded, tables, figures)
    return Reproduction(not parts, compared, (*parts, *circumstances))


def _inputs(run: TrackedRun, recorded: dict[str, Any], root: Path) -> Inputs:
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / f"{recorded['strategy_id']}.yaml"
        file.write_text(run.config, encoding="utf-8")
        instance = load(file)
    first = datetime.fromisoformat(recorded["data_first"])
    last = datetime.fromisoformat(recorded["data_last"])
    return load_inputs(instance, root=root, start=first, end=last + instance.timeframe.duration)


def _rebuilt(
    inputs: Inputs, recorded: dict[str, Any], root: Path
) -> tuple[dict[str, pl.DataFrame], dict[str, Any]]:
    """Return the tables and figures of the run, made anew."""
    ledger = _RecordedLedger(Ledger(root), recorded["ledger_head"])
    instance: StrategyInstance = inputs.instance
    if recorded["kind"] == "tune":
        found = walk_forward(
            instance,
            inputs.panel,
            splitter=WalkForward.from_settings(instance.search),
            trials=recorded["trials_per_fold"],
            seed=recorded["seed"],
            ledger=ledger,
        )
        tables = {**_tables(found.oos, found.oos_weights), "folds": found.folds, "trials": found.trials}
        judged = {"deflated_sharpe": found.deflated_sharpe, "pbo": found.pbo, "n_trials": found.n_trials}
        return tables, {**judged, "metrics": dict(found.oos.metrics)}
    weights = instance.decide(inputs.panel)
    result = run_backtest(inputs.panel, weights, costs=instance.costs, risk=instance.risk, engine="both")
    judgement = ledger.judge(instance.strategy.family, DataIdentity.of(instance.markets, instance.timeframe))
    figures = {
        "deflated_sharpe": judgement.deflated(sharpe_statistics(result.bars.returns)),
        "n_trials": judgement.n_trials,
        "metrics": dict(result.metrics),
    }
    return _tables(result, inputs.panel.to_frame(weights, "weight")), figures


def _tables(result: BacktestResult, weights: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return {"weights": weights, **{name: getattr(result, name) for name in _TABLES if name != "weights"}}


def _compare(
    run: TrackedRun, recorded: dict[str, Any], tables: dict[str, pl.DataFrame], figures: dict[str, Any]
) -> tuple[tuple[str, ...], list[str]]:
    differences = []
    for name, table in tables.items():
        if run.artifacts[f"{name}.parquet"].read_bytes() != parquet_bytes(table):
            differences.append(f"table {name}: {_first_difference(run.table(name), table)}")
    # Through JSON, as the record went: floats survive it to the bit, NaN becomes null.
    again = json.loads(json.dumps(figures), parse_constant=lambda _: None)
    for name, value in again.items():
        if recorded[name] != value:
            differences.append(f"figure {name}: {value} now, {recorded[name]} recorded")
    return (*tables, *figures), differences


def _first_difference(before: pl.DataFrame, now: pl.DataFrame) -> str:
    if before.schema != now.schema:
        return f"columns {dict(now.schema)} now, {dict(before.schema)} recorded"
    if before.height != now.height:
        return f"{now.height} rows now, {before.height} recorded"
    for row, (old, new) in enumerate(
        zip(before.iter_rows(named=True), now.iter_rows(named=True), strict=True)
    ):
        for column, value in old.items():
            if repr(new[column]) != repr(value):
                return f"first in row {row}, column {column}: {new[column]!r} now, {value!r} recorded"
    return "the same values in other bytes"


def _circumstances(run: TrackedRun, recorded: dict[str, Any], inputs: Inputs) -> list[str]:
    """Return what the run depended on and is not the same any more."""
    found = []
    if inputs.data_hash != recorded["data_hash"]:
        found.append(
            f"data: the bars of {', '.join(recorded['markets'])} hash to {inputs.data_hash[:12]} now, "
            f"{recorded['data_hash'][:12]} recorded; a bar, a series or a quality setting was changed"
        )
    if inputs.instance.config_hash != recorded["config_hash"]:
        found.append("config: the kept configuration is not the one that was run; the record was changed")
    version = str(code_version())
    if run.tags.get("code_version") != version:
        found.append(f"code: {version} now, {run.tags.get('code_version')} recorded")
    for name, value in environment().items():
        before = recorded.get("environment", {}).get(name)
        if before != value:
            found.append(f"{name}: {value} now, {before} recorded")
    return found
