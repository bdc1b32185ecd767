"""Optuna's samplers, asked and told in batches: the only module that imports Optuna."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from lab.strategies import Choice, Dimension

__all__ = ["OptunaProposer"]

# Small where the sampler learns from every set; a generation where it learns from generations.
_BATCHES: Final = {"tpe": 8, "random": 64, "cmaes": 8, "nsga2": 32}


class OptunaProposer:
    """One of Optuna's samplers, in memory: one study, one thread.

    - ``tpe``: with the constant-liar strategy, so that the sets of one batch differ.
    - ``cmaes``: with margin, for integers; generations of 8; choices are ordered numbers.
    - ``nsga2``: generations of 32, ranked by all objectives.
    - ``random``.

    Parameters
    ----------
    space : mapping of str to Range or Choice
    sampler : {"tpe", "random", "cmaes", "nsga2"}
    seed : int
    objectives : int
        How many values every set is told with; more than one for ``nsga2`` alone.
    """

    def __init__(
        self, space: Mapping[str, Dimension], sampler: str, seed: int, *, objectives: int = 1
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._failed = optuna.trial.TrialState.FAIL
        self.batch_size = _BATCHES[sampler]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            made = _SAMPLERS[sampler](optuna.samplers, seed, self.batch_size)
            self._study = optuna.create_study(directions=["maximize"] * objectives, sampler=made)
        # CMA-ES knows no categories; the options of a choice are numbers, and their order means something.
        self._ordered = {
            name: tuple(sorted(dimension.options))
            for name, dimension in space.items()
            if sampler == "cmaes" and isinstance(dimension, Choice)
        }
        self._distributions = {
            name: _places(self._ordered[name]) if name in self._ordered else _distribution(space[name])
            for name in sorted(space)
        }
        self._pending: list[Any] = []

    def ask(self, count: int) -> list[dict[str, int | float]]:
        """Return the next `count` sets."""
        self._pending = [self._study.ask(self._distributions) for _ in range(count)]
        return [
            {
                name: self._ordered[name][value] if name in self._ordered else value
                for name, value in trial.params.items()
            }
            for trial in self._pending
        ]

    def tell(self, values: Sequence[float | tuple[float, ...] | None]) -> None:
        """Report the objectives of the sets last asked for."""
        for trial, value in zip(self._pending, values, strict=True):
            if value is None:
                self._study.tell(trial, state=self._failed)
            else:
                self._study.tell(trial, value)
        self._pending = []


def _tpe(samplers: Any, seed: int, batch: int) -> Any:
    return samplers.TPESampler(seed=seed, constant_liar=True)


def _random(samplers: Any, seed: int, batch: int) -> Any:
    return samplers.RandomSampler(seed=seed)


def _cmaes(samplers: Any, seed: int, batch: int) -> Any:
    # What it cannot sample (a space of one dimension, the first generation) is drawn at random.
    drawn = samplers.RandomSampler(seed=seed)
    return samplers.CmaEsSampler(
        seed=seed, popsize=batch, with_margin=True, independent_sampler=drawn, warn_independent_sampling=False
    )


def _nsga2(samplers: Any, seed: int, batch: int) -> Any:
    return samplers.NSGAIISampler(seed=seed, population_size=batch)


_SAMPLERS: Final[Mapping[str, Callable[[Any, int, int], Any]]] = {
    "tpe": _tpe,
    "random": _random,
    "cmaes": _cmaes,
    "nsga2": _nsga2,
}


def _places(options: Sequence[int | float]) -> Any:
    from optuna import distributions

    return distributions.IntDistribution(0, len(options) - 1)


def _distribution(dimension: Dimension) -> Any:
    from optuna import distributions

    if isinstance(dimension, Choice):
        return distributions.CategoricalDistribution(dimension.options)
    if dimension.is_integer:
        step = 1 if dimension.step is None else int(dimension.step)
        return distributions.IntDistribution(
            int(dimension.low), int(dimension.high), log=dimension.log, step=step
        )
    return distributions.FloatDistribution(
        float(dimension.low), float(dimension.high), log=dimension.log, step=dimension.step
    )
