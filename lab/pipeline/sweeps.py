"""A sweep over stored bars: planned, counted, and kept in blocks that a killed run leaves whole."""

from __future__ import annotations

import resource
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from feature_store.atomic import exclusive, write_parquet
from lab.backtest import METRICS, Clocks, Sweep, SweepPlan, plan_sweep
from lab.core.hashing import digest
from lab.pipeline.inputs import Inputs, load_inputs
from lab.search import Ledger, TrialBatch, parameter_hash, sketch
from lab.search.sketches import SKETCH_SIZE
from lab.search.trials import DataIdentity, panel_hash
from lab.strategies import StrategyInstance

__all__ = ["SweepRun", "sweep"]

# Sets of a block: what a killed run loses at most. Part of the identity, for blocks are files.
BLOCK: Final = 2_000
FIGURES: Final = ("sharpe", "total_return", "max_drawdown", "turnover", "time_in_market")

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class SweepRun:
    """A finished sweep.

    Attributes
    ----------
    folder : Path
        Parquet files, one per block of sets, in order: parameters and metrics.
    plan : SweepPlan
        What was predicted before it began.
    document : mapping
        What ``mnemo sweep --json`` prints.
    """

    folder: Path
    plan: SweepPlan
    document: dict[str, Any]

    def frame(self) -> pl.LazyFrame:
        """Return all rows, lazily."""
        return pl.scan_parquet(self.folder / "block-*.parquet")


def sweep(
    config: StrategyInstance | Path | str,
    grid: Mapping[str, Sequence[Any]],
    *,
    root: Path,
    metrics: Sequence[str] = FIGURES,
    workers: int | None = None,
    memory_mb: float | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    progress: Progress | None = None,
    clocks: Clocks = Clocks(),  # noqa: B008
) -> SweepRun:
    """Run all combinations of `grid` around an instance's parameters; count every one of them as a trial.

    Blocks of 2,000 sets are written under ``data/sweeps``, in a folder named by the hash of everything
    that a figure depends on. Run again after a kill, it continues with the first block that is missing, and
    leaves the same bytes.

    Parameters
    ----------
    config : StrategyInstance or path
        Bars, costs, risk, and the parameters that the grid does not name.
    grid : mapping of str to sequence
        Values per parameter; the last one varies fastest.
    root : Path
        Folder that holds ``data/``.
    metrics : sequence of str
        Columns of the result beside the Sharpe ratio, which is always there.
    workers, memory_mb
        See :func:`lab.backtest.sweep`.
    start, end : datetime, optional
        Only bars with ``start <= ts < end``; timezone-aware.
    progress : callable, optional
        Called with sets done and their total.
    clocks : Clocks
        Seconds; figures do not depend on them.
    """
    inputs = load_inputs(config, root=root, start=start, end=end)
    wanted = tuple(name for name in METRICS if name in (*metrics, "sharpe"))
    whole = {**_fixed(inputs.instance, grid), **grid}
    recorder = _Recorder(inputs)
    prepared = Sweep(
        inputs.instance.strategy,
        whole,
        inputs.panel,
        costs=inputs.instance.costs,
        risk=inputs.instance.risk,
        metrics=wanted,
        workers=workers,
        memory_mb=memory_mb,
        observe=recorder.observe,
    )
    folder = root / "data" / "sweeps" / _identity(inputs, whole, wanted)

    def tried(places: Sequence[int]) -> None:
        recorder.run(prepared, places)[1].to_body()

    plan = plan_sweep(prepared, run=tried, rows_kept=BLOCK, clocks=clocks)
    wall, processor = clocks.wall(), clocks.processor()
    with exclusive(folder):
        done = _run_blocks(prepared, recorder, folder, Ledger(root), progress)
    took = {"seconds": clocks.wall() - wall, "processor_seconds": clocks.processor() - processor}
    document = _document(inputs, folder, plan, Ledger(root))
    document |= {"sets": len(prepared), "sets_run": done, **took}
    if done and done == len(prepared):
        document["plan_error"] = _errors(plan, took, document["peak_rss_mb"])
    return SweepRun(folder, plan, document)


def _errors(plan: SweepPlan, took: Mapping[str, float], peak_mb: float) -> dict[str, float]:
    """Return by what share the plan was above what the whole sweep took."""
    planned = {"seconds": plan.seconds, "processor_seconds": plan.processor_seconds}
    errors = {name: planned[name] / seconds - 1.0 for name, seconds in took.items() if seconds}
    return errors | {"peak_mb": plan.peak_mb / peak_mb - 1.0}


class _Recorder:
    """Sketches of the returns of one block's trials, as the sweep's threads come by with them."""

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self.content = panel_hash(inputs.panel)
        self._bars = inputs.panel.bar
        self._rows: dict[int, int] = {}
        self._sketches = np.zeros((0, SKETCH_SIZE), dtype=np.float16)

    def observe(self, places: Sequence[int], returns: Array) -> None:
        self._sketches[[self._rows[place] for place in places]] = sketch(returns, self._bars)

    def run(self, prepared: Sweep, places: Sequence[int]) -> tuple[pl.DataFrame, TrialBatch]:
        """Return rows and trials of the sets at `places`."""
        self._rows = {place: row for row, place in enumerate(places)}
        self._sketches = np.zeros((len(places), SKETCH_SIZE), dtype=np.float16)
        rows = prepared.pick(places)
        return rows, self._batch(prepared, rows)

    def _batch(self, prepared: Sweep, rows: pl.DataFrame) -> TrialBatch:
        """Return the block's trials; a set that never traded has a Sharpe ratio of 0."""
        panel = self.inputs.panel
        root = float(np.sqrt(panel.timeframe.periods_per_year))
        return TrialBatch.of(
            self.inputs.instance,
            panel,
            positions=np.arange(len(panel)),
            parameter_hashes=[
                parameter_hash(prepared.sets.params(place).model_dump(mode="json")) for place in self._rows
            ],
            sharpes=np.nan_to_num(rows["sharpe"].to_numpy() / root),
            sketches=self._sketches,
            content_hash=self.content,
        )


def _run_blocks(
    prepared: Sweep,
    recorder: _Recorder,
    folder: Path,
    ledger: Ledger,
    progress: Progress | None,
) -> int:
    """Run the blocks that are missing; return how many sets that were."""
    done = 0
    for start in range(0, len(prepared), BLOCK):
        stop = min(start + BLOCK, len(prepared))
        path = folder / f"block-{start // BLOCK:06d}.parquet"
        if not path.exists():
            rows, trials = recorder.run(prepared, range(start, stop))
            # Counted first: a kill between the two repeats trials, which counts them once.
            ledger.append(trials)
            write_parquet(path, rows)
            done += stop - start
        if progress is not None:
            progress(stop, len(prepared))
    return done


def _fixed(instance: StrategyInstance, grid: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Return the instance's own parameters that differ from the family's defaults, as grids of one value."""
    given = instance.params.model_dump(exclude_defaults=True)
    return {name: [value] for name, value in given.items() if name not in grid}


def _identity(inputs: Inputs, grid: Mapping[str, Sequence[Any]], metrics: Sequence[str]) -> str:
    instance = inputs.instance
    return digest(
        {
            "family": instance.strategy.family,
            "version": instance.strategy.version,
            "data": inputs.data_hash,
            "markets": list(instance.markets),
            "costs": instance.costs.identity(),
            "risk": instance.risk.model_dump(mode="json"),
            "grid": [[name, list(values)] for name, values in grid.items()],
            "metrics": list(metrics),
            "block": BLOCK,
        }
    )[:16]


def _document(inputs: Inputs, folder: Path, plan: SweepPlan, ledger: Ledger) -> dict[str, Any]:
    instance, panel = inputs.instance, inputs.panel
    judgement = ledger.judge(instance.strategy.family, DataIdentity.of(instance.markets, instance.timeframe))
    root = float(np.sqrt(panel.timeframe.periods_per_year))
    rows = pl.scan_parquet(folder / "block-*.parquet")
    best = rows.filter(pl.col("sharpe").is_not_nan()).sort("sharpe", descending=True).head(10).collect()
    return {
        "folder": str(folder),
        "features": plan.features,
        "plan": asdict(plan),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "best": best.to_dicts(),
        # What the best of so many trials without any edge would show, annualised.
        "luck_sharpe": judgement.expected_max(len(panel)) * root,
        "n_trials_ledger": judgement.n_trials,
        "data_hash": inputs.data_hash,
    }
