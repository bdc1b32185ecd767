"""Walk-forward search: tune on each training window, judge on the bars that follow, count every trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np
from numpy.typing import NDArray

from lab.core.errors import ConfigError, DataError, InsufficientHistoryError
from lab.core.panel import Panel
from lab.search.evaluation import longest_lookback
from lab.search.fold import FoldTrials, search_fold
from lab.search.judging import judge
from lab.search.ledger import MemoryLedger, TrialCounter
from lab.search.proposals import proposer_of
from lab.search.result import WalkForwardResult
from lab.search.session import Fold, Search
from lab.search.trials import DataIdentity, TrialBatch, panel_hash
from lab.strategies import Dimension, StrategyInstance
from lab.validation.splits import WalkForward

__all__ = ["Progress", "walk_forward"]

Array = NDArray[np.float64]
Positions = NDArray[np.int64]
Progress = Callable[[int, int], None]


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
) -> WalkForwardResult:
    """Tune `instance` on every training window and judge the winner on the bars that follow.

    Parameters
    ----------
    instance : StrategyInstance
        The strategy, its fixed parameters, costs, limits and sampler (``search.sampler``); its family's space
        is what is searched.
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

    Notes
    -----
    Each window is simulated from cash with decisions at its own closes, so that its first bar is flat; its
    training Sharpe ratio counts its training bars alone. The highest wins, the earliest of equal ones.
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
    space = instance.strategy.space
    warm_up = _warm_up(instance, panel, space, splitter)
    folds = [(warm_up + train, warm_up + test) for train, test in splitter.split(len(panel) - warm_up)]
    with ThreadPoolExecutor(workers) if workers > 1 else nullcontext() as executor:
        search = Search(
            instance=instance,
            panel=panel,
            space=space,
            warm_up=warm_up,
            trials=trials,
            seed=seed,
            ledger=ledger if ledger is not None else MemoryLedger(),
            identity=DataIdentity.of(instance.markets, instance.timeframe),
            content_hash=panel_hash(panel),
            executor=executor,
        )
        advanced = _counter(progress, trials * len(folds))
        finished = [
            _run_fold(search, number, train, test, advanced) for number, (train, test) in enumerate(folds)
        ]
        return judge(search, finished)


def _run_fold(
    search: Search, number: int, train: Positions, test: Positions, advanced: Callable[[int], None]
) -> Fold:
    instance = search.instance
    window = search.window(int(train[0]), int(train[-1]), train)
    proposer = proposer_of(
        instance.search.sampler,
        search.space,
        trials=search.trials,
        seed=int(np.random.SeedSequence([search.seed, number]).generate_state(1)[0]),
    )
    found = search_fold(
        window,
        instance,
        proposer,
        trials=search.trials,
        space=search.space,
        bars=search.panel.bar[train],
        executor=search.executor,
        advanced=advanced,
    )
    winner = instance.with_params(found.proposal(found.best()))
    search.ledger.append(_batch(search, train, found))
    found.sketches.clear()
    judged = search.window(int(test[0]), int(test[-1]))
    weights = judged.weights(winner)
    return Fold(
        number=number,
        train=train,
        test=test,
        trials=found,
        winner=winner,
        weights=weights,
        trained=search.run(window, window.weights(winner)),
        tested=search.run(judged, weights),
    )


def _batch(search: Search, train: Positions, found: FoldTrials) -> TrialBatch:
    numbers = found.complete
    return TrialBatch.of(
        search.instance,
        search.panel,
        positions=train,
        parameter_hashes=[found.hash_of(number) for number in numbers],
        sharpes=found.figures[numbers, 0] / np.sqrt(search.panel.timeframe.periods_per_year),
        sketches=np.concatenate(found.sketches),
        content_hash=search.content_hash,
    )


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
