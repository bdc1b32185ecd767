"""Compilation of kernels, cached under the sources they were made of.

Numba keeps compiled code beside the file of a function and makes it anew when that file changes, but not when
a function that it calls changes in another file: after an edit or an upgrade, the old code would go on
trading. Here the cache folder is named by a hash over the file and all project files it imports from, so
that a change anywhere on the way to a number compiles again.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numba
from numba.core import config

__all__ = ["njit", "source_digest"]

_PACKAGE: Final = Path(__file__).resolve().parents[1]
_IMPORT: Final = re.compile(
    r"^from (lab[\w.]*) import (?:\(([^)]*)\)|(.+))|^import (lab[\w.]*)", re.MULTILINE
)


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return numba's ``njit`` with the same options, whose cache knows the sources of what a kernel calls."""

    def decorate(function: Callable[..., Any]) -> Any:
        before = config.CACHE_DIR
        folder = _folder(sys.modules[function.__module__].__file__ or "", before)
        if folder is None:
            # Where nothing can be written, compiling every time beats not running.
            return numba.njit(**{**options, "cache": False})(function)
        config.CACHE_DIR = folder
        try:
            kernel = numba.njit(**options)(function)
        finally:
            config.CACHE_DIR = before
        if config.DISABLE_JIT:
            return kernel
        # A full disk costs the cache, not the run: numba has such a guard, for Windows only.
        kernel._cache._guard_against_spurious_io_errors = lambda: contextlib.suppress(OSError)
        return kernel

    return decorate


def source_digest(file: Path, *, package: Path = _PACKAGE) -> str:
    """Return a hash over a module's source and those of all modules of the package it reaches by import.

    Parameters
    ----------
    file : pathlib.Path
        The module.
    package : pathlib.Path
        Folder of the package called ``lab``.
    """
    seen: dict[str, bytes] = {}
    waiting = [str(file)]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen[path], reached = _source(path, package)
        waiting += reached
    return hashlib.sha256(b"".join(seen[path] for path in sorted(seen))).hexdigest()


@functools.cache
def _source(path: str, package: Path) -> tuple[bytes, tuple[str, ...]]:
    """Return the hash of a file and the files of the package that it imports."""
    content = Path(path).read_bytes()
    return hashlib.sha256(content).digest(), tuple(_imported(content.decode(), package))


def _imported(text: str, package: Path) -> list[str]:
    files: list[str] = []
    for module, many, few, plain in _IMPORT.findall(text):
        place = package.joinpath(*(module or plain).split(".")[1:])
        names = [name.split(" as ")[0].strip() for name in (many or few).split("#")[0].split(",")]
        candidates = [place.with_suffix(".py"), place / "__init__.py"]
        candidates += [place / f"{name}.py" for name in names if name]
        candidates += [place / name / "__init__.py" for name in names if name]
        files += [str(path) for path in candidates if path.is_file()]
    return files


def _of_the_user() -> list[Path]:
    try:
        return [Path.home() / ".cache" / "mnemo-quant"]
    except RuntimeError:  # neither HOME nor an entry among the system's users
        return []


@functools.cache
def _folder(file: str, chosen: str) -> str | None:
    """Return the cache folder of a module, below `chosen` where the user chose one (NUMBA_CACHE_DIR).

    None where none can be written.
    """
    if not Path(file).is_relative_to(_PACKAGE):
        return chosen
    digest = source_digest(Path(file))[:20]
    places = [Path(chosen)] if chosen else [_PACKAGE / "__pycache__", *_of_the_user()]
    for place in places:
        folder = place / "kernels" / digest
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return str(folder)
    return None
