from __future__ import annotations

import gc

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from lab.search.packed import COMPLETE, INVALID, REPEATED, FoldTrials
from lab.search.seen import SeenKeys
from lab.search.table import DistinctSets, TrialTable
from lab.strategies import Choice, Range

SPACE = {"window": Range(5, 100, step=5), "share": Choice((0.25, 0.5))}


def fold_of(names, *, states=None):
    """Trials whose parameters and hashes follow from numbers."""
    found = FoldTrials(SPACE)
    for place, name in enumerate(names):
        state = COMPLETE if states is None else states[place]
        proposal = {"window": 5 + 5 * (name % 20), "share": 0.25}
        found.add(proposal, state, f"{name:032x}", (float(place),) * 6, float(name))
    return found


def test_a_table_is_what_was_added_to_it():
    folds = [fold_of(range(5)), fold_of([7, 7, 1], states=[COMPLETE, REPEATED, INVALID]), fold_of([2])]
    frames = [found.frame(number) for number, found in enumerate(folds)]
    table = TrialTable()
    for frame in frames:
        table.add(frame)
    assert len(table) == 9
    assert table.folds == 3
    assert_frame_equal(table.frame(), pl.concat(frames), check_exact=True)
    assert all(table.frame()[name].n_chunks() == 1 for name in table.frame().columns)
    for number, frame in enumerate(frames):
        assert_frame_equal(table.fold(number), frame, check_exact=True)


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 4), st.sampled_from([COMPLETE, REPEATED])), min_size=1, max_size=6),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 12),
)
def test_the_best_of_a_table_are_those_of_one_stable_sort(folds, count):
    table = TrialTable()
    for number, trials in enumerate(folds):
        names, states = zip(*trials, strict=True)
        table.add(fold_of(names, states=states).frame(number))
    complete = table.frame().filter(pl.col("state") == COMPLETE)
    expected = complete.sort("score", descending=True, maintain_order=True).head(count)
    assert_frame_equal(table.best(count), expected, check_exact=True)


def test_a_table_closes_its_file_when_nobody_needs_it():
    table = TrialTable()
    file = table._file
    table.add(fold_of([1]).frame(0))
    del table
    gc.collect()
    assert file.closed


@given(st.lists(st.lists(st.integers(0, 30), max_size=12, unique=True), min_size=1, max_size=5))
def test_sets_are_kept_where_they_were_first_tried_those_with_the_least_hashes(folds):
    sets, first = DistinctSets(size=8), {}
    for number, names in enumerate(folds):
        sets.add(number, fold_of(names))
        for place, name in enumerate(names):
            first.setdefault(name, (number, place))
    # Hashes are the numbers themselves, in hexadecimal digits of one length.
    expected = sorted(first[name] for name in sorted(first)[:8])
    assert list(zip(sets.folds, sets.numbers, strict=True)) == expected
    assert [one["window"] for one in sets.proposals] == [
        5 + 5 * (folds[fold][place] % 20) for fold, place in expected
    ]


@given(st.lists(st.lists(st.binary(max_size=2), max_size=40), max_size=12))
def test_keys_are_new_once(groups):
    seen, known = SeenKeys(), set()
    for keys in groups:
        expected = []
        for place, key in enumerate(keys):
            if key not in known:
                known.add(key)
                expected.append(place)
        assert seen.first(keys) == expected
    assert len(seen) == len(known)


def test_stored_records_come_back_to_the_bit():
    found = fold_of([3, 1, 3, 2], states=[COMPLETE, INVALID, REPEATED, COMPLETE])
    found.sketched(np.arange(128, dtype=np.float16).reshape(2, 64))
    again = FoldTrials(SPACE)
    again.restore(found.rows(0)[:2])
    again.restore(found.rows(2))
    assert again.frame(0).equals(found.frame(0), null_equal=True)
    assert again.sketches.tobytes() == found.sketches.tobytes()
    assert again.hashes.tobytes() == found.hashes.tobytes()
