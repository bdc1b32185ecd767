"""The one way files come into being: temporary file, fsync, rename, fsync of the folder, under a lock.

Whoever dies, whenever it dies, every file is the old one or the new one. Each file operation announces
itself to :func:`fault_point` first, so that a test can make any of them fail, or kill the process there.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import polars as pl
from filelock import FileLock, Timeout

from feature_store.errors import StoreError, StoreLockedError

__all__ = [
    "exclusive",
    "fault_point",
    "on_fault_point",
    "parquet_bytes",
    "replacing",
    "write_bytes",
    "write_parquet",
]

LOCK_TIMEOUT_SECONDS: Final = 30.0

_hook: Callable[[str, Path], None] | None = None


def on_fault_point(hook: Callable[[str, Path], None] | None) -> None:
    """Call `hook` with (operation, path) before every file operation; None removes it. For tests."""
    global _hook  # noqa: PLW0603 - the one switch, off outside tests
    _hook = hook


def fault_point(operation: str, path: Path) -> None:
    """Announce a file operation that is about to happen."""
    if _hook is not None:
        _hook(operation, path)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path`, on an error nothing changes.

    Raises
    ------
    StoreError
        If the disk is full or the folder cannot be written; the old file is still there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        fault_point("create", path)
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        fault_point("fsync", path)
        _fsync(temporary)
        fault_point("rename", path)
        temporary.replace(path)
        fault_point("fsync-folder", path)
        _fsync(path.parent)
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror or error}; the previous file is untouched. "
            "Check free space and permissions, then run the command again"
        ) from error
    finally:
        # Nothing is there where a folder of the path turned out to be a file.
        with suppress(NotADirectoryError):
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path`, all or nothing."""
    with replacing(path) as temporary:
        fault_point("write", path)
        temporary.write_bytes(data)


def parquet_bytes(frame: pl.DataFrame) -> bytes:
    """Return `frame` as Parquet, zstd level 3; equal frames give equal bytes, however they came about."""
    buffer = io.BytesIO()
    frame.rechunk().write_parquet(buffer, compression="zstd", compression_level=3, statistics=True)
    return buffer.getvalue()


def write_parquet(path: Path, frame: pl.DataFrame) -> None:
    """Write `frame` to `path` as Parquet, all or nothing; see :func:`parquet_bytes`."""
    write_bytes(path, parquet_bytes(frame))


@contextmanager
def exclusive(folder: Path, *, timeout: float = LOCK_TIMEOUT_SECONDS) -> Iterator[None]:
    """Hold the lock of `folder` (created if missing) while the block runs.

    Raises
    ------
    StoreLockedError
        If another process still holds it after `timeout` seconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=timeout):
            yield
    except Timeout as error:
        raise StoreLockedError(
            f"{folder} is locked by another run; waited {timeout:g} s. Let it finish, then run again"
        ) from error


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
