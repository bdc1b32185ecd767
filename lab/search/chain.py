"""An append-only file of JSON lines in which every line vouches for the ones before it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from feature_store.atomic import exclusive, fault_point, write_bytes
from feature_store.errors import StoreError, StoreLockedError
from lab.core.errors import DataError, LockedError
from lab.core.hashing import digest

__all__ = ["GENESIS", "HashChain", "LedgerError"]

GENESIS: Final = digest(b"mnemo trial ledger 1")
_TAIL: Final = len(',"hash":"') + 64 + len('"}')
_BLOCK: Final = 1 << 16


class LedgerError(DataError):
    """The ledger is not what it was when it was written: a line was edited, moved or removed."""


@dataclass(frozen=True, slots=True)
class _Snapshot:
    size: int
    lines: int
    head: str


class HashChain:
    """JSON lines, each ending in the SHA-256 of the hash before it and its own text.

    An edited, moved or missing line breaks the chain from there on; the head, kept in a file of its own,
    gives away lines cut off at the end. Appends hold the folder's lock and return once the line is on disk.
    A process killed while writing leaves a last line without its end: it was never acknowledged, reads pass
    over it, and the next append moves it to ``torn.jsonl``.

    Parameters
    ----------
    path : Path
        The file; ``head.json``, ``torn.jsonl`` and the lock lie beside it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._head_path = path.with_name("head.json")
        self._torn_path = path.with_name("torn.jsonl")

    def append(self, body: bytes) -> str:
        """Add a JSON object as one line, durably; return its hash.

        Raises
        ------
        LedgerError
            If the last line is not the one the recorded head names.
        LockedError
            If another process holds the lock for 30 seconds.
        StoreError
            If the disk is full or the folder cannot be written.
        """
        with self._locked():
            self._set_torn_aside()
            count, previous = self._end()
            head = _chain(previous, body)
            self._write(body[:-1] + f',"hash":"{head}"}}\n'.encode())
            write_bytes(self._head_path, json.dumps({"lines": count + 1, "head": head}).encode())
            return head

    def lines(self, *, until: str | None = None) -> Iterator[tuple[bytes, str]]:
        """Yield (body, hash) of every line in order, checked as they go; stop after the hash `until`.

        Raises
        ------
        LedgerError
            At the first line that is not what was written there, at the end if lines are missing there, or
            if no line has the hash `until`.
        """
        if until == GENESIS:
            return
        snapshot = self._snapshot()
        previous, count, recorded = GENESIS, 0, GENESIS
        for line in self._complete_lines(snapshot.size):
            body, count = line[: -_TAIL - 1] + b"}", count + 1
            expected = _chain(previous, body)
            if line[-_TAIL - 1 :] != f',"hash":"{expected}"}}\n'.encode():
                raise LedgerError(
                    f"{self.path}:{count}: this line, or one before it, was changed, moved or removed "
                    "after it was written; restore the file from a backup"
                )
            previous = expected
            recorded = expected if count == snapshot.lines else recorded
            yield body, expected
            if expected == until:
                return
        if until is not None:
            raise LedgerError(
                f"{self.path}: head {until[:12]} is not among its {count} lines; "
                "the result was judged by another ledger"
            )
        # One line more than recorded: a process died between the line and its head.
        if count - snapshot.lines not in {0, 1} or recorded != snapshot.head:
            raise self._altered_end(f"{count} lines found, {snapshot.lines} recorded")

    def end(self) -> str:
        """Return the hash of the last line, compared with the recorded head; no other line is read."""
        if not self.path.parent.exists():
            return GENESIS
        with self._locked():
            return self._end()[1]

    def _snapshot(self) -> _Snapshot:
        if not self.path.parent.exists():
            return _Snapshot(0, 0, GENESIS)
        with self._locked():
            lines, head = self._read_head()
            return _Snapshot(self.path.stat().st_size if self.path.exists() else 0, lines, head)

    def _complete_lines(self, size: int) -> Iterator[bytes]:
        if size == 0:
            return
        with self.path.open("rb") as file:
            position = 0
            for line in file:
                position += len(line)
                if position > size or not line.endswith(b"\n"):
                    return
                yield line

    def _end(self) -> tuple[int, str]:
        """Return (lines, hash of the last line), reading no more than the end of the file."""
        recorded, head = self._read_head()
        line = self._last_line()
        found = line[-66:-2].decode("ascii", "replace") if line else GENESIS
        if found == head:
            return recorded, head
        if line and _chain(head, line[:-_TAIL] + b"}") == found:
            return recorded + 1, found
        raise self._altered_end("the last line is not the one recorded")

    def _last_line(self) -> bytes:
        """Return the last complete line without its newline, empty if there is none."""
        if not self.path.exists():
            return b""
        with self.path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            size = 0
            while True:
                size = min(max(2 * size, _BLOCK), end)
                file.seek(end - size)
                block = file.read(size).rstrip(b"\n")
                if b"\n" in block or size == end:
                    return block.rsplit(b"\n", 1)[-1]

    def _set_torn_aside(self) -> None:
        """Move an unfinished last line, which no append ever acknowledged, out of the chain."""
        if not self.path.exists():
            return
        with self.path.open("r+b") as file:
            end = keep = file.seek(0, os.SEEK_END)
            while keep > 0:
                start = max(keep - _BLOCK, 0)
                file.seek(start)
                newline = file.read(keep - start).rfind(b"\n")
                keep = start + newline + 1
                if newline >= 0:
                    break
            if keep == end:
                return
            file.seek(keep)
            earlier = self._torn_path.read_bytes() if self._torn_path.exists() else b""
            write_bytes(self._torn_path, earlier + file.read() + b"\n")
            file.truncate(keep)
            os.fsync(file.fileno())

    def _write(self, line: bytes) -> None:
        try:
            fault_point("append", self.path)
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                _write_or_undo(descriptor, line, self.path)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise StoreError(
                f"cannot append to {self.path}: {error.strerror or error}; nothing was recorded. "
                "Check free space and permissions, then run the command again"
            ) from error

    def _read_head(self) -> tuple[int, str]:
        if not self._head_path.exists():
            return 0, GENESIS
        try:
            content = json.loads(self._head_path.read_bytes())
            return int(content["lines"]), str(content["head"])
        except (ValueError, KeyError, TypeError):
            raise LedgerError(f"{self._head_path} cannot be read; restore it from a backup") from None

    def _altered_end(self, found: str) -> LedgerError:
        return LedgerError(
            f"{self.path}: {found} in {self._head_path.name}; lines were removed, added or edited by hand; "
            "restore both files from a backup"
        )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            with exclusive(self.path.parent):
                yield
        except StoreLockedError as error:
            raise LockedError(str(error)) from None


def _write_or_undo(descriptor: int, line: bytes, path: Path) -> None:
    size = os.fstat(descriptor).st_size
    try:
        fault_point("write", path)
        if os.write(descriptor, line) != len(line):
            raise OSError(28, "only part of the line could be written")
        fault_point("fsync", path)
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def _chain(previous: str, body: bytes) -> str:
    return digest(previous.encode() + body)
