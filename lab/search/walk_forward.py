"""Walk-forward search: tune on each training window, judge on the bars that follow, count every trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lab.core.errors import ConfigError, DataError, InsufficientHistoryError
from lab.core.panel import Panel
from lab.search.checkpoint import Checkpoint, code_identity
from lab.search.evaluation import SearchEngine, Window, longest_lookback
from lab.search.fold import FoldStore, search_fold
from lab.search.judging import judge
from lab.search.ledger import Ledger, MemoryLedger, TrialCounter
from lab.search.objectives import Objective
from lab.search.packed import FoldTrials
from lab.search.proposals import proposer_of
from lab.search.result import WalkForwardResult
from lab.search.session import Chosen, Fold, Search
from lab.search.trials import DataIdentity, TrialBatch, panel_hash
from lab.strategies import Dimension, StrategyInstance
from lab.validation.splits import WalkForward

__all__ = ["Progress", "fold_seed", "walk_forward"]

Array = NDArray[np.float64]
Positions = NDArray[np.int64]
Progress = Callable[[int, int], None]

# Trials of one line of the ledger.
_LINE: Final = 1_000


def walk_forward(
    instance: StrategyInstance,
    panel: Panel,
    *,
    splitter: WalkForward,
    trials: int,
    seed: int,
    workers: int = 1,
    ledger: TrialCounter | None = None,
    progress: Progress | None = None,
    engine: SearchEngine = "fused",
    resume: Path | None = None,
) -> WalkForwardResult:
    """Tune `instance` on every training window and judge the winner on the bars that follow.

    Parameters
    ----------
    instance : StrategyInstance
        The strategy, its fixed parameters, costs, limits, sampler and objective (``search``); its family's
        space is what is searched.
    panel : Panel
        Bars of the instance's timeframe and at least its markets. The first bars, as many as the longest
        lookback in the space needs, warm features up and belong to no fold; the folds divide the rest.
    splitter : WalkForward
        Training and test windows, purge and embargo.
    trials : int
        Parameter sets proposed per fold.
    seed : int
        Not negative; decides every draw of the sampler.
    workers : int
        Threads that evaluate. The result does not depend on it.
    ledger : Ledger, optional
        Where trials are recorded and counted. Without one they are counted for this call alone.
    progress : callable, optional
        Called with (trials done, trials in all) after every batch.
    engine : {"fused", "vectorbt"}
        What simulates the trials. Winners, their tests and the stitched path always run in both.
    resume : Path, optional
        Folder for the progress of searches. What a killed process stored there is taken up by the next call
        with the same arguments, bars and code, whatever its workers, and the result has the same bytes.
        Once that is kept, :func:`~lab.search.checkpoint.discard` removes the folder that it names.

    Returns
    -------
    WalkForwardResult

    Raises
    ------
    InsufficientHistoryError
        If the bars are too few for the longest lookback and one fold, or a market's are for the parameters
        of the file; names strategy, needed and available bars.
    DataError
        If the panel has another timeframe or lacks a market.
    ConfigError
        If `trials`, `seed` or `workers` is out of range or no proposed set is valid.
    LockedError
        If another process is at work on the same search.

    Notes
    -----
    Each window is simulated from cash with decisions at its own closes, so that its first bar is flat; its
    score (:class:`~lab.search.objectives.Objective`) counts its training bars alone. The highest wins, the
    earliest of equal ones.
    Winners run in training and test through both engines, and so does the stitched path of all tests, in
    which positions carry over from fold to fold.
    """
    _check(trials=trials, seed=seed, workers=workers)
    if panel.timeframe != instance.timeframe:
        raise DataError(
            f"strategy {instance.strategy_id}: bars are {panel.timeframe}, {instance.timeframe} expected; "
            "load the bars of its timeframe"
        )
    panel = panel.select(instance.markets)
    space = instance.space
    warm_up = _warm_up(instance, panel, space, splitter)
    folds = [(warm_up + train, warm_up + test) for train, test in splitter.split(len(panel) - warm_up)]
    content = panel_hash(panel)
    with ExitStack() as stack:
        checkpoint = None
        if resume is not None:
            identity = _identity(instance, splitter, trials, seed, engine, content)
            checkpoint = Checkpoint(resume, identity)
            stack.enter_context(checkpoint.held())
        search = Search(
            instance=instance,
            panel=panel,
            space=space,
            warm_up=warm_up,
            trials=trials,
            seed=seed,
            ledger=ledger if ledger is not None else MemoryLedger(),
            identity=DataIdentity.of(instance.markets, instance.timeframe),
            content_hash=content,
            executor=stack.enter_context(ThreadPoolExecutor(workers)) if workers > 1 else None,
            engine=engine,
            checkpoint=checkpoint,
        )
        return judge(search, _run_folds(search, folds, progress))


def _run_folds(
    search: Search, folds: list[tuple[Positions, Positions]], progress: Progress | None
) -> list[Fold]:
    advanced = _counter(progress, search.trials * len(folds))
    begun = None
    if search.checkpoint is not None and isinstance(search.ledger, Ledger):
        begun = search.checkpoint.begin(search.ledger.end)
    return [
        _run_fold(search, number, train, test, advanced, begun) for number, (train, test) in enumerate(folds)
    ]


def _run_fold(
    search: Search,
    number: int,
    train: Positions,
    test: Positions,
    advanced: Callable[[int], None],
    begun: str | None,
) -> Fold:
    window = search.window(int(train[0]), int(train[-1]), train)
    store = None if search.checkpoint is None else search.checkpoint.fold(number)
    found = _searched(search, number, train, window, store, advanced)
    chosen = Chosen.among(found)
    winner = search.instance.with_params(chosen.proposal)
    # Only trials that an earlier process finished may be on record already.
    _record(search, train, found, begun if store is not None and store.complete else None)
    search.table.add(found.frame(number))
    search.sets.add(number, found)
    judged = search.window(int(test[0]), int(test[-1]))
    weights = judged.weights(winner)
    return Fold(
        number=number,
        train=train,
        test=test,
        chosen=chosen,
        winner=winner,
        weights=weights,
        trained=search.run(window, window.weights(winner)),
        tested=search.run(judged, weights),
    )


def _searched(
    search: Search,
    number: int,
    train: Positions,
    window: Window,
    store: FoldStore | None,
    advanced: Callable[[int], None],
) -> FoldTrials:
    instance = search.instance
    objective = Objective.of(instance.search, trials=search.trials, observations=len(train))
    proposer = proposer_of(
        instance.search.sampler,
        search.space,
        trials=search.trials,
        seed=fold_seed(search.seed, number),
        objectives=1 + len(objective.tradeoffs),
    )
    return search_fold(
        window,
        instance,
        proposer,
        trials=search.trials,
        space=search.space,
        bars=search.panel.bar[train],
        executor=search.executor,
        advanced=advanced,
        objective=objective,
        store=store,
    )


def fold_seed(seed: int, number: int) -> int:
    """Return the seed of a fold's sampler."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _record(search: Search, train: Positions, found: FoldTrials, begun: str | None) -> None:
    """Count the fold's trials: in a search taken up again, those that the killed process did not."""
    numbers, sketches = found.complete, found.sketches
    for start in range(0, len(numbers), _LINE):
        part = slice(start, start + _LINE)
        batch = TrialBatch.of(
            search.instance,
            search.panel,
            positions=train,
            parameter_hashes=[found.hash_of(number) for number in numbers[part].tolist()],
            sharpes=found.figures[numbers[part], 0] / np.sqrt(search.panel.timeframe.periods_per_year),
            sketches=sketches[part],
            content_hash=search.content_hash,
        )
        if begun is not None and isinstance(search.ledger, Ledger):
            search.ledger.append_once(batch, since=begun)
        else:
            search.ledger.append(batch)
    found.forget_sketches()


def _identity(
    instance: StrategyInstance, splitter: WalkForward, trials: int, seed: int, engine: str, content: str
) -> dict[str, Any]:
    return {
        "family": instance.strategy.family,
        "version": instance.strategy.version,
        "space": {name: repr(dimension) for name, dimension in instance.space.items()},
        "parameters": instance.params.model_dump(mode="json"),
        "markets": list(instance.markets),
        "timeframe": str(instance.timeframe),
        "content": content,
        "costs": instance.costs.identity(),
        "risk": instance.risk.model_dump(mode="json"),
        "search": instance.search.model_dump(mode="json"),
        "splitter": repr(splitter),
        "trials": trials,
        "seed": seed,
        "engine": engine,
        **code_identity(instance),
    }


def _warm_up(
    instance: StrategyInstance, panel: Panel, space: Mapping[str, Dimension], splitter: WalkForward
) -> int:
    # Every market must carry the parameters of the file; one listed too late for the longest of the space is
    # not held by the sets that look back that far.
    instance.require_history(panel)
    warm_up = longest_lookback(instance, space).lookback - 1
    fold = splitter.train_size + splitter.purged_size + splitter.test_size
    if splitter.get_n_splits(max(len(panel) - warm_up, 0)) == 0:
        raise InsufficientHistoryError(
            f"strategy {instance.strategy_id}: walk-forward needs {warm_up + fold} bars ({warm_up} warm-up, "
            f"{splitter.train_size} training, {splitter.purged_size} purged, {splitter.test_size} test), "
            f"{len(panel)} available; ingest more history or shorten the windows"
        )
    return warm_up


def _check(**numbers: object) -> None:
    least = {"trials": 1, "seed": 0, "workers": 1}
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least[name]:
            raise ConfigError(
                f"walk_forward: {name} is {value!r}; expected a whole number, at least {least[name]}"
            )


def _counter(progress: Progress | None, total: int) -> Callable[[int], None]:
    done = 0

    def advanced(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, total)

    return advanced
