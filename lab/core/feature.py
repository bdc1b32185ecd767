"""What a feature is, as a value: the key under which panels, stores and manifests hold its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lab.core.errors import ConfigError
from lab.core.hashing import digest

__all__ = ["Feature"]


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature's identity: definition, version, parameters and how far back it looks.

    The computation belongs to the definition registered under `name` in :mod:`lab.features`; this value is
    hashable, comparable and free of code, so that a strategy can declare what it needs without computing it.

    Parameters
    ----------
    name : str
        Name of the registered definition.
    version : str
        Version of the definition; part of every key, so that a changed meaning never reads old numbers.
    parameters : tuple of (str, value) pairs
        Sorted by name. Values are strings, numbers, booleans or None.
    lookback : int
        Bars that the value at t depends on, bar t included; at least 1. Calendar bars, of the panel's
        timeframe.

    Examples
    --------
    >>> mean = Feature.of("mean", "1", lookback=20, column="close", window=20)
    >>> mean.key
    'mean@1(column=close,window=20)'
    >>> mean["window"]
    20
    """

    name: str
    version: str
    parameters: tuple[tuple[str, Any], ...]
    lookback: int

    def __post_init__(self) -> None:
        if self.lookback < 1:
            raise ConfigError(f"feature {self.name}: lookback {self.lookback} found, at least 1 bar expected")

    @classmethod
    def of(cls, name: str, version: str, *, lookback: int, **parameters: Any) -> Feature:
        """Build a feature from keyword parameters."""
        return cls(name, version, tuple(sorted(parameters.items())), lookback)

    def __getitem__(self, parameter: str) -> Any:
        return dict(self.parameters)[parameter]

    @property
    def key(self) -> str:
        """Readable identity, unique per definition, version and parameters."""
        inner = ",".join(f"{name}={value}" for name, value in self.parameters)
        return f"{self.name}@{self.version}({inner})"

    @property
    def digest(self) -> str:
        """SHA-256 over name, version, parameters and lookback."""
        return digest(
            [
                self.name,
                self.version,
                [list(pair) for pair in self.parameters],
                self.lookback,
            ]
        )

    def __str__(self) -> str:
        return self.key
