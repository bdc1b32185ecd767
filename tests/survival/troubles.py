"""What can be wrong with a machine: its disk, its database, its clock, its network.

Each is a context: on entering it the trouble begins and yields the tick that meets it, on leaving it is
mended.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.oracle.bridge_process import Act, at_point
from tests.survival.stage import Stage

__all__ = ["KINDS", "Scene", "Trouble"]

NOBODY = 65_534
CLIENT_TIMEOUT_MS = 300
_FILES = ("main.sqlite", "main.sqlite-wal", "main.sqlite-shm")
OFFSETS = tuple(
    sign * timedelta(**{unit: count})
    for unit, count in (
        ("seconds", 1), ("seconds", 45), ("minutes", 7), ("hours", 3), ("hours", 23), ("days", 1),
    )
    for sign in (1, -1)
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scene:
    """A bridge that is about to meet trouble; `begun` says whether it has traded before."""

    stage: Stage
    root: Path
    draw: random.Random
    begun: bool

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.root / "data/live/main.sqlite"

    def tick(self, **options: Any) -> Act:
        """Return a live tick."""
        return self.stage.tick(self.root, **options)


Trouble = Callable[[Scene], AbstractContextManager[Act]]


@contextmanager
def disk_full(scene: Scene) -> Iterator[Act]:
    """No file can grow beyond a size: the kernel refuses the write, in SQLite as anywhere."""
    size = scene.draw.randrange(0, 400_000)

    def act() -> tuple[dict[str, Any], int]:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        return scene.tick()()

    yield act


@contextmanager
def read_only(scene: Scene) -> Iterator[Act]:
    """Nothing under the root may be written, or the journal alone may not."""
    alone = scene.begun and scene.draw.random() < 0.5
    places = [scene.journal] if alone else [scene.root, *scene.root.rglob("*")]
    modes = {place: place.stat().st_mode for place in (scene.root, *scene.root.rglob("*"))}
    for place in modes:
        place.chmod(0o777 if place.is_dir() else 0o666)
    for place in places:
        place.chmod(0o555 if place.is_dir() else 0o444)

    def act() -> tuple[dict[str, Any], int]:
        if os.geteuid() == 0:
            # Permissions do not bind root.
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        return scene.tick()()

    yield act
    for place, mode in modes.items():
        place.chmod(mode)


@contextmanager
def locked(scene: Scene) -> Iterator[Act]:
    """Another program holds the database: from the start, or from some transaction of the tick on."""
    number = 0 if scene.begun and scene.draw.random() < 0.5 else scene.draw.randint(1, 8)

    def hold() -> sqlite3.Connection:
        other = sqlite3.connect(scene.journal, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        return other

    def act() -> tuple[dict[str, Any], int]:
        from feature_store.atomic import on_fault_point

        held: list[sqlite3.Connection] = []
        begun = 0

        def passed(operation: str, _: Path) -> None:
            nonlocal begun
            begun += operation == "journal-begin"
            if begun == number and not held:
                held.append(hold())

        on_fault_point(passed if number else None)
        return scene.tick()()

    if number:
        yield act
        return
    with closing(hold()):
        yield act


@contextmanager
def _moved(scene: Scene, *, everything: bool = False) -> Iterator[None]:
    """Take the journal away (or all that lies beside it too), and put it back at the end."""
    aside = scene.stage.folder / "aside"
    shutil.rmtree(aside, ignore_errors=True)
    shutil.copytree(scene.journal.parent, aside)
    for place in list(scene.journal.parent.iterdir()):
        if place.is_file() and (everything or place.name in _FILES):
            place.unlink()
    yield
    shutil.rmtree(scene.journal.parent)
    aside.rename(scene.journal.parent)


@contextmanager
def missing(scene: Scene) -> Iterator[Act]:
    """The journal is gone, or all of its folder."""
    with _moved(scene, everything=scene.draw.random() < 0.5):
        yield scene.tick(new_account=scene.draw.random() < 0.5)


@contextmanager
def foreign(scene: Scene) -> Iterator[Act]:
    """Something else lies where the journal was."""
    name = scene.draw.choice(sorted(IMPOSTORS))
    content = scene.journal.read_bytes()
    with _moved(scene):
        IMPOSTORS[name](scene.journal, content)
        yield scene.tick()
        if scene.journal.is_dir():
            scene.journal.rmdir()


def _another_account(path: Path, _: bytes) -> None:
    from live_bridge.journal import Journal

    Journal(path, account="another", portfolio="trio").close()


def _another_program(path: Path, _: bytes) -> None:
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TABLE bookmarks (address TEXT)")


IMPOSTORS: dict[str, Callable[[Path, bytes], Any]] = {
    "another account's journal": _another_account,
    "another program's database": _another_program,
    "no database": lambda path, _: path.write_bytes(bytes(range(256)) * 64),
    "half of it": lambda path, content: path.write_bytes(content[: len(content) // 2]),
    "an empty file": lambda path, _: path.touch(),
    "a folder": lambda path, _: path.mkdir(),
}


@contextmanager
def old_backup(scene: Scene) -> Iterator[Act]:
    """A copy is put back that is one to three ticks old."""
    from live_bridge.backup import backup, restore

    copy = scene.stage.folder / "copy.sqlite"
    backup(scene.journal, copy)
    for _ in range(scene.draw.randint(1, 3)):
        assert scene.stage.run(scene.tick()).code == 0
        scene.stage.control("clock", advance_ms=scene.draw.randint(3, 12) * 86_400_000)
    restore(copy, scene.journal)
    yield scene.tick()


@contextmanager
def exchange_clock(scene: Scene, offset: timedelta) -> Iterator[Act]:
    """The exchange tells another time than the one it checks requests by."""
    skew = {"kind": "skew", "path": "/api/v3/time", "milliseconds": offset // timedelta(milliseconds=1)}
    scene.stage.control("fault", faults=[skew, *_lost_answer(scene)])
    yield scene.tick()
    scene.stage.control("fault", clear=True)


@contextmanager
def machine_clock(scene: Scene, offset: timedelta) -> Iterator[Act]:
    """This machine's clock is off."""
    now = datetime.fromtimestamp(scene.stage.state()["time"] / 1_000, UTC) + offset
    scene.stage.control("fault", faults=_lost_answer(scene))
    yield scene.tick(local_now=lambda: now)
    scene.stage.control("fault", clear=True)


def _lost_answer(scene: Scene) -> list[dict[str, Any]]:
    # Whether an order arrived is then told by time alone, which is what is wrong.
    lost = {"kind": "drop", "method": "POST", "path": "/api/v3/order", "nth": scene.draw.randint(1, 2)}
    return [{**lost, "when": scene.draw.choice(("before", "after"))}] if scene.draw.random() < 0.5 else []


@contextmanager
def no_names(scene: Scene) -> Iterator[Act]:
    """No name resolves any more, from some request of the tick on."""
    number = scene.draw.randint(1, 30)

    def act() -> tuple[dict[str, Any], int]:
        clients: list[Any] = []
        seen = 0

        def passed(what: str) -> None:
            nonlocal seen
            seen += what.startswith("before")
            if seen == number:
                # Connections that are open do without names.
                clients[0].session.close()
                socket.getaddrinfo = _unresolved

        at_point(passed)
        return scene.tick(client=clients.append)()

    yield act


def _unresolved(*_: Any, **__: Any) -> Any:
    raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


@contextmanager
def black_hole(scene: Scene) -> Iterator[Act]:
    """Requests are taken, from some of them on, and never answered; some are carried out all the same."""
    first = scene.draw.randint(1, 30)
    hang = {"kind": "hang", "path": "/*api/*", "when": scene.draw.choice(("before", "after"))}
    scene.stage.control("fault", faults=[{**hang, "nth": list(range(first, first + 300))}])

    def impatient(client: Any) -> None:
        client.timeout = CLIENT_TIMEOUT_MS

    yield scene.tick(client=impatient)
    scene.stage.control("fault", clear=True)


def _clock(kind: Callable[[Scene, timedelta], AbstractContextManager[Act]], offset: timedelta) -> Trouble:
    return lambda scene: kind(scene, offset)


_PLAIN: tuple[tuple[Trouble, int], ...] = (
    (disk_full, 12), (read_only, 8), (locked, 8), (missing, 6), (foreign, 14), (old_backup, 6),
    (no_names, 10), (black_hole, 12),
)  # fmt: skip
# Name of the case, the trouble, and whether the bridge must have traded before it.
KINDS: tuple[tuple[str, Trouble, bool], ...] = (
    *(
        (f"{trouble.__name__.replace('_', ' ')} {number}", trouble, trouble in (missing, foreign, old_backup))
        for trouble, count in _PLAIN
        for number in range(count)
    ),
    *(
        (f"{name}'s clock off by {offset.total_seconds():+.0f} s", _clock(clock, offset), False)
        for name, clock in (("the exchange", exchange_clock), ("this machine", machine_clock))
        for offset in OFFSETS
    ),
)  # fmt: skip
