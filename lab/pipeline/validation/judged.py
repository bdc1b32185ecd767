"""What is judged: the decisions of a run or a file, and the bars that they were made on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.core.errors import ConfigError, DataError
from lab.core.panel import Panel
from lab.pipeline.evaluations import evaluate
from lab.pipeline.inputs import Inputs, load_inputs
from lab.pipeline.parts import parameters_of
from lab.pipeline.reproduction import recorded_inputs
from lab.pipeline.settings import load_file
from lab.strategies import Portfolio, StrategyInstance
from lab.tracking import TrackedRun, Tracker

__all__ = ["Judged", "Segment", "judged_config", "judged_run"]

Array = NDArray[np.float64]

_KINDS: Final = ("backtest", "tune")


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Bars ``start … stop - 1`` of a panel, and the instance that decided on them."""

    start: int
    stop: int
    instance: StrategyInstance


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Decisions, bars and account of a result.

    Parameters
    ----------
    name : str
        Of the run, or the file.
    run_id : str or None
        None for a file.
    kind : str
        ``tune``, ``backtest`` or ``config``.
    inputs : Inputs
        Bars, with the instance as its file has it.
    segments : tuple of Segment
        In time order, without gaps: the folds of a search, or one.
    recorded : mapping
        The run's result document; empty for a file.
    trials : polars.DataFrame or None
        Of a search.
    engine_difference : float
        As recorded, or as found now.
    """

    name: str
    run_id: str | None
    kind: str
    inputs: Inputs
    segments: tuple[Segment, ...]
    recorded: Mapping[str, Any] = field(default_factory=dict)
    trials: pl.DataFrame | None = None
    engine_difference: float = float("nan")
    failed: bool = False

    @property
    def instance(self) -> StrategyInstance:
        """The instance that would decide next."""
        return self.segments[-1].instance

    @property
    def first(self) -> int:
        """Position of the account's first bar."""
        return self.segments[0].start

    @property
    def stop(self) -> int:
        """Position after the account's last bar."""
        return self.segments[-1].stop

    @property
    def panel(self) -> Panel:
        """The account's bars."""
        return self.inputs.panel.rows(self.first, self.stop)

    @property
    def held_out(self) -> bool:
        """Whether the parameters were chosen without these bars."""
        return self.kind == "tune"

    def weights(self, panel: Panel | None = None) -> Array:
        """Return the decisions on the account's bars, shape (T, N), made on the whole history.

        Parameters
        ----------
        panel : Panel, optional
            Another history of the same bars and markets.
        """
        seen = self.inputs.panel if panel is None else panel
        return np.concatenate([one.instance.decide(seen)[one.start : one.stop] for one in self.segments])


def judged_run(run_id: str, *, root: Path) -> Judged:
    """Return the result of a logged backtest or search, on the stored bars that it was made on.

    Raises
    ------
    ConfigError
        If no run has that id, or it is no backtest or search of one strategy.
    DataError
        If the bars, or what the strategy decides on them, are not what they were.
    """
    tracker = Tracker(root)
    run = tracker.load_run(run_id)
    run = run if run.parent is None else tracker.load_run(run.parent)
    if "result.json" not in run.artifacts or run.result.get("kind") not in _KINDS:
        raise ConfigError(
            f"run {run_id} is no finished backtest or tune; expected the id that one of them printed"
        )
    recorded = run.result
    inputs = recorded_inputs(run, recorded, root)
    if not isinstance(inputs, Inputs):
        raise ConfigError(
            f"run {run_id} is a portfolio's; validate the instances that it is made of, one by one"
        )
    if inputs.data_hash != recorded["data_hash"]:
        raise DataError(
            f"run {run_id}: its bars have changed since ({recorded['data_hash'][:12]} recorded, "
            f"{inputs.data_hash[:12]} now), so that its figures cannot be judged by them. Run it again, or "
            f"ask 'mnemo reproduce {run_id}' what changed"
        )
    judged = Judged(
        name=run.name,
        run_id=run.run_id,
        kind=str(recorded["kind"]),
        inputs=inputs,
        segments=_folds(run, inputs) if recorded["kind"] == "tune" else (_whole(inputs),),
        recorded=recorded,
        trials=run.table("trials") if recorded["kind"] == "tune" else None,
        engine_difference=float(recorded["engine_difference"] or 0.0),
        failed="FAILED" in (run.status, recorded.get("status")),
    )
    _require_same(judged, run)
    return judged


def judged_config(path: Path | str, *, root: Path) -> Judged:
    """Return what a strategy file does on its stored bars, with its own parameters, in both engines.

    Raises
    ------
    ConfigError, DataError
        As :func:`~lab.pipeline.inputs.load_inputs`; or if the file is a portfolio's.
    """
    loaded = load_file(path)
    if isinstance(loaded, Portfolio):
        raise ConfigError(f"{path} is a portfolio; validate the instances that it is made of, one by one")
    inputs = load_inputs(loaded, root=root)
    result = evaluate(inputs).result
    difference = result.engine_difference
    return Judged(
        name=loaded.strategy_id,
        run_id=None,
        kind="config",
        inputs=inputs,
        segments=(_whole(inputs),),
        engine_difference=float("inf") if difference is None else difference,
        failed=result.status == "FAILED",
    )


def _whole(inputs: Inputs) -> Segment:
    return Segment(0, len(inputs.panel), inputs.instance)


def _folds(run: TrackedRun, inputs: Inputs) -> tuple[Segment, ...]:
    """Return each fold's test bars with the winner that decided on them."""
    segments = []
    for row in run.table("folds").iter_rows(named=True):
        ends = pl.Series([row["test_start"], row["test_end"]]).dt.replace_time_zone(None).to_numpy()
        start, last = np.searchsorted(inputs.panel.ts, ends.astype("datetime64[us]"))
        segments.append(Segment(int(start), int(last) + 1, inputs.instance.with_params(parameters_of(row))))
    return tuple(segments)


def _require_same(judged: Judged, run: TrackedRun) -> None:
    """Refuse to judge decisions that are not those of the run."""
    now = judged.panel.to_frame(judged.weights(), "weight")
    before = run.table("weights")
    if not now.equals(before.select(now.columns)):
        raise DataError(
            f"run {judged.run_id}: the strategy does not decide what it decided then; its code was changed. "
            f"Ask 'mnemo reproduce {judged.run_id}' what changed, or run it again"
        )
