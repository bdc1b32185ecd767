"""Stored progress: what a fold had when its process died, and what becomes of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lab.core.errors import DataError
from lab.search import Ledger, discard, walk_forward
from lab.search.checkpoint import Checkpoint
from lab.search.evaluation import Window
from lab.search.fold import search_fold
from lab.search.objectives import Objective
from lab.search.proposals import proposer_of
from lab.validation.splits import WalkForward
from tests.oracle.killed_search import bytes_of
from tests.oracle.search import instance_of, world

TRIALS = 72
WARM_UP = 180
ONE_FOLD = WalkForward(train_size=120, test_size=100, purged_size=1)
SPLITTER = WalkForward(train_size=80, test_size=60, purged_size=1)


class DiedError(Exception):
    """The process is gone."""


@pytest.fixture(scope="module")
def panel():
    return world(1)


def searched(instance, panel, store=None, *, dies_after=None, seed=4):
    space = instance.strategy.space
    objective = Objective.of(instance.search, trials=TRIALS, observations=120)
    done = 0

    def advanced(count):
        nonlocal done
        if dies_after is not None and done >= dies_after:
            raise DiedError
        done += count

    panel = panel.select(instance.markets)
    return search_fold(
        Window(panel, WARM_UP, WARM_UP + 120, warm_up=WARM_UP, instance=instance),
        instance,
        proposer_of(
            instance.search.sampler,
            space,
            trials=TRIALS,
            seed=seed,
            objectives=1 + len(objective.tradeoffs),
        ),
        trials=TRIALS,
        space=space,
        bars=panel.bar[WARM_UP : WARM_UP + 120],
        executor=None,
        advanced=advanced,
        objective=objective,
        store=store,
    )


def fold_of(folder):
    # A clock that leaps, so that every batch is worth a file.
    return Checkpoint(folder, {"test": 1}, clock=iter(range(0, 10_000, 10)).__next__).fold(0)


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid", "qmc", "cmaes", "nsga2"])
@pytest.mark.parametrize("dies_after", [0, 40])
def test_a_fold_goes_on_where_it_was(sampler, dies_after, panel, tmp_path):
    instance = instance_of(tmp_path, sampler)
    whole = searched(instance, panel)
    with pytest.raises(DiedError):
        searched(instance, panel, fold_of(tmp_path), dies_after=dies_after)
    stored = fold_of(tmp_path).read()
    assert (0 if stored is None else len(stored)) < TRIALS
    again = searched(instance, panel, fold_of(tmp_path))
    assert again.frame(0).equals(whole.frame(0), null_equal=True)
    assert again.frame(0).write_ipc(None).getvalue() == whole.frame(0).write_ipc(None).getvalue()
    np.testing.assert_array_equal(again.sketches, whole.sketches)
    assert [again.hash_of(n) for n in range(TRIALS)] == [whole.hash_of(n) for n in range(TRIALS)]
    third = fold_of(tmp_path)
    searched(instance, panel, third)
    assert third.complete


def test_progress_of_another_seed_is_not_taken_up(panel, tmp_path):
    instance = instance_of(tmp_path, "tpe")
    with pytest.raises(DiedError):
        searched(instance, panel, fold_of(tmp_path), dies_after=40, seed=1)
    with pytest.raises(DataError, match="other parameter sets than the sampler proposes"):
        searched(instance, panel, fold_of(tmp_path), seed=2)


def walked(instance, panel, root, **changes):
    given = {"splitter": SPLITTER, "trials": 8, "seed": 0, **changes}
    return walk_forward(instance, panel, ledger=Ledger(root), resume=root / "tunes", **given)


def test_a_finished_search_that_was_not_kept_counts_nothing_twice(panel, tmp_path):
    instance = instance_of(tmp_path, "random")
    first = walked(instance, panel, tmp_path)
    recorded = Ledger(tmp_path).path.read_bytes()
    again = walked(instance, panel, tmp_path)
    assert bytes_of(again) == bytes_of(first)
    assert Ledger(tmp_path).path.read_bytes() == recorded
    discard(again.progress)
    assert list((tmp_path / "tunes").iterdir()) == []
    discard(again.progress)
    walked(instance, panel, tmp_path)
    assert Ledger(tmp_path).verify().trials == 2 * first.n_trials


def test_every_argument_that_matters_has_progress_of_its_own(panel, tmp_path):
    instance = instance_of(tmp_path, "random")
    config = instance.config

    def with_(**sections):
        changed = {name: getattr(config, name).model_copy(update=values) for name, values in sections.items()}
        return replace(instance, config=config.model_copy(update=changed))

    def folder(one=instance, bars=panel, **changes):
        given = {"splitter": ONE_FOLD, "trials": 1, **changes}
        return walked(one, bars, tmp_path, **given).progress

    folders = [
        folder(),
        folder(seed=1),
        folder(trials=2),
        folder(splitter=replace(ONE_FOLD, embargo_size=2)),
        folder(bars=panel.rows(1, len(panel))),
        folder(with_(costs={"impact_bps": 10.0})),
        folder(with_(risk={"max_exposure_pct": 0.7})),
        folder(with_(search={"drawdown_penalty": 1.0})),
    ]
    assert len(set(folders)) == len(folders)
    assert folder(workers=2) == folders[0]


def test_a_torn_block_is_named(panel, tmp_path):
    instance = instance_of(tmp_path, "random")
    searched(instance, panel, fold_of(tmp_path))
    block = next(tmp_path.glob("*/fold-0000/block-000000.npy"))
    block.write_bytes(block.read_bytes()[:100])
    with pytest.raises(DataError, match=r"block-000000.npy: the stored progress .* cannot be read"):
        searched(instance, panel, fold_of(tmp_path))


def test_what_a_killed_process_was_removing_is_not_taken_up(tmp_path):
    folder = Checkpoint(tmp_path, {"test": 1}).folder
    left = folder.with_name(f"{folder.name}.removed") / "fold-0000"
    left.mkdir(parents=True)
    (left / "block-000000.npy").write_bytes(b"")
    assert Checkpoint(tmp_path, {"test": 1}).fold(0).read() is None
    folder.mkdir()
    discard(folder)
    assert list(tmp_path.iterdir()) == []
