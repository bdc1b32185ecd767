"""The trials of a fold as packed columns."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.core.errors import ConfigError
from lab.search.objectives import FIGURES
from lab.search.sketches import SKETCH_SIZE
from lab.strategies import Choice, Dimension

__all__ = ["COMPLETE", "INVALID", "REPEATED", "FoldTrials"]

Array = NDArray[np.float64]
Proposal = Mapping[str, int | float]

COMPLETE: Final = "complete"
REPEATED: Final = "repeated"
INVALID: Final = "invalid"
_STATES: Final = (COMPLETE, REPEATED, INVALID)
_NOTHING: Final = (float("nan"),) * len(FIGURES)
_HASH: Final = 16
_SKETCH: Final = 2 * SKETCH_SIZE


class FoldTrials:
    """The trials of one fold as packed columns: about 100 bytes each, so that memory hardly grows with them.

    Parameters
    ----------
    space : mapping of str to Range or Choice
        What varies.
    """

    def __init__(self, space: Mapping[str, Dimension]) -> None:
        self._whole = {name: _is_whole(space[name]) for name in sorted(space)}
        self._values = array("d")
        self._figures = array("d")
        self._scores = array("d")
        self._states = bytearray()
        self._hashes = bytearray()
        self._sketches = bytearray()

    def __len__(self) -> int:
        return len(self._states)

    def add(
        self,
        proposal: Proposal,
        state: str,
        name: str,
        figures: tuple[float, ...] = _NOTHING,
        score: float = float("nan"),
    ) -> None:
        """Append one trial; `name` is the hash of all its parameters."""
        self._values.extend(float(proposal[key]) for key in self._whole)
        self._figures.extend(figures)
        self._scores.append(score)
        self._states.append(_STATES.index(state))
        self._hashes += bytes.fromhex(name)

    def sketched(self, sketches: NDArray[np.float16]) -> None:
        """Append the sketches of the complete trials added last, shape (trials, SKETCH_SIZE)."""
        self._sketches += sketches.astype("<f2").tobytes()

    def forget_sketches(self) -> None:
        """Drop the sketches: they are on record."""
        self._sketches.clear()

    @property
    def complete(self) -> NDArray[np.int64]:
        """Numbers of the trials that were evaluated, each set once."""
        return np.flatnonzero(np.frombuffer(bytes(self._states), dtype=np.uint8) == 0)

    @property
    def hashes(self) -> NDArray[np.void]:
        """Hashes of all parameters of every trial, shape (trials,)."""
        return np.frombuffer(bytes(self._hashes), dtype=f"S{_HASH}")

    @property
    def figures(self) -> Array:
        """:data:`~lab.search.objectives.FIGURES` of every trial, shape (trials, figures)."""
        return np.array(self._figures).reshape(len(self), len(FIGURES))

    @property
    def scores(self) -> Array:
        """What was maximised, shape (trials,); NaN for a set that is not valid."""
        return np.array(self._scores)

    @property
    def sketches(self) -> NDArray[np.float16]:
        """Sketches of the complete trials, shape (complete, SKETCH_SIZE)."""
        return np.frombuffer(bytes(self._sketches), dtype="<f2").astype(np.float16).reshape(-1, SKETCH_SIZE)

    def figures_of(self, number: int) -> tuple[float, ...]:
        """Return the figures of one trial."""
        return tuple(self._figures[number * len(FIGURES) : (number + 1) * len(FIGURES)])

    def score_of(self, number: int) -> float:
        """Return what was maximised, of one trial."""
        return self._scores[number]

    def state_of(self, number: int) -> str:
        """Return ``complete``, ``repeated`` or ``invalid``."""
        return _STATES[self._states[number]]

    def hash_of(self, number: int) -> str:
        """Return the hash of all parameters of one trial."""
        return self._hashes[number * _HASH : (number + 1) * _HASH].hex()

    def proposal(self, number: int) -> dict[str, int | float]:
        """Return the parameters of one trial that vary."""
        width = len(self._whole)
        values = self._values[number * width : (number + 1) * width]
        return {
            name: int(value) if whole else value
            for (name, whole), value in zip(self._whole.items(), values, strict=True)
        }

    def best(self) -> int:
        """Return the number of the trial with the highest score, the earliest of equal ones.

        Raises
        ------
        ConfigError
            If no set could be evaluated.
        """
        numbers = self.complete
        if not len(numbers):
            raise ConfigError(
                f"search: none of {len(self)} proposed parameter sets is valid; narrow the search space"
            )
        return int(numbers[np.argmax(self.scores[numbers])])

    def frame(self, fold: int) -> pl.DataFrame:
        """Return the trials as a table, one row each; integer parameters stay integers."""
        count, figures = len(self), self.figures
        values = np.array(self._values).reshape(count, len(self._whole))
        columns: dict[str, Any] = {
            "fold": pl.Series(np.full(count, fold, dtype=np.int32)),
            "number": pl.Series(np.arange(count, dtype=np.int32)),
            "state": [_STATES[state] for state in self._states],
        }
        for position, (name, whole) in enumerate(self._whole.items()):
            column = pl.Series(np.ascontiguousarray(values[:, position]))
            columns[f"parameter_{name}"] = column.cast(pl.Int64) if whole else column
        columns["score"] = pl.Series(self.scores)
        for position, name in enumerate(FIGURES):
            columns[name] = pl.Series(np.ascontiguousarray(figures[:, position]))
        return pl.DataFrame(columns)

    def rows(self, start: int) -> NDArray[np.void]:
        """Return the trials from number `start` on as records, for a file; see :meth:`restore`."""
        width, figures = len(self._whole), len(FIGURES)
        record = np.dtype(
            [
                ("state", "u1"),
                ("hash", "u1", (_HASH,)),
                ("values", "<f8", (width,)),
                ("figures", "<f8", (figures,)),
                ("score", "<f8"),
                ("sketch", "u1", (_SKETCH,)),
            ]
        )
        rows = np.zeros(len(self) - start, dtype=record)
        rows["state"] = _cut(self._states, start)
        rows["hash"] = _cut(self._hashes, start * _HASH).reshape(-1, _HASH)
        rows["values"] = np.array(self._values[start * width :]).reshape(-1, width)
        rows["figures"] = np.array(self._figures[start * figures :]).reshape(-1, figures)
        rows["score"] = self._scores[start:]
        first = self._states[:start].count(0) * _SKETCH
        rows["sketch"][rows["state"] == 0] = _cut(self._sketches, first).reshape(-1, _SKETCH)
        return rows

    def restore(self, rows: NDArray[np.void]) -> None:
        """Append what :meth:`rows` returned, to the bit."""
        self._states += rows["state"].tobytes()
        self._hashes += rows["hash"].tobytes()
        self._values.frombytes(rows["values"].tobytes())
        self._figures.frombytes(rows["figures"].tobytes())
        self._scores.frombytes(rows["score"].tobytes())
        self._sketches += rows["sketch"][rows["state"] == 0].tobytes()


def _cut(content: bytearray, start: int) -> NDArray[np.uint8]:
    return np.frombuffer(bytes(content[start:]), dtype=np.uint8)


def _is_whole(dimension: Dimension) -> bool:
    if isinstance(dimension, Choice):
        return all(isinstance(option, int) for option in dimension.options)
    return dimension.is_integer
