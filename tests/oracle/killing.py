"""Runs downloads and imports in children that die by SIGKILL at a chosen file operation or request.

``python -m tests.oracle.killing`` reads one JSON job per line and answers with one line each. Every job runs
in a fork of this process, which has imported everything and started no thread: a death costs milliseconds.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["Executioner", "executioner", "snapshot"]

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Executioner:
    """Sends jobs to the process that forks."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, **job: Any) -> dict[str, Any]:
        """Run one job; ``point`` names the event before which it dies, None: it lives."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process that forks has died"
        return dict(json.loads(line))


@contextmanager
def executioner() -> Iterator[Executioner]:
    """Start the process that forks; it ends with the block."""
    command = [sys.executable, "-m", "tests.oracle.killing"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Executioner(process)
        finally:
            process.terminate()


def snapshot(root: Path) -> dict[str, bytes]:
    """Return every file under a root but locks and what killed writers left beside the files."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in files
        if path.name != ".lock" and path.suffix != ".tmp"
    }


def _download(job: dict[str, Any], event: Any) -> list[Any]:
    from lab.data.download import download
    from lab.data.download_client import Feed, Patience, connect

    class Watched(Feed):
        def now(self) -> int:
            event("ask the time")
            return super().now()

        def page(self, *args: Any, **kwargs: Any) -> Any:
            event("ask a page")
            answer = super().page(*args, **kwargs)
            event("have a page")
            return answer

    made = connect("binance", base_url=job["url"], patience=Patience(attempts=3, wait_initial=0.01))
    feed = Watched(made.client, Patience(attempts=3, wait_initial=0.01), lambda: NOW)
    feed.client.enableRateLimit = False
    verdicts = download(
        feed,
        job["symbols"],
        job["timeframe"],
        root=Path(job["root"]),
        since=datetime.fromisoformat(job["since"]),
        page_bars=job["page_bars"],
    )
    return [verdict.to_dict() for verdict in verdicts]


def _import(job: dict[str, Any], event: Any) -> list[Any]:
    from lab.data.importing import import_files

    verdicts = import_files(
        job["files"], root=Path(job["root"]), exchange="binance", timeframe=job["timeframe"], arrived=NOW
    )
    return [verdict.to_dict() for verdict in verdicts]


def _child(job: dict[str, Any], channel: int) -> None:
    from feature_store.atomic import on_fault_point

    events: list[str] = []

    def event(name: str) -> None:
        if len(events) == job.get("point"):
            os.kill(os.getpid(), signal.SIGKILL)
        events.append(name)

    on_fault_point(lambda operation, path: event(f"{operation} {path.name}"))
    verdicts = {"download": _download, "import": _import}[job["what"]](job, event)
    os.write(channel, json.dumps({"events": events, "verdicts": verdicts}).encode())


def _fork(job: dict[str, Any]) -> dict[str, Any]:
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        code = 1
        try:
            _child(job, writer)
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as channel:
        said = channel.read()
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    return {"killed": killed, "code": os.waitstatus_to_exitcode(status), **(json.loads(said) if said else {})}


def main() -> None:
    """Fork once per line of standard input."""
    import stamina

    import lab.data.download
    import lab.data.importing
    from lab.data.venues import errors, exchange_class

    del stamina, lab
    exchange_class("binance")
    errors()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_fork(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
