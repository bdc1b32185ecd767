"""Paths that a user writes into a file."""

from __future__ import annotations

import os
from typing import Annotated, Final

from pydantic import AfterValidator

__all__ = ["PathText"]

# Below what Linux takes, for files beside it have longer names, and a root stands before it.
_LONGEST_NAME: Final = 200
_LONGEST_PATH: Final = 1_000


def _path(text: str) -> str:
    """Return a path that the system can be asked about, or say why it cannot."""
    parts = [os.fsencode(part) for part in text.split("/")]
    if "\0" in text or max(map(len, parts)) > _LONGEST_NAME or len(os.fsencode(text)) > _LONGEST_PATH:
        raise ValueError(
            f"expected a path of at most {_LONGEST_PATH} bytes, its names of {_LONGEST_NAME}, none zero"
        )
    return text


PathText = Annotated[str, AfterValidator(_path)]
