"""Walk-forward tuning of one instance: search, judge, log."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from lab.pipeline.benchmark import buy_and_hold
from lab.pipeline.inputs import Inputs, load_inputs
from lab.pipeline.parity import certificate_of
from lab.pipeline.parts import DEFAULT_LOGGED_TRIALS, parts_of
from lab.pipeline.records import document_of, fingerprint, numbers, provenance_of, tables_of
from lab.pipeline.search_tables import rows_between, search_tables
from lab.pipeline.subjects import texts_of
from lab.search import Ledger, WalkForwardResult, discard, walk_forward
from lab.search.capacity import require_capacity, search_size
from lab.search.evaluation import SearchEngine
from lab.search.ledger import TrialCounter
from lab.strategies import StrategyInstance
from lab.tracking import RunRecord, Tracker, usage
from lab.validation.splits import WalkForward

__all__ = ["TuneRun", "searched", "tune"]

_PRINTED: Final = (
    "folds",
    "trials",
    "deflated_sharpe",
    "expected_max_sharpe",
    "pbo",
    "engine_difference",
    "data_hash",
    "config_hash",
    "best_parameters",
    "fingerprint",
    "status",
    "warnings",
)

Progress = Callable[[int, int], None]
Done = TypeVar("Done")


@dataclass(frozen=True, slots=True, eq=False)
class TuneRun:
    """A logged walk-forward search.

    Attributes
    ----------
    run_id : str
        Of the parent MLflow run.
    instance : StrategyInstance
        What was tuned.
    search : WalkForwardResult
        What was found.
    document : mapping
        What ``mnemo tune --json`` prints.
    """

    run_id: str
    instance: StrategyInstance
    search: WalkForwardResult
    document: dict[str, Any]


def tune(
    config: StrategyInstance | Path | str,
    *,
    root: Path,
    seed: int = 0,
    trials: int | None = None,
    workers: int = 1,
    start: datetime | None = None,
    end: datetime | None = None,
    log_trials: int = DEFAULT_LOGGED_TRIALS,
    progress: Progress | None = None,
    engine: SearchEngine = "fused",
) -> TuneRun:
    """Tune an instance walk-forward, judge the stitched out-of-sample path and log everything.

    Finished trials are stored under ``data/tunes`` until the run is logged: after a kill, the same call goes
    on where it was and gives the same result.

    Parameters
    ----------
    config : StrategyInstance or path
        The instance, or its file.
    root : pathlib.Path
        Folder that holds ``data/``, ``mlruns/`` and ``reports/``.
    seed : int
        Decides every draw of the sampler.
    trials : int, optional
        Parameter sets per fold; the file's figure by default.
    workers : int
        Threads that evaluate; the result does not depend on it.
    start, end : datetime, optional
        Only bars with ``start <= ts < end``.
    log_trials : int
        Trials that become runs of their own, the best in training; all of them are in one table anyway.
    progress : callable, optional
        Called with (trials done, trials in all).
    engine : {"fused", "vectorbt"}
        What simulates the trials; winners, tests and the stitched path always run in both.

    Raises
    ------
    ConfigError, DataError, InsufficientHistoryError
        If the file is wrong, a market is unknown, or the bars are too few for the folds.
    """
    began, clock = datetime.now(UTC), time.perf_counter()
    tracker = Tracker(root)
    with usage() as samples:
        inputs = load_inputs(config, root=root, start=start, end=end)
        # Before the search, during which its author may go on editing the file.
        text, _ = texts_of(inputs)
        prepared = _seconds(tracker.prepare)[1]
        trials = inputs.instance.search.trials if trials is None else trials
        _require_capacity(inputs, trials)
        found = searched(
            inputs,
            trials=trials,
            seed=seed,
            ledger=Ledger(root),
            workers=workers,
            progress=progress,
            engine=engine,
            resume=root / "data" / "tunes",
        )
        record, printed = _record(inputs, text, found, trials, began, log_trials, engine)
    run_id, logged = _seconds(lambda: tracker.log(record.with_usage(samples)))
    discard(found.progress)
    document = {
        "run_id": run_id,
        **printed,
        "tracking_seconds": prepared + logged,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "seconds": time.perf_counter() - clock,
    }
    return TuneRun(run_id, inputs.instance, found, document)


def _seconds(action: Callable[[], Done]) -> tuple[Done, float]:
    """Do it; return what comes of it, and how long it took."""
    began = time.perf_counter()
    done = action()
    return done, time.perf_counter() - began


def searched(
    inputs: Inputs,
    *,
    trials: int,
    seed: int,
    ledger: TrialCounter,
    workers: int = 1,
    progress: Progress | None = None,
    engine: SearchEngine = "fused",
    resume: Path | None = None,
) -> WalkForwardResult:
    """Return the walk-forward search of an instance as its file asks for it: for a tune, and made again."""
    return walk_forward(
        inputs.instance,
        inputs.panel,
        splitter=WalkForward.from_settings(inputs.instance.search),
        trials=trials,
        seed=seed,
        workers=workers,
        ledger=ledger,
        progress=progress,
        engine=engine,
        resume=resume,
    )


def _require_capacity(inputs: Inputs, trials: int) -> None:
    """Refuse a search too large for this machine, before any work."""
    import psutil

    instance = inputs.instance
    # The warm-up takes some bars away, so that these are the folds at most.
    folds = WalkForward.from_settings(instance.search).get_n_splits(len(inputs.panel))
    size = search_size(instance.search.sampler, instance.space, trials=trials, folds=folds)
    require_capacity(size, free_bytes=psutil.virtual_memory().available)


def _record(
    inputs: Inputs,
    text: str,
    found: WalkForwardResult,
    trials: int,
    began: datetime,
    log_trials: int,
    engine: SearchEngine,
) -> tuple[RunRecord, dict[str, Any]]:
    benchmark = buy_and_hold(rows_between(inputs.panel, found.oos.returns["ts"]), inputs.instance.costs)
    tables = tables_of(inputs, found.oos, benchmark, found.oos_weights)
    judged = _judged(inputs, found, trials, fingerprint(tables, found.oos.metrics))
    document = document_of(inputs, found.oos, benchmark, **judged)
    document |= {
        "engine_difference": found.engine_difference,
        "status": found.status,
        "search_engine": engine,
    }
    shown = {"deflated_sharpe": found.deflated_sharpe, "n_trials": found.n_trials}
    if found.pbo is not None:
        shown["pbo"] = found.pbo
    record = RunRecord(
        name=inputs.instance.strategy_id,
        kind="tune",
        started=began,
        ended=datetime.now(UTC),
        provenance=provenance_of(
            inputs,
            seed=found.seed,
            engine_difference=found.engine_difference,
            ledger_head=found.ledger_head,
        ),
        config=text,
        params={**found.best_params, **_search_params(inputs.instance, trials)},
        metrics={**numbers(found.oos.metrics), **shown},
        result=document,
        tables={**tables, **search_tables(inputs, found)},
        children=parts_of(found, log_trials),
    )
    return record, _printed(document, found)


def _judged(inputs: Inputs, found: WalkForwardResult, trials: int, mark: str) -> dict[str, Any]:
    return {
        "kind": "tune",
        "seed": found.seed,
        "folds": found.folds.height,
        "trials": len(found.trial_table),
        "trials_per_fold": trials,
        "best_parameters": dict(found.best_params),
        "deflated_sharpe": found.deflated_sharpe,
        "expected_max_sharpe": found.expected_max_sharpe,
        "pbo": found.pbo,
        "n_trials": found.n_trials,
        "ledger_head": found.ledger_head,
        "search": inputs.instance.search.model_dump(mode="json"),
        "certificate": certificate_of(inputs.instance.with_params(found.best_params), inputs.panel).report(),
        "fingerprint": mark,
    }


def _printed(document: dict[str, Any], found: WalkForwardResult) -> dict[str, Any]:
    return {
        **{key: document[key] for key in _PRINTED},
        "oos": dict(found.oos.metrics),
        "n_trials_ledger": found.n_trials,
    }


def _search_params(instance: StrategyInstance, trials: int) -> dict[str, str | int]:
    settings = instance.search
    return {
        "search_splitter": settings.splitter,
        "search_sampler": settings.sampler,
        "search_trials": trials,
        "search_train_bars": settings.train_bars,
        "search_test_bars": settings.test_bars,
    }
