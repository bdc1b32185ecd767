"""File names made of names from outside."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["file_stem"]

_LONGEST: Final = 80


def file_stem(name: str) -> str:
    """Return a name as a safe piece of a file name: letters, digits, ``_``, ``-`` and inner dots, short.

    Examples
    --------
    >>> file_stem("tsm_btc_1d")
    'tsm_btc_1d'
    >>> file_stem("../<script>é")
    'script'
    >>> file_stem("//")
    'unnamed'
    """
    kept = re.sub(r"[^A-Za-z0-9_-]+", lambda found: "." if found[0] == "." else "_", name)
    return kept[:_LONGEST].strip("._") or "unnamed"
