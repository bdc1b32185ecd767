"""The study: many worlds of known truth, the whole pipeline on each, and the rates that come out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lab.core.errors import ConfigError
from lab.core.panel import Panel
from lab.data.worlds import WORLDS, World, make_world
from lab.pipeline.calibration.outcomes import Outcome, findings
from lab.pipeline.calibration.planting import Planter, in_synthetic_markets, seed_of
from lab.search import MemoryLedger, walk_forward
from lab.search.selection import select, warm_up_of
from lab.strategies import StrategyInstance, load
from lab.validation.splits import WalkForward
from lab.validation.verdict import REQUIRED_CONFIDENCE, TOLERATED_OVERFITTING

__all__ = ["METHODS", "Calibration", "calibrate"]

Progress = Callable[[str, int, int], None]
Clock = Callable[[], float]

# Of worlds without an edge, this share may be promoted: the level that the gate promises.
PROMISED: Final = 1.0 - REQUIRED_CONFIDENCE
_SEARCH_STREAM: Final = 2_000
_PLANTED_STREAM: Final = 3_000


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What the study found.

    Attributes
    ----------
    document : mapping
        What ``mnemo calibrate --json`` prints.
    outcomes : mapping of str to tuple of Outcome
        By world; ``planted`` among them.
    """

    document: dict[str, Any]
    outcomes: dict[str, tuple[Outcome, ...]]

    @property
    def broken(self) -> bool:
        """Whether noise is promoted more often than the gate promises, beyond doubt."""
        return bool(self.document["false_promotion"]["lower_95"] > PROMISED)


def calibrate(
    config: StrategyInstance | Path | str,
    *,
    worlds: int = 400,
    trials: int = 100,
    seed: int = 0,
    method: str = "sweep",
    sharpe: float = 1.5,
    years: float = 4.0,
    workers: int = 1,
    progress: Progress | None = None,
    clock: Clock = time.perf_counter,
) -> Calibration:
    """Run a strategy's search, selection and gates on worlds whose truth is known, and count.

    Nothing is written and no ledger is touched: every world has one of its own, in memory.

    Parameters
    ----------
    config : StrategyInstance or path
        Family, parameters (what is planted), costs, limits and search; its markets are replaced by as many
        synthetic ones.
    worlds : int
        Of plain noise; a quarter as many of each other kind without edge, half as many with the planted one.
    trials : int
        Parameter sets tried per world (walk-forward: per fold).
    seed : int
    method : {"sweep", "walk_forward"}
        ``sweep`` searches all bars and judges the best on the same ones; ``walk_forward`` runs
        :func:`lab.search.walk_forward`, many times slower.
    sharpe : float
        Annual Sharpe ratio of the planted edge, net of costs.
    years : float
        Of bars that the selected set is judged by.
    workers : int
        Threads; the result does not depend on it.
    progress : callable, optional
        Called with (world, done, total).

    Raises
    ------
    ConfigError
        If a figure is out of range, or the strategy reads more than bars.
    """
    _check(worlds, trials, seed, method, sharpe, years, workers)
    began = clock()
    instance = in_synthetic_markets(config if isinstance(config, StrategyInstance) else load(config))
    pipeline = _Pipeline(instance, method, trials, seed, round(years * instance.timeframe.periods_per_year))
    planter = Planter(instance, sharpe, pipeline.bars, seed)
    counts = {name: worlds if name == "noise" else max(worlds // 4, 1) for name in WORLDS}
    outcomes = {
        name: tuple(_run(pipeline.bare(name, count), name, count, workers, progress))
        for name, count in counts.items()
    }
    planted = list(_planted(planter, max(worlds // 2, 1), progress))
    jobs = (_job(pipeline, world.panel(), _PLANTED_STREAM, number) for number, world in enumerate(planted))
    outcomes["planted"] = tuple(_run(jobs, "planted", len(planted), workers, progress))
    earned = [planter.earned(world) for world in planted]
    document = {
        **pipeline.document(),
        "years": years,
        "gates": {"deflated_sharpe": REQUIRED_CONFIDENCE, "pbo": TOLERATED_OVERFITTING},
        **findings(outcomes, sharpe, earned),
        "seconds": clock() - began,
    }
    return Calibration(document, outcomes)


@dataclass(frozen=True, slots=True)
class _Pipeline:
    """Search, selection and gates of one instance."""

    instance: StrategyInstance
    method: str
    trials: int
    seed: int
    judged: int

    @property
    def bars(self) -> int:
        """Bars of a world after the warm-up."""
        search = self.instance.search
        before = search.train_bars + search.purged_bars if self.method == "walk_forward" else 0
        return before + self.judged

    def bare(self, name: str, count: int) -> Iterator[Callable[[], Outcome]]:
        """Yield one job per world of a kind without edge."""
        stream = list(WORLDS).index(name)
        for number in range(count):
            world = make_world(
                name,
                seed=seed_of(self.seed, stream, number),
                bars=warm_up_of(self.instance) + self.bars,
                markets=len(self.instance.markets),
                timeframe=self.instance.timeframe,
            )
            yield _job(self, world.panel(), stream, number)

    def outcome(self, panel: Panel, seed: int) -> Outcome:
        """Return what the pipeline says of a world."""
        if self.method == "sweep":
            return self._of_sweep(panel, seed)
        found = walk_forward(
            self.instance,
            panel,
            splitter=WalkForward.from_settings(self.instance.search),
            trials=self.trials,
            seed=seed,
            ledger=MemoryLedger(),
        )
        overfit = found.pbo is None or found.pbo > TOLERATED_OVERFITTING
        return Outcome(found.oos.metrics["sharpe"], found.deflated_sharpe, found.n_trials, overfit)

    def _of_sweep(self, panel: Panel, seed: int) -> Outcome:
        found = select(self.instance, panel, trials=self.trials, seed=seed, ledger=MemoryLedger())
        good = found.deflated_sharpe >= REQUIRED_CONFIDENCE
        overfit = not good or found.overfitting() > TOLERATED_OVERFITTING
        return Outcome(found.sharpe, found.deflated_sharpe, found.n_trials, overfit)

    def document(self) -> dict[str, Any]:
        """Return what was run, as JSON values."""
        return {
            "strategy_id": self.instance.strategy_id,
            "family": self.instance.strategy.family,
            "timeframe": str(self.instance.timeframe),
            "markets": len(self.instance.markets),
            "method": self.method,
            "sampler": self.instance.search.sampler,
            "trials": self.trials,
            "seed": self.seed,
        }


def _planted(planter: Planter, count: int, progress: Progress | None) -> Iterator[World]:
    for number in range(count):
        yield planter.world(number, _PLANTED_STREAM)
        if progress is not None:
            progress("planting", number + 1, count)


def _job(pipeline: _Pipeline, panel: Panel, stream: int, number: int) -> Callable[[], Outcome]:
    seed = seed_of(pipeline.seed, _SEARCH_STREAM + stream, number) % 2**32
    return lambda: pipeline.outcome(panel, seed)


def _run(
    jobs: Iterable[Callable[[], Outcome]],
    name: str,
    count: int,
    workers: int,
    progress: Progress | None,
) -> Iterator[Outcome]:
    """Yield outcomes in order; a few worlds wait in memory at a time."""
    with ThreadPoolExecutor(workers) as executor:
        source: Iterator[Callable[[], Outcome]] = iter(jobs)
        waiting: list[Future[Outcome]] = []
        for number in range(count):
            while len(waiting) < 2 * workers and (job := next(source, None)) is not None:
                waiting.append(executor.submit(job))
            yield waiting.pop(0).result()
            if progress is not None:
                progress(name, number + 1, count)


def _check(
    worlds: int, trials: int, seed: int, method: str, sharpe: float, years: float, workers: int
) -> None:
    for name, value, least in (
        ("worlds", worlds, 4),
        ("trials", trials, 2),
        ("seed", seed, 0),
        ("workers", workers, 1),
    ):
        if value < least:
            raise ConfigError(f"calibrate: {name} is {value}; expected at least {least}")
    if not 0.1 <= years <= 100:
        raise ConfigError(f"calibrate: years is {years}; expected 0.1 to 100")
    if not -_MOST_SHARPE <= sharpe <= _MOST_SHARPE:
        raise ConfigError(f"calibrate: sharpe is {sharpe}; expected {-_MOST_SHARPE:g} to {_MOST_SHARPE:g}")
    if method not in METHODS:
        raise ConfigError(f"calibrate: method {method!r} unknown; expected {' or '.join(METHODS)}")


METHODS: Final = ("sweep", "walk_forward")
# No edge of this size exists, and prices leave the numbers far beyond it.
_MOST_SHARPE: Final = 100.0
