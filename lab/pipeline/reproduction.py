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
from lab.backtest import BacktestResult
from lab.core.errors import DataError
from lab.pipeline.circumstances import circumstances
from lab.pipeline.evaluations import evaluate
from lab.pipeline.inputs import Inputs, load_inputs
from lab.pipeline.parts import parts_of
from lab.pipeline.portfolio_inputs import PortfolioInputs, load_portfolio_inputs
from lab.pipeline.subjects import PORTFOLIO_FAMILY, subject_of
from lab.pipeline.tuning import searched
from lab.search import DataIdentity, Judgement, Ledger, TrialBatch, WalkForwardResult
from lab.strategies import load, load_portfolio
from lab.tracking import ChildRecord, TrackedRun, Tracker
from lab.validation.overfitting import sharpe_statistics

__all__ = ["Reproduction", "recorded_inputs", "reproduce"]

_TABLES: Final = ("orders", "trades", "equity", "returns")
# What runs of earlier versions did not keep.
_LATER: Final = frozenset({"pbo_moments"})


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


@dataclass(frozen=True, slots=True, eq=False)
class _Rebuilt:
    """Tables, figures and parts of a run, made anew."""

    tables: dict[str, pl.DataFrame]
    figures: dict[str, Any]
    parts: tuple[ChildRecord, ...] = ()


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
    """Run a logged backtest or tune, of a strategy or a portfolio, again and compare with what was recorded.

    A part of a run (a fold, the winner, a trial) is compared together with the run that it belongs to.

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
        If the run left nothing to compare with, or its markets are gone.
    """
    tracker = Tracker(root)
    asked = tracker.load_run(run_id)
    run = asked if asked.parent is None else tracker.load_run(asked.parent)
    if "result.json" not in run.artifacts:
        raise DataError(
            f"run {run_id} recorded no result; it never completed, and there is nothing to compare"
        )
    recorded = run.result
    if recorded.get("kind") not in {"backtest", "tune"}:
        raise DataError(_instead(run, recorded))
    inputs = recorded_inputs(run, recorded, root)
    rebuilt = _rebuilt(inputs, recorded, root)
    compared, differences = _compare(run, recorded, rebuilt)
    if asked is not run:
        compared = (*compared, asked.name)
        differences += _compare_part(asked, rebuilt.parts)
    found = circumstances(run, recorded, inputs, root)
    return Reproduction(not differences, compared, (*found, *differences))


def _instead(run: TrackedRun, recorded: dict[str, Any]) -> str:
    """Say what to do with a run that is not made again from its id."""
    if recorded.get("kind") != "campaign":
        return (
            f"run {run.run_id} is a {run.kind or 'run'}, which is not run again from its id; expected a "
            "backtest or a tune. Run the command that made it again"
        )
    return (
        f"run {run.run_id} is a campaign, which reads its members' files beside its own and kept none of "
        "them. 'mnemo campaign FILE' with the campaign's file makes it again and writes its tables to "
        f"reports/campaigns/{recorded.get('campaign_id')}; where bars, files and code are the same, they "
        f"have the bytes of those in {run.artifacts['result.json'].parent}"
    )


def recorded_inputs(run: TrackedRun, recorded: dict[str, Any], root: Path) -> Inputs | PortfolioInputs:
    """Return what a run read: the files that it kept, and the stored bars of the same time."""
    first = datetime.fromisoformat(recorded["data_first"])
    last = datetime.fromisoformat(recorded["data_last"])
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / f"{recorded['strategy_id']}.yaml"
        file.write_text(run.config, encoding="utf-8")
        if recorded["family"] != PORTFOLIO_FAMILY:
            instance = load(file)
            return load_inputs(instance, root=root, start=first, end=last + instance.timeframe.duration)
        kept = [run.artifacts[name] for name in sorted(run.artifacts) if name.startswith("instance_")]
        if not kept:
            raise DataError(
                f"run {run.run_id} of a portfolio did not keep its instances' files; it was logged by an "
                "earlier version. Run 'mnemo backtest' on the portfolio's file and compare the fingerprints"
            )
        portfolio = load_portfolio(file, kept)
    return load_portfolio_inputs(portfolio, root=root, start=first, end=last + portfolio.timeframe.duration)


def _rebuilt(inputs: Inputs | PortfolioInputs, recorded: dict[str, Any], root: Path) -> _Rebuilt:
    ledger = _RecordedLedger(Ledger(root), recorded["ledger_head"])
    if recorded["kind"] == "tune" and isinstance(inputs, Inputs):
        trials, seed = recorded["trials_per_fold"], recorded["seed"]
        engine = recorded.get("search_engine", "fused")
        return _of_search(searched(inputs, trials=trials, seed=seed, ledger=ledger, engine=engine))
    done, subject = evaluate(inputs), subject_of(inputs)
    judgement = ledger.judge(subject.family, subject.identity)
    figures = {
        "deflated_sharpe": judgement.deflated(sharpe_statistics(done.result.bars.returns)),
        "n_trials": judgement.n_trials,
        "metrics": dict(done.result.metrics),
    }
    return _Rebuilt({**_tables(done.result, done.weights), **done.tables}, figures)


def _of_search(found: WalkForwardResult) -> _Rebuilt:
    tables = {**_tables(found.oos, found.oos_weights), "folds": found.folds, "trials": found.trials}
    if found.pbo_moments is not None:
        tables["pbo_moments"] = found.pbo_moments
    figures = {
        "deflated_sharpe": found.deflated_sharpe,
        "pbo": found.pbo,
        "n_trials": found.n_trials,
        "metrics": dict(found.oos.metrics),
    }
    return _Rebuilt(tables, figures, parts_of(found, len(found.trial_table)))


def _tables(result: BacktestResult, weights: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return {"weights": weights, **{name: getattr(result, name) for name in _TABLES}}


def _compare(
    run: TrackedRun, recorded: dict[str, Any], rebuilt: _Rebuilt
) -> tuple[tuple[str, ...], list[str]]:
    differences = []
    tables = {
        name: table
        for name, table in rebuilt.tables.items()
        if f"{name}.parquet" in run.artifacts or name not in _LATER
    }
    for name, table in tables.items():
        if f"{name}.parquet" not in run.artifacts:
            differences.append(f"table {name}: it is not among the run's artifacts any more")
        elif run.artifacts[f"{name}.parquet"].read_bytes() != parquet_bytes(table):
            differences.append(f"table {name}: {_first_difference(run.table(name), table)}")
    # Through JSON, as the record went: floats survive it to the bit, NaN becomes null.
    again = json.loads(json.dumps(rebuilt.figures), parse_constant=lambda _: None)
    for name, value in again.items():
        if recorded[name] != value:
            differences.append(f"figure {name}: {_figures(recorded[name], value)}")
    return (*tables, *rebuilt.figures), differences


def _compare_part(asked: TrackedRun, parts: tuple[ChildRecord, ...]) -> list[str]:
    """Compare a child run's figures with those of the part that has its name."""
    part = next((one for one in parts if one.name == asked.name), None)
    if part is None:
        return [f"{asked.name}: the run made again has no such part"]
    again = {name: value for name, value in part.metrics.items() if name in asked.metrics}
    return [
        f"{asked.name}: {name} {again.get(name)} now, {value} recorded"
        for name, value in asked.metrics.items()
        if again.get(name) != value
    ]


def _figures(before: Any, now: Any) -> str:
    if not isinstance(before, dict) or not isinstance(now, dict):
        return f"{now} now, {before} recorded"
    other = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    first = other[0]
    return f"{first} {now.get(first)} now, {before.get(first)} recorded ({len(other)} of {len(now)} differ)"


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
