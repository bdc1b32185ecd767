"""One fold: propose, evaluate, choose, and record what was tried."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.core.errors import ConfigError
from lab.search.evaluation import FIGURES, Outcome, Window
from lab.search.proposals import Proposer
from lab.search.sketches import sketch
from lab.search.trials import parameter_hash
from lab.strategies import Choice, Dimension, StrategyInstance

__all__ = ["COMPLETE", "FoldTrials", "search_fold"]

Array = NDArray[np.float64]
Proposal = Mapping[str, int | float]

COMPLETE: Final = "complete"
_REPEATED: Final = "repeated"
_INVALID: Final = "invalid"
_STATES: Final = (COMPLETE, _REPEATED, _INVALID)
_NOTHING: Final = (float("nan"),) * len(FIGURES)


class FoldTrials:
    """The trials of one fold as packed columns: about 100 bytes each, so that memory hardly grows with them.

    Parameters
    ----------
    space : mapping of str to Range or Choice
        What varies.
    """

    def __init__(self, space: Mapping[str, Dimension]) -> None:
        self._whole = {name: _is_whole(space[name]) for name in sorted(space)}
        self._values = array("d")
        self._figures = array("d")
        self._states = bytearray()
        self._hashes = bytearray()
        self.sketches: list[NDArray[np.float16]] = []

    def __len__(self) -> int:
        return len(self._states)

    def add(self, proposal: Proposal, state: str, figures: tuple[float, ...], name: str) -> None:
        """Append one trial."""
        self._values.extend(float(proposal[key]) for key in self._whole)
        self._figures.extend(figures)
        self._states.append(_STATES.index(state))
        self._hashes += bytes.fromhex(name)

    @property
    def complete(self) -> list[int]:
        """Numbers of the trials that were evaluated, each set once."""
        return [number for number, state in enumerate(self._states) if _STATES[state] == COMPLETE]

    @property
    def figures(self) -> Array:
        """:data:`FIGURES` of every trial, shape (trials, figures)."""
        return np.array(self._figures).reshape(len(self), len(FIGURES))

    def hash_of(self, number: int) -> str:
        """Return the hash of all parameters of one trial."""
        size = len(self._hashes) // len(self)
        return self._hashes[number * size : (number + 1) * size].hex()

    def proposal(self, number: int) -> dict[str, int | float]:
        """Return the parameters of one trial that vary."""
        width = len(self._whole)
        values = self._values[number * width : (number + 1) * width]
        return {
            name: int(value) if whole else value
            for (name, whole), value in zip(self._whole.items(), values, strict=True)
        }

    def best(self) -> int:
        """Return the number of the trial with the highest Sharpe ratio, the earliest of equal ones.

        Raises
        ------
        ConfigError
            If no set could be evaluated.
        """
        numbers = self.complete
        if not numbers:
            raise ConfigError(
                f"search: none of {len(self)} proposed parameter sets is valid; narrow the search space"
            )
        return numbers[int(np.argmax(self.figures[numbers, 0]))]

    def frame(self, fold: int) -> pl.DataFrame:
        """Return the trials as a table, one row each; integer parameters stay integers."""
        count, figures = len(self), self.figures
        values = np.array(self._values).reshape(count, len(self._whole))
        columns: dict[str, Any] = {
            "fold": pl.Series(np.full(count, fold, dtype=np.int32)),
            "number": pl.Series(np.arange(count, dtype=np.int32)),
            "state": [_STATES[state] for state in self._states],
        }
        for position, (name, whole) in enumerate(self._whole.items()):
            column = pl.Series(np.ascontiguousarray(values[:, position]))
            columns[f"parameter_{name}"] = column.cast(pl.Int64) if whole else column
        for position, name in enumerate(FIGURES):
            columns[name] = pl.Series(np.ascontiguousarray(figures[:, position]))
        return pl.DataFrame(columns)


def search_fold(
    window: Window,
    instance: StrategyInstance,
    proposer: Proposer,
    *,
    trials: int,
    space: Mapping[str, Dimension],
    bars: NDArray[np.int64],
    executor: Executor | None,
    advanced: Callable[[int], None],
) -> FoldTrials:
    """Try up to `trials` parameter sets on `window`.

    Sets are asked for and told in batches of fixed size by this one coordinator; an executor only evaluates
    them, so that the number of workers cannot change what is found. A set that comes again is not evaluated
    again.

    Parameters
    ----------
    space : mapping of str to Range or Choice
        What varies.
    bars : ndarray of int64
        Absolute numbers of the bars that count, for the sketches.
    advanced : callable
        Told how many trials were done, batch by batch.
    """
    found = FoldTrials(space)
    known: dict[str, tuple[float, ...]] = {}
    evaluate = map if executor is None else executor.map
    while len(found) < trials:
        proposals = proposer.ask(min(proposer.batch_size, trials - len(found)))
        if not proposals:
            break
        candidates = [_candidate(instance, proposal) for proposal in proposals]
        fresh = {name: one for name, one in candidates if one is not None and name not in known}
        outcomes: list[Outcome] = list(evaluate(window.evaluate, fresh.values()))
        if outcomes:
            found.sketches.append(sketch(np.stack([one.returns for one in outcomes]), bars))
        new = {name: outcome.figures for name, outcome in zip(fresh, outcomes, strict=True)}
        for proposal, (name, one) in zip(proposals, candidates, strict=True):
            if one is None:
                found.add(proposal, _INVALID, _NOTHING, name)
            elif name in known:
                found.add(proposal, _REPEATED, known[name], name)
            else:
                known[name] = new[name]
                found.add(proposal, COMPLETE, known[name], name)
        proposer.tell([None if one is None else known[name][0] for name, one in candidates])
        advanced(len(proposals))
    return found


def _candidate(instance: StrategyInstance, proposal: Proposal) -> tuple[str, StrategyInstance | None]:
    """Return the hash of all parameters and the instance that has them, None if they are refused."""
    try:
        candidate = instance.with_params(proposal)
    except ConfigError:
        return parameter_hash(proposal), None
    return parameter_hash(candidate.params.model_dump(mode="json")), candidate


def _is_whole(dimension: Dimension) -> bool:
    if isinstance(dimension, Choice):
        return all(isinstance(option, int) for option in dimension.options)
    return dimension.is_integer
