"""How a case is measured: one process per side, runs in turn, medians, memory above the prepared process."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from lab.core.errors import MnemoError

__all__ = ["Case", "Measurement", "measure"]

RUNS: Final = 5
_OURS_PER_RUN: Final = 5
_STATUS: Final = Path("/proc/self/status")
_CLEAR: Final = Path("/proc/self/clear_refs")
# Seconds of the wall and of all threads.
_Times = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Case:
    """One comparison. All callables are module-level functions, for each side runs in a process of its own.

    Parameters
    ----------
    name : str
        What is done, with its size.
    peer : str
        The library compared with.
    prepare : callable
        Returns the input both sides get; seeded, not timed.
    ours, theirs : callable
        One run each: input to a small result (numbers or an array) that can be compared.
    agree : callable
        Raises AssertionError when the two results are not the same thing.
    rehearse : callable, optional
        A small input for the first, unmeasured run, which imports and compiles; by default `prepare`.
    most_runs : int, optional
        Timed runs at most, for cases whose peer takes a minute; the run that is compared counts as one.
    finish : callable, optional
        Takes the input back when a side is done with it: removes its files.
    units : tuple of int
        How many equal things ours and the peer do in a run; the seconds are those of one of them.
    ours_per_run : int
        How often ours runs for one run of a peer that `most_runs` limits; 0 where ours takes long itself: the
        run that is compared counts alone.
    """

    name: str
    peer: str
    prepare: Callable[[], Any]
    ours: Callable[[Any], Any]
    theirs: Callable[[Any], Any]
    agree: Callable[[Any, Any], None]
    rehearse: Callable[[], Any] | None = None
    most_runs: int | None = None
    finish: Callable[[Any], None] | None = None
    units: tuple[int, int] = (1, 1)
    ours_per_run: int = _OURS_PER_RUN


@dataclass(frozen=True, slots=True)
class Measurement:
    """Medians; ``ratio`` is the peer's time over ours, megabytes are above the prepared process.

    Seconds are those of the wall. Processor seconds are of all threads together: other work on the machine
    changes them less, so that they tell a slow run from a disturbed one.
    """

    name: str
    ours_s: float
    peer: str
    peer_s: float
    ratio: float
    ours_mb: float
    peer_mb: float
    ours_processor_s: float
    peer_processor_s: float

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


def measure(case: Case, *, runs: int = RUNS) -> Measurement:
    """Warm both sides up, compare their results, then time them in turn.

    Raises
    ------
    MnemoError
        If a side fails, or the two results differ.
    """
    context = multiprocessing.get_context("spawn")
    sides = [_Side(context, case, "ours"), _Side(context, case, "theirs")]
    try:
        (ours, ours_mb, first), (theirs, peer_mb, theirs_first) = (side.ask("warm") for side in sides)
        try:
            case.agree(ours, theirs)
        except AssertionError as error:
            raise MnemoError(f"bench {case.name}: results differ from {case.peer}: {error}") from error
        times: tuple[list[_Times], list[_Times]] = ([], [])
        if case.most_runs is not None:
            times = ([first], [theirs_first])
            runs = min(runs, case.most_runs) - 1
        # Where the peer runs for long, ours runs more often: its median of one run would be chance.
        each = (1, 1) if case.most_runs is None else (case.ours_per_run, 1)
        for _ in range(max(runs, case.most_runs is not None)):
            for side, taken, often in zip(sides, times, each, strict=True):
                if side is sides[1] and runs < 1:
                    continue
                taken += [side.ask("run") for _ in range(often)]
    finally:
        for side in sides:
            side.close()
    each_side = tuple(zip(times, case.units, strict=True))
    ours_s, peer_s = (statistics.median(wall for wall, _ in taken) / units for taken, units in each_side)
    busy = [statistics.median(processor for _, processor in taken) / units for taken, units in each_side]
    return Measurement(case.name, ours_s, case.peer, peer_s, peer_s / ours_s, ours_mb, peer_mb, *busy)


class _Side:
    """One side's process, asked for one run at a time."""

    def __init__(self, context: Any, case: Case, side: str) -> None:
        self._label = f"bench {case.name}: {side}"
        self._pipe, child = context.Pipe()
        self._process = context.Process(target=_serve, args=(child, case, side), daemon=True)
        self._process.start()
        child.close()

    def ask(self, what: str) -> Any:
        self._pipe.send(what)
        try:
            kind, value = self._pipe.recv()
        except EOFError:
            raise MnemoError(f"{self._label}: the process died, probably for lack of memory") from None
        if kind == "error":
            raise MnemoError(f"{self._label} failed: {value}")
        return value

    def close(self) -> None:
        self._pipe.close()
        self._process.join(timeout=30)
        if self._process.is_alive():
            self._process.kill()


def _serve(pipe: Connection, case: Case, side: str) -> None:
    run = case.ours if side == "ours" else case.theirs
    finish, inputs = case.finish or _nothing, []
    try:
        inputs.append((case.rehearse or case.prepare)())
        run(inputs[0])  # imports and compiles, not measured
        finish(inputs.pop())
        inputs.append(given := case.prepare())
        while True:
            what = pipe.recv()
            before = _reset_peak()
            start, busy = time.perf_counter(), time.process_time()
            result = run(given)
            taken: _Times = time.perf_counter() - start, time.process_time() - busy
            memory = _megabytes("VmHWM") - before
            pipe.send(("ok", (result, memory, taken) if what == "warm" else taken))
    except EOFError:
        return
    except Exception as error:
        pipe.send(("error", f"{error!r}\n{traceback.format_exc(limit=-3)}"))
    finally:
        for each in inputs:
            finish(each)
        pipe.close()
        os._exit(0)  # some peers leave threads behind that would keep the process alive


def _nothing(given: Any) -> None:
    """Leave an input that is only memory."""


def _reset_peak() -> float:
    _CLEAR.write_text("5")
    return _megabytes("VmRSS")


def _megabytes(field: str) -> float:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise MnemoError(f"{_STATUS} has no {field}; mnemo bench needs Linux")
