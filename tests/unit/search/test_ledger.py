from __future__ import annotations

import errno
import math
import multiprocessing
import os
import signal

import numpy as np
import pytest

from feature_store.atomic import exclusive, on_fault_point
from feature_store.errors import StoreError
from lab.core.errors import ConfigError
from lab.search.chain import GENESIS
from lab.search.ledger import Ledger, LedgerError, MemoryLedger
from lab.search.trials import DataIdentity
from tests.oracle.search import IDENTITY, batch, chain_is_sound

FAMILY = "time_series_momentum"


def lines_of(ledger):
    return ledger.path.read_bytes().splitlines(keepends=True)


def test_trials_are_counted_and_their_spread_measured(ledger):
    judged = ledger.judge(FAMILY, IDENTITY)
    assert judged.n_trials == 6
    assert judged.variance(100) == pytest.approx(np.var([0.1, 0.2, 0.3, 0.0, -0.1, 0.05], ddof=1))
    assert judged.head == ledger.head
    assert ledger.verify().trials == 6
    assert ledger.verify().batches == 3
    assert chain_is_sound(ledger.path)


def test_repeats_are_recorded_but_not_counted(ledger):
    before = ledger.judge(FAMILY, IDENTITY)
    ledger.append(batch("abc", [0.1, 0.2, 0.3]))
    after = ledger.judge(FAMILY, IDENTITY)
    assert (after.n_trials, after.scaled_variance) == (before.n_trials, before.scaled_variance)
    assert ledger.verify().trials == 9


@pytest.mark.parametrize(
    "other",
    [
        {"window": 5},
        {"cost_hash": "dearer"},
        {"risk_hash": "tighter"},
        {"version": "1.0.1"},
    ],
)
def test_other_costs_limits_windows_or_code_are_other_trials(ledger, other):
    ledger.append(batch("a", [0.1], **other))
    assert ledger.judge(FAMILY, IDENTITY).n_trials == 7


def test_the_same_set_with_another_outcome_counts_and_other_content_alone_does_not(ledger):
    ledger.append(batch("a", [0.1], content_hash="d" * 64))
    assert ledger.judge(FAMILY, IDENTITY).n_trials == 6
    ledger.append(batch("a", [0.11], content_hash="d" * 64))
    assert ledger.judge(FAMILY, IDENTITY).n_trials == 7


def test_families_and_data_are_counted_apart(ledger):
    elsewhere = DataIdentity.of(["synthetic:BBB/USDT"], "1d")
    ledger.append(batch("a", [0.1], family="dual_momentum"))
    ledger.append(batch("ab", [0.1, 0.4], identity=elsewhere))
    assert ledger.judge(FAMILY, IDENTITY).n_trials == 6
    assert ledger.judge("dual_momentum", IDENTITY).n_trials == 1
    assert ledger.judge(FAMILY, elsewhere).n_trials == 2
    assert ledger.judge("carry", IDENTITY).n_trials == 0


def test_windows_of_different_length_are_compared_by_t_statistics(tmp_path):
    made = Ledger(tmp_path)
    made.append(batch("ab", [0.1, 0.3], n_observations=400))
    made.append(batch("c", [0.4], n_observations=100, window=1))
    judged = made.judge(FAMILY, IDENTITY)
    assert judged.scaled_variance == pytest.approx(np.var([2.0, 6.0, 4.0], ddof=1))
    assert judged.variance(1_600) == pytest.approx(np.var([2.0, 6.0, 4.0], ddof=1) / 1_600)


def test_an_earlier_head_sees_the_trials_of_its_time(ledger):
    head = ledger.head
    ledger.append(batch("xyz", [0.5, 0.6, 0.7]))
    assert ledger.judge(FAMILY, IDENTITY, head=head).n_trials == 6
    assert ledger.judge(FAMILY, IDENTITY).n_trials == 9
    assert ledger.judge(FAMILY, IDENTITY, head=GENESIS).n_trials == 0
    with pytest.raises(LedgerError, match="judged by another ledger"):
        ledger.judge(FAMILY, IDENTITY, head="0" * 64)


def test_an_empty_ledger_judges_nothing_and_writes_nothing(tmp_path):
    judged = Ledger(tmp_path).judge(FAMILY, IDENTITY)
    assert (judged.n_trials, judged.scaled_variance, judged.head) == (0, 0.0, GENESIS)
    assert list(tmp_path.iterdir()) == []


def test_what_was_written_reads_back(ledger):
    [first, second, third] = ledger.batches()
    assert first.sharpes.tolist() == [0.1, 0.2, 0.3]
    assert first.identity == IDENTITY
    assert (second.window, third.n_observations) == (("2020-01-02", "2021-01-02"), 100)


def test_a_line_torn_by_a_kill_is_passed_over_and_set_aside(ledger):
    before = ledger.judge(FAMILY, IDENTITY)
    torn = lines_of(ledger)[0][:200]
    with ledger.path.open("ab") as file:
        file.write(torn)
    assert ledger.judge(FAMILY, IDENTITY) == before
    ledger.append(batch("g", [0.1]))
    assert ledger.judge(FAMILY, IDENTITY).n_trials == 7
    assert chain_is_sound(ledger.path)
    assert ledger.path.with_name("torn.jsonl").read_bytes() == torn + b"\n"


def test_a_first_line_that_was_torn_is_set_aside_too(tmp_path):
    made = Ledger(tmp_path)
    made.path.parent.mkdir(parents=True)
    made.path.write_bytes(b'{"schema":1')
    assert made.judge(FAMILY, IDENTITY).n_trials == 0
    made.append(batch("a", [0.1]))
    assert made.judge(FAMILY, IDENTITY).n_trials == 1


def test_a_full_disk_leaves_the_ledger_as_it_was(ledger):
    def full(operation, path):
        if operation == "fsync" and path == ledger.path:
            raise OSError(errno.ENOSPC, "No space left on device")

    before = ledger.path.read_bytes()
    on_fault_point(full)
    try:
        with pytest.raises(StoreError, match="nothing was recorded"):
            ledger.append(batch("g", [0.1]))
    finally:
        on_fault_point(None)
    assert ledger.path.read_bytes() == before
    ledger.append(batch("g", [0.1]))
    assert ledger.verify().batches == 4


def _append_and_die(root, operation, name):
    def die(announced, path):
        if announced == operation and path.name == name:
            os.kill(os.getpid(), signal.SIGKILL)

    on_fault_point(die)
    Ledger(root).append(batch("xyz", [0.5, 0.6, 0.7], window=9))


@pytest.mark.parametrize(
    ("operation", "name", "counted"),
    [
        ("append", "trials.jsonl", 6),
        ("write", "trials.jsonl", 6),
        ("fsync", "trials.jsonl", 9),
        ("create", "head.json", 9),
        ("rename", "head.json", 9),
    ],
)
def test_whenever_it_is_killed_the_ledger_goes_on(ledger, tmp_path, operation, name, counted):
    process = multiprocessing.get_context("spawn").Process(
        target=_append_and_die, args=(tmp_path, operation, name)
    )
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert ledger.judge(FAMILY, IDENTITY).n_trials == counted
    ledger.append(batch("q", [0.9], window=10))
    assert ledger.judge(FAMILY, IDENTITY).n_trials == counted + 1
    assert chain_is_sound(ledger.path)


def test_appends_wait_for_the_lock(ledger):
    with exclusive(ledger.path.parent):
        process = multiprocessing.get_context("spawn").Process(target=_append, args=(ledger.path.parents[2],))
        process.start()
        assert ledger.path.read_bytes().count(b"\n") == 3
    process.join(60)
    assert process.exitcode == 0
    assert ledger.verify().batches == 4


def _append(root):
    Ledger(root).append(batch("later", [0.1, 0.2, 0.3, 0.4, 0.5]))


def test_a_ledger_in_memory_counts_alike(ledger):
    memory = MemoryLedger()
    for one in ledger.batches():
        memory.append(one)
    found, expected = memory.judge(FAMILY, IDENTITY), ledger.judge(FAMILY, IDENTITY)
    assert (found.n_trials, found.scaled_variance) == (expected.n_trials, expected.scaled_variance)


@pytest.mark.parametrize("sharpes", [[0.1], [0.1, math.nan], [0.1, math.inf]])
def test_a_batch_needs_a_finite_sharpe_per_trial(sharpes):
    with pytest.raises(ConfigError, match="trial batch"):
        batch("ab", sharpes)


def test_a_line_is_recorded_once_after_a_head_and_again_without_it(ledger):
    head, other = ledger.end, batch("g", [0.1])
    first = ledger.append_once(other, since=head)
    assert ledger.append_once(other, since=head) == first
    assert ledger.append_once(other, since=GENESIS) == first
    assert ledger.end == first
    assert ledger.append_once(other, since=first) != first
    assert ledger.verify().batches == 5
