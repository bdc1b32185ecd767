"""A search killed with SIGKILL at random moments, taken up by another process, ends in the same bytes."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import time
from bisect import bisect
from collections import Counter
from pathlib import Path

import pytest

from lab.data.demo import install
from lab.search.checkpoint import code_identity
from lab.strategies import load
from lab.tracking import Tracker
from tests.oracle.killed_search import RESULT, found_in, search
from tests.oracle.killed_tune import CONFIG, results, run_watched

pytestmark = pytest.mark.integration

WORKERS = (1, 2, 4)
SEED = 11
KILLS = 20


def processes():
    # Children start from a process that has imported everything and done nothing.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.oracle.killed_search"])
    return context


def killed_or_finished(root, sampler, workers, delay):
    """Start a search, kill it `delay` seconds after its first batch; return whether it was killed."""
    context = processes()
    told = context.Event()
    child = context.Process(target=search, args=(root, sampler, workers, told))
    child.start()
    told.wait(120)
    child.join(delay)
    if child.is_alive():
        os.kill(child.pid, signal.SIGKILL)
    child.join(60)
    assert child.exitcode in {0, -signal.SIGKILL}
    return child.exitcode != 0


def whole(root, sampler):
    """Return what an undisturbed search finds, and the seconds that it takes after its first batch."""
    root.mkdir()
    context = processes()
    told = context.Event()
    child = context.Process(target=search, args=(root, sampler, 1, told))
    child.start()
    assert told.wait(120)
    began = time.monotonic()
    child.join(120)
    assert child.exitcode == 0
    return found_in(root), time.monotonic() - began


def test_killed_at_random_moments_it_ends_in_the_same_bytes(tmp_path, tally):
    expected, seconds = whole(tmp_path / "whole", "tpe")
    draw = random.Random(SEED)
    root, kills = tmp_path / "killed", 0
    root.mkdir()
    for run in range(4):
        kills += killed_or_finished(root, "tpe", WORKERS[run % 3], draw.uniform(0, 0.3) * seconds)
    if not (root / RESULT).exists():
        assert not killed_or_finished(root, "tpe", 1, 120)
    failed = int(found_in(root) != expected)
    tally("search killed -9", cases=kills, failed=failed, seed=SEED, workers="1, 2, 4")
    assert kills > 0
    assert failed == 0


def moments(draw, changes):
    """Draw 20 moments of an undisturbed tune whose files changed at the seconds `changes`.

    Each is a change's number and the seconds after it. One of every tenth of the changes, and so close to one
    that the write is under way; one of every tenth of the time.
    """
    for tenth in range(KILLS // 2):
        yield 1 + int((tenth + draw.random()) / (KILLS // 2) * (len(changes) - 1)), 0.004 * draw.random()
        second = (tenth + draw.random()) / (KILLS // 2) * changes[-1]
        number = bisect(changes, second)
        yield number, second - changes[number - 1]


def killed_in_turn(config, root, workers, kills):
    """Start a tune, kill it, take it up and kill it again, then let it end; return where it was writing."""
    done, areas = 0, []
    for number, (change, delay) in enumerate(kills):
        watched = run_watched(config, root, workers[number % 3], after=max(1, change - done), delay=delay)
        if watched.killed is None:
            return areas  # the process before had all but finished
        done += len(watched.at)
        areas.append(watched.killed)
    run_watched(config, root, workers[len(kills) % 3])
    return areas


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_mnemo_tune_killed_twenty_times(tmp_path: Path, tally):
    config, prepared = tmp_path / "killed.yaml", tmp_path / "prepared"
    config.write_text(CONFIG, encoding="utf-8")
    install(prepared)
    Tracker(prepared).prepare()
    code = code_identity(load(config))
    # The second one is timed: kernels are compiled then.
    for name in ("first", "whole"):
        shutil.copytree(prepared, tmp_path / name)
        undisturbed = run_watched(config, tmp_path / name, 1)
    (expected,), ledger = results(tmp_path / "whole")
    assert results(tmp_path / "first") == ([expected], ledger)
    draw, areas, wrong, tunes = random.Random(SEED), Counter(), [], 0
    waiting = list(moments(draw, undisturbed.at))
    draw.shuffle(waiting)
    while waiting:
        # Two or three processes take each other up, then one that may end.
        length = 2 + tunes % 2
        kills, waiting = sorted(waiting[:length]), waiting[length:]
        root, workers = tmp_path / f"killed-{tunes}", WORKERS[tunes % 3 :] + WORKERS[: tunes % 3]
        shutil.copytree(prepared, root)
        killed = killed_in_turn(config, root, workers, kills)
        areas.update(killed)
        # What came too late is tried again, earlier.
        waiting += [(9 * change // 10, delay) for change, delay in kills[len(killed) :]]
        found, recorded = results(root)
        if not found or any(one != expected for one in found) or recorded != ledger:
            wrong.append(f"tune {tunes}, killed at {kills}")
        tunes += 1
        assert code_identity(load(config)) == code, "the sources were edited while this test ran"
    where = {f"after_writing_{area}": count for area, count in sorted(areas.items())}
    tally(
        "mnemo tune killed -9", cases=areas.total(), failed=len(wrong), seed=SEED, tunes=tunes,
        workers="1, 2, 4", **where,
    )  # fmt: skip
    assert not wrong
    assert areas.total() == KILLS
    assert set(areas) == {"progress", "ledger", "runs"}
