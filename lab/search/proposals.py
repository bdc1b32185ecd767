"""Which parameter sets to try next: Optuna's samplers and a grid, asked and told in batches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Protocol

import numpy as np

from lab.core.errors import ConfigError
from lab.strategies import Choice, Dimension

__all__ = ["GridProposer", "OptunaProposer", "Proposer", "SamplerName", "proposer_of"]

Number = int | float
Proposal = dict[str, Number]
SamplerName = Literal["tpe", "random", "grid"]

# Sets asked for before any is told: part of the result's definition, so never tied to the number of workers.
# Small where the sampler learns, large where it does not.
_LEARNING_BATCH: Final = 8
_BLIND_BATCH: Final = 64


class Proposer(Protocol):
    """Ask for parameter sets, tell how good they were, in that order and in equal numbers."""

    batch_size: int

    def ask(self, count: int) -> list[Proposal]:
        """Return the next `count` sets."""
        ...

    def tell(self, values: Sequence[float | None]) -> None:
        """Report the objective of the sets last asked for; None for one that could not be evaluated."""
        ...


class OptunaProposer:
    """Optuna's TPE or random sampler, in memory.

    TPE with the constant-liar strategy, so that the sets of one batch differ. One study, one thread.

    Parameters
    ----------
    space : mapping of str to Range or Choice
    sampler : {"tpe", "random"}
    seed : int
    """

    def __init__(self, space: Mapping[str, Dimension], sampler: Literal["tpe", "random"], seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        chosen: optuna.samplers.BaseSampler = (
            optuna.samplers.TPESampler(seed=seed, constant_liar=True)
            if sampler == "tpe"
            else optuna.samplers.RandomSampler(seed=seed)
        )
        self._failed = optuna.trial.TrialState.FAIL
        self._study = optuna.create_study(direction="maximize", sampler=chosen)
        self._distributions = {name: _distribution(space[name]) for name in sorted(space)}
        self._pending: list[Any] = []
        self.batch_size = _LEARNING_BATCH if sampler == "tpe" else _BLIND_BATCH

    def ask(self, count: int) -> list[Proposal]:
        """Return the next `count` sets."""
        self._pending = [self._study.ask(self._distributions) for _ in range(count)]
        return [dict(trial.params) for trial in self._pending]

    def tell(self, values: Sequence[float | None]) -> None:
        """Report the objective of the sets last asked for."""
        for trial, value in zip(self._pending, values, strict=True):
            if value is None:
                self._study.tell(trial, state=self._failed)
            else:
                self._study.tell(trial, value)
        self._pending = []


class GridProposer:
    """Every combination of the space's values, the last parameter (by name) varying fastest.

    A continuous range is given as many evenly spaced points (in the logarithm where it says so) as fit into
    `trials`, at least two. If there are still more combinations than `trials`, evenly spaced ones are taken.

    Parameters
    ----------
    space : mapping of str to Range or Choice
    trials : int
        Most combinations to propose.

    Examples
    --------
    >>> from lab.strategies import Range
    >>> grid = GridProposer({"fast": Range(5, 10, step=5), "slow": Choice((50, 100))}, trials=40)
    >>> grid.ask(3), len(grid)
    ([{'fast': 5, 'slow': 50}, {'fast': 5, 'slow': 100}, {'fast': 10, 'slow': 50}], 4)
    """

    def __init__(self, space: Mapping[str, Dimension], trials: int) -> None:
        self._axes = _axes(space, trials)
        self._total = math.prod(len(values) for values in self._axes.values())
        self._count = min(self._total, trials)
        self._next = 0
        self.batch_size = _BLIND_BATCH

    def __len__(self) -> int:
        return self._count

    def ask(self, count: int) -> list[Proposal]:
        """Return the next `count` combinations, fewer at the end."""
        stop = min(self._next + count, self._count)
        chosen = [self._combination(index * self._total // self._count) for index in range(self._next, stop)]
        self._next = stop
        return chosen

    def tell(self, values: Sequence[float | None]) -> None:
        """Do nothing: a grid learns nothing."""

    def _combination(self, index: int) -> Proposal:
        chosen: Proposal = {}
        for name, values in reversed(self._axes.items()):
            index, position = divmod(index, len(values))
            chosen[name] = values[position]
        return dict(reversed(chosen.items()))


def proposer_of(sampler: SamplerName, space: Mapping[str, Dimension], *, trials: int, seed: int) -> Proposer:
    """Return the proposer called `sampler`.

    Raises
    ------
    ConfigError
        If the name is unknown or the space is empty.
    """
    if not space:
        raise ConfigError("search: the strategy declares no parameter to vary; its space is empty")
    if sampler == "grid":
        return GridProposer(space, trials)
    if sampler in {"tpe", "random"}:
        return OptunaProposer(space, sampler, seed)
    raise ConfigError(f"search: sampler {sampler!r} unknown; expected tpe, random or grid")


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


def _axes(space: Mapping[str, Dimension], trials: int) -> dict[str, tuple[Number, ...]]:
    names = sorted(space)
    finite = {name: values for name in names if (values := _finite_values(space[name])) is not None}
    continuous = [name for name in names if name not in finite]
    budget = trials / math.prod(len(values) for values in finite.values())
    # A little above the root, so that 1000 ** (1 / 3) gives 10 points and not 9.
    points = max(2, math.floor(budget ** (1 / len(continuous)) + 1e-9)) if continuous else 0
    return {name: finite[name] if name in finite else _spread(space[name], points) for name in names}


def _finite_values(dimension: Dimension) -> tuple[Number, ...] | None:
    if isinstance(dimension, Choice) or dimension.step is not None or dimension.is_integer:
        return dimension.values()
    return None


def _spread(dimension: Dimension, points: int) -> tuple[Number, ...]:
    if isinstance(dimension, Choice):
        return dimension.values()
    spaced = np.geomspace if dimension.log else np.linspace
    return tuple(float(value) for value in spaced(dimension.low, dimension.high, points))
