"""Progress of a search that outlives its process: finished batches in files, read back by the next one."""

from __future__ import annotations

import importlib.metadata
import inspect
import io
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from feature_store.atomic import exclusive, write_bytes
from feature_store.errors import StoreLockedError
from lab.core.compiled import source_digest
from lab.core.errors import DataError, LockedError
from lab.core.hashing import digest
from lab.search.packed import FoldTrials
from lab.strategies import StrategyInstance, rule_of

__all__ = ["Checkpoint", "code_identity", "discard"]

# 2: blocks are records, not Parquet, whose writer keeps megabytes of memory for the next file.
SCHEMA: Final = 2
# What a killed search loses at most, beside the batch under way; a file costs some milliseconds.
_SECONDS: Final = 1.0
_REMOVED: Final = ".removed"
_LIBRARIES: Final = ("cmaes", "numba", "numpy", "optuna", "scipy", "vectorbt")


class Checkpoint:
    """Blocks of finished trials under ``<parent>/<hash of everything that decides the result>``.

    A search with another identity has another folder, so that stored trials always belong to it. The
    folder's lock is held while it is used: one search at a time continues it.

    Parameters
    ----------
    parent : Path
        Normally ``data/tunes``.
    identity : mapping
        Everything that the result depends on, as JSON values.
    clock : callable
        Seconds; when a file is written depends on it, what is found does not.
    """

    def __init__(
        self, parent: Path, identity: Mapping[str, Any], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.folder = parent / digest({"schema": SCHEMA, **identity})[:16]
        self._clock = clock

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder's lock.

        Raises
        ------
        LockedError
            If another search has held it for 30 seconds.
        """
        try:
            with exclusive(self.folder):
                yield
        except StoreLockedError as error:
            raise LockedError(str(error)) from None

    def begin(self, ledger_head: str) -> str:
        """Return the ledger's head at which this search first began: `ledger_head` if it begins now."""
        path = self.folder / "begun.json"
        if not path.exists():
            write_bytes(path, json.dumps({"ledger_head": ledger_head}).encode())
        return str(json.loads(path.read_bytes())["ledger_head"])

    def fold(self, number: int) -> _FoldFiles:
        """Return the files of one fold."""
        return _FoldFiles(self.folder / f"fold-{number:04d}", self._clock)


class _FoldFiles:
    """``block-000000.npy`` and so on, in order, each with the trials since the one before.

    `complete` says whether an earlier process stored the whole fold.
    """

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._clock = clock
        self._stored = 0
        self._blocks = 0
        self._written = clock()
        self.complete = False

    def read(self) -> NDArray[np.void] | None:
        """Return all rows stored so far, None without any."""
        blocks = sorted(self._folder.glob("block-*.npy"))
        if not blocks:
            return None
        rows = np.concatenate([_read(block) for block in blocks])
        self._stored, self._blocks, self.complete = len(rows), len(blocks), True
        return rows

    def offer(self, found: FoldTrials, *, finished: bool = False) -> None:
        """Write what is new where the last file is a while ago, and whatever is left at the end."""
        due = finished or self._clock() - self._written >= _SECONDS
        if not due or len(found) == self._stored:
            return
        content = io.BytesIO()
        np.save(content, found.rows(self._stored), allow_pickle=False)
        write_bytes(self._folder / f"block-{self._blocks:06d}.npy", content.getvalue())
        self._stored, self._blocks, self._written = len(found), self._blocks + 1, self._clock()
        self.complete = False


def _read(block: Path) -> NDArray[np.void]:
    try:
        rows: NDArray[np.void] = np.load(block, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise DataError(
            f"{block}: the stored progress of this tune cannot be read ({error}); remove the folder "
            f"{block.parents[1]} and run it again"
        ) from None
    return rows


def discard(folder: Path | None) -> None:
    """Remove the stored progress of a search whose result is kept elsewhere; none if `folder` is None.

    It is renamed first: who is killed meanwhile leaves all of it or nothing that would be taken up.
    """
    if folder is None or not folder.exists():
        return
    try:
        with exclusive(folder):
            removed = folder.with_name(f"{folder.name}{_REMOVED}")
            shutil.rmtree(removed, ignore_errors=True)
            folder.rename(removed)
        shutil.rmtree(removed, ignore_errors=True)
    except StoreLockedError:
        return  # the same search runs again already, and will remove it


def code_identity(instance: StrategyInstance) -> dict[str, str]:
    """Return hashes of the sources, and versions of the libraries, that a search's figures come from."""
    own = Path(__file__).with_name("walk_forward.py")
    strategy = Path(inspect.getfile(type(rule_of(instance.strategy))))
    versions = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"search_code": source_digest(own), "strategy_code": source_digest(strategy), **versions}
