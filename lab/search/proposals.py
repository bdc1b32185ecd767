"""Which parameter sets to try next: Optuna's samplers, a quasi-random sequence and a grid, in batches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from lab.core.errors import ConfigError
from lab.search.samplers import OptunaProposer
from lab.strategies import Choice, Dimension

__all__ = [
    "GridProposer",
    "Proposer",
    "QuasiRandomProposer",
    "SamplerName",
    "Told",
    "grid_size",
    "proposer_of",
]

Number = int | float
Proposal = dict[str, Number]
SamplerName = Literal["tpe", "random", "grid", "qmc", "cmaes", "nsga2"]
# One objective or several, higher is better; None for a set that could not be evaluated.
Told = float | tuple[float, ...] | None

# Sets asked for before any is told: part of the result's definition, so never tied to the number of workers.
_BLIND_BATCH: Final = 64


class Proposer(Protocol):
    """Ask for parameter sets, tell how good they were, in that order and in equal numbers."""

    batch_size: int

    def ask(self, count: int) -> list[Proposal]:
        """Return the next `count` sets."""
        ...

    def tell(self, values: Sequence[Told]) -> None:
        """Report the objectives of the sets last asked for."""
        ...


class QuasiRandomProposer:
    """Points of a scrambled Sobol sequence: spread more evenly than random ones, without a memory.

    Parameters
    ----------
    space : mapping of str to Range or Choice
    seed : int
        Of the scrambling (Owen's, as in :class:`scipy.stats.qmc.Sobol`).

    References
    ----------
    .. [1] J. Bergstra, Y. Bengio, "Random search for hyper-parameter optimization", JMLR 13 (2012).
    """

    def __init__(self, space: Mapping[str, Dimension], seed: int) -> None:
        from scipy.stats import qmc

        self._space = {name: space[name] for name in sorted(space)}
        self._sequence = qmc.Sobol(len(space), scramble=True, rng=np.random.default_rng(seed))
        self._points: NDArray[np.float64] = np.empty((0, len(space)))
        self.batch_size = _BLIND_BATCH

    def ask(self, count: int) -> list[Proposal]:
        """Return the next `count` sets."""
        while len(self._points) < count:
            # Powers of two at a time, so that the sequence stays balanced.
            self._points = np.vstack([self._points, self._sequence.random(_BLIND_BATCH)])
        chosen, self._points = self._points[:count], self._points[count:]
        return [
            {
                name: _at(dimension, float(u))
                for (name, dimension), u in zip(self._space.items(), row, strict=True)
            }
            for row in chosen
        ]

    def tell(self, values: Sequence[Told]) -> None:
        """Do nothing: the sequence is fixed."""


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

    def tell(self, values: Sequence[Told]) -> None:
        """Do nothing: a grid learns nothing."""

    def _combination(self, index: int) -> Proposal:
        chosen: Proposal = {}
        for name, values in reversed(self._axes.items()):
            index, position = divmod(index, len(values))
            chosen[name] = values[position]
        return dict(reversed(chosen.items()))


def proposer_of(
    sampler: SamplerName, space: Mapping[str, Dimension], *, trials: int, seed: int, objectives: int = 1
) -> Proposer:
    """Return the proposer called `sampler`; `objectives` is how many it is told of every set.

    Raises
    ------
    ConfigError
        If the name is unknown or the space is empty.
    """
    if not space:
        raise ConfigError("search: the strategy declares no parameter to vary; its space is empty")
    if sampler == "grid":
        return GridProposer(space, trials)
    if sampler == "qmc":
        return QuasiRandomProposer(space, seed)
    if sampler in get_args(SamplerName):
        return OptunaProposer(space, sampler, seed, objectives=objectives)
    raise ConfigError(f"search: sampler {sampler!r} unknown; expected {', '.join(get_args(SamplerName))}")


def grid_size(space: Mapping[str, Dimension]) -> int | None:
    """Return how many combinations a grid over the space has; None where a range is continuous."""
    finite = [_finite_values(dimension) for dimension in space.values()]
    return None if None in finite else math.prod(len(values) for values in finite if values is not None)


def _at(dimension: Dimension, share: float) -> Number:
    """Return the value that lies at `share` (0 <= share < 1) of a dimension, its values equally likely."""
    values = _finite_values(dimension)
    if isinstance(dimension, Choice) or (values is not None and not dimension.log):
        values = dimension.values()
        return values[int(share * len(values))]
    if not dimension.log:
        return float(dimension.low + share * (dimension.high - dimension.low))
    value = float(dimension.low) * (float(dimension.high) / float(dimension.low)) ** share
    return min(max(round(value), int(dimension.low)), int(dimension.high)) if dimension.is_integer else value


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
