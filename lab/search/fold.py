"""One fold: propose, evaluate, choose, and record what was tried."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lab.core.errors import ConfigError, DataError
from lab.search.evaluation import Outcome, Window
from lab.search.objectives import Objective
from lab.search.packed import COMPLETE, INVALID, REPEATED, FoldTrials
from lab.search.proposals import Proposer, Told
from lab.search.sketches import sketch
from lab.search.trials import parameter_hash
from lab.strategies import Dimension, StrategyInstance

__all__ = ["COMPLETE", "FoldStore", "FoldTrials", "search_fold"]

Proposal = Mapping[str, int | float]


class FoldStore(Protocol):
    """Where a fold's progress outlives its process."""

    def read(self) -> NDArray[np.void] | None:
        """Return the rows stored so far, None without any."""
        ...

    def offer(self, found: FoldTrials, *, finished: bool = False) -> None:
        """Store what is new, at once or when it is worth a file."""
        ...


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
    objective: Objective | None = None,
    store: FoldStore | None = None,
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
    objective : Objective, optional
        What is maximised; the Sharpe ratio by default.
    store : FoldStore, optional
        Batches that it holds are not evaluated again: the sampler is asked for them and told their scores,
        and so is in the state that it had.

    Raises
    ------
    DataError
        If the stored sets are not those that the sampler proposes.
    """
    objective = Objective() if objective is None else objective
    found = FoldTrials(space)
    if store is not None and (rows := store.read()) is not None:
        found.restore(rows)
        advanced(len(found))
        if len(found) < trials:
            _replay(proposer, found, objective, trials)
    known = {found.hash_of(number): number for number in found.complete}
    while len(found) < trials:
        proposals = proposer.ask(min(proposer.batch_size, trials - len(found)))
        if not proposals:
            break
        candidates = [_candidate(instance, proposal) for proposal in proposals]
        fresh = {name: one for name, one in candidates if one is not None and name not in known}
        outcomes = window.evaluate_many(list(fresh.values()), executor)
        first = len(found)
        _add(found, known, proposals, candidates, dict(zip(fresh, outcomes, strict=True)), objective)
        if outcomes:
            found.sketched(sketch(np.stack([one.returns for one in outcomes]), bars))
        proposer.tell(_told(found, objective, first, len(found)))
        advanced(len(proposals))
        if store is not None:
            store.offer(found)
    if store is not None:
        store.offer(found, finished=True)
    return found


def _add(
    found: FoldTrials,
    known: dict[str, int],
    proposals: Sequence[Proposal],
    candidates: Sequence[tuple[str, StrategyInstance | None]],
    outcomes: Mapping[str, Outcome],
    objective: Objective,
) -> None:
    for proposal, (name, one) in zip(proposals, candidates, strict=True):
        if one is None:
            found.add(proposal, INVALID, name)
        elif name in known:
            earlier = known[name]
            found.add(proposal, REPEATED, name, found.figures_of(earlier), found.score_of(earlier))
        else:
            known[name] = len(found)
            outcome = outcomes[name]
            score = objective.score(outcome.figures, outcome.returns)
            found.add(proposal, COMPLETE, name, outcome.figures, score)


def _told(found: FoldTrials, objective: Objective, first: int, stop: int) -> list[Told]:
    return [
        None
        if found.state_of(number) == INVALID
        else objective.told(found.score_of(number), found.figures_of(number))
        for number in range(first, stop)
    ]


def _replay(proposer: Proposer, found: FoldTrials, objective: Objective, trials: int) -> None:
    """Bring a fresh sampler to the state that it had after the trials found."""
    done = 0
    while done < len(found):
        proposals = proposer.ask(min(proposer.batch_size, trials - done))
        stop = done + len(proposals)
        stored = [found.proposal(number) for number in range(done, min(stop, len(found)))]
        if not proposals or stored != [dict(one) for one in proposals]:
            raise DataError(
                "search: the stored progress of this tune holds other parameter sets than the sampler "
                "proposes; remove the folder data/tunes and run it again"
            )
        proposer.tell(_told(found, objective, done, stop))
        done = stop


def _candidate(instance: StrategyInstance, proposal: Proposal) -> tuple[str, StrategyInstance | None]:
    """Return the hash of all parameters and the instance that has them, None if they are refused."""
    try:
        candidate = instance.with_params(proposal)
    except ConfigError:
        return parameter_hash(proposal), None
    return parameter_hash(candidate.params.model_dump(mode="json")), candidate
