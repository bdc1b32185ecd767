"""Which interpreter, libraries and processor a run's bits were made with."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Final

__all__ = ["environment"]

# Libraries that a number passes through on its way into a result.
_LIBRARIES: Final = ("numpy", "numba", "llvmlite", "polars", "vectorbt", "optuna")


def environment() -> dict[str, str]:
    """Return versions and processor, as recorded with a run; with other ones the last bits may differ."""
    versions = {name: metadata.version(name) for name in _LIBRARIES}
    return {**versions, "python": platform.python_version(), "processor": _processor()}


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 - a kernel table, not a file
            names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.machine()
