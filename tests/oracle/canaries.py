"""A key, a secret and a passphrase that can be recognised wherever they turn up."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

__all__ = ["KEY", "PASSPHRASE", "SECRET", "Canaries"]

KEY = "canaryKEYcanaryKEYcanaryKEY0001"
SECRET = "canarySECRETcanarySECRETcanary02"
PASSPHRASE = "canaryPASSPHRASE canary 03"


class Canaries:
    """Looks through whatever was written, and counts.

    Attributes
    ----------
    texts : int
        How many texts were looked through.
    masked : int
        How often something was masked in them: they are those in which a secret would stand.
    found : list of str
        Where one of them stood.

    Examples
    --------
    >>> canaries = Canaries()
    >>> canaries.look("log", f"signature=[redacted] for {KEY}".encode())
    >>> canaries.texts, canaries.masked, canaries.found
    (1, 1, ['canaryKEY… in log'])
    """

    def __init__(self) -> None:
        self.texts = self.masked = 0
        self.found: list[str] = []

    def look(self, name: str, text: bytes) -> None:
        """Look through one text."""
        self.texts += 1
        self.masked += text.count(b"[redacted]")
        self.found += [
            f"{word[:9]}… in {name}" for word in (KEY, SECRET, PASSPHRASE) if word.encode() in text
        ]

    def look_through(self, paths: Iterable[Path]) -> None:
        """Look through every file among the paths, and under those that are folders."""
        for path in paths:
            for each in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if each.is_file():
                    self.look(each.name, each.read_bytes())
