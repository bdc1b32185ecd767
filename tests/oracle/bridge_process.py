"""Processes that can be killed anywhere, forked from one that has only imported.

Each starts with nothing but the files on disk, and dies by SIGKILL at the point that a number names.
Points are the seams that every tick passes: each request (before it leaves, and after it was answered),
each statement that SQLite runs, and each operation announced to ``feature_store.atomic.fault_point``,
which are around every write and fsync of journal and witness. What a process prints, tracebacks and the
loggers of all libraries at level debug included, is kept.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import sqlite3
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Act", "Child", "Ended", "at_point", "dying_at", "in_child", "loud", "start_child"]

Act = Callable[[], tuple[dict[str, Any], int]]
Point = Callable[[str], None]

_BARS_PER_POINT = 100


@dataclass(slots=True)
class Points:
    """Counts the points a process passes, and kills it at one of them."""

    kill_at: int = 0
    passed: int = 0
    names: list[str] = field(default_factory=list)
    _bars: int = 0

    def pass_by(self, name: str) -> None:
        """Pass a point."""
        self.passed += 1
        self.names.append(name)
        if self.passed == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def _statement(self, statement: str) -> None:
        # Hundreds of received bars are one transaction: every hundredth of them is a point.
        bars = statement.startswith("INSERT INTO bars")
        self._bars += bars
        if not bars or self._bars % _BARS_PER_POINT == 0:
            self.pass_by(f"sql {statement.split(maxsplit=1)[0]}")

    def install(self) -> None:
        """Wrap the seams of this process."""
        from feature_store.atomic import on_fault_point

        on_fault_point(lambda operation, _: self.pass_by(operation))
        at_point(self.pass_by)
        connect = sqlite3.connect

        def connecting(*arguments: Any, **options: Any) -> sqlite3.Connection:
            connection = connect(*arguments, **options)
            connection.set_trace_callback(self._statement)
            return connection

        sqlite3.connect = connecting  # type: ignore[assignment]


def at_point(passed: Point) -> None:
    """Tell `passed` of every request of this process: ``before GET /path`` and ``after GET /path``."""
    import requests

    send = requests.Session.send

    def sending(session: Any, request: Any, **options: Any) -> Any:
        what = f"{request.method} {request.path_url.split('?')[0]}"
        passed(f"before {what}")
        answer = send(session, request, **options)
        passed(f"after {what}")
        return answer

    requests.Session.send = sending  # type: ignore[method-assign]


def dying_at(act: Act, what: str, nth: int = 1) -> Act:
    """Return `act` with its process killed at the `nth` request of a name, such as ``before POST /path``."""

    def run() -> tuple[dict[str, Any], int]:
        seen = 0

        def passed(point: str) -> None:
            nonlocal seen
            seen += point == what
            if point == what and seen == nth:
                os.kill(os.getpid(), signal.SIGKILL)

        at_point(passed)
        return act()

    return run


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended.

    Attributes
    ----------
    code : int
        Exit code; -9: killed.
    document : dict
        What the run told.
    error : str
        The exception that ended it.
    points : tuple of str
        The points it passed.
    output : bytes
        What it printed.
    memory : int
        Largest resident set, KiB.
    """

    code: int
    document: dict[str, Any]
    error: str
    points: tuple[str, ...]
    output: bytes
    memory: int


@dataclass(frozen=True, slots=True)
class Child:
    """A process that was started."""

    pid: int
    report: Path

    def wait(self) -> Ended:
        """Wait for its end."""
        _, status, used = os.wait4(self.pid, 0)
        # Empty where it was killed.
        text = self.report.read_text() if self.report.exists() else ""
        told = json.loads(text) if text else {}
        printed = self.report.with_suffix(".out")
        return Ended(
            os.waitstatus_to_exitcode(status),
            told.get("document", {}),
            told.get("error", ""),
            tuple(told.get("points", ())),
            printed.read_bytes() if printed.exists() else b"",
            used.ru_maxrss,
        )


def start_child(act: Act, *, kill_at: int = 0, scratch: Path, name: str = "child") -> Child:
    """Start `act` in a forked process, to be killed at a point; 0: at none."""
    report = scratch / f"{name}.json"
    report.unlink(missing_ok=True)
    report.with_suffix(".out").unlink(missing_ok=True)
    _import_once()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _as_child(act, kill_at, report)
    return Child(pid, report)


def in_child(act: Act, *, kill_at: int = 0, scratch: Path) -> Ended:
    """Run `act` in a forked process, killed at a point; 0: not killed."""
    return start_child(act, kill_at=kill_at, scratch=scratch).wait()


def loud(output: Path) -> None:
    """Send all loggers to a file at level debug, masked as the command does: by what the process knows."""
    from live_bridge.monitoring.redaction import Redactor, mask_all_logs

    mask_all_logs(Redactor())
    target = logging.FileHandler(output)
    target.setFormatter(logging.Formatter(logging.BASIC_FORMAT))
    logging.getLogger().addHandler(target)
    logging.getLogger().setLevel(logging.DEBUG)


def _import_once() -> None:
    """Import what every child needs; imports start no threads."""
    import logging.handlers  # noqa: F401

    import apprise  # noqa: F401

    import live_bridge.ccxt_account
    import live_bridge.monitoring.facts
    import live_bridge.monitoring.metrics
    import live_bridge.operations
    import live_bridge.runner  # noqa: F401
    from lab.data.venues import exchange_class

    exchange_class("binance")


def _as_child(act: Act, kill_at: int, report: Path) -> None:
    points = Points(kill_at)
    document: dict[str, Any] = {}
    error, code = "", 1
    # Opened before the case takes away what this process may write.
    told = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        printed = os.open(report.with_suffix(".out"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        points.install()
        document, code = act()
    except BaseException as failure:
        code = int(getattr(failure, "exit_code", 1))
        error = f"{type(failure).__name__}: {failure}"
        with suppress(OSError):
            os.write(2, traceback.format_exc().encode())
    finally:
        points.kill_at = 0
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        os.write(told, json.dumps({"document": document, "error": error, "points": points.names}).encode())
        os._exit(code)
