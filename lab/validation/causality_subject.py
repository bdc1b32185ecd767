"""The function under examination: evaluated on parts of its panel and on panels with another future."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lab.core.errors import InsufficientHistoryError, MnemoError
from lab.core.panel import Panel

__all__ = ["FUTURES", "Finding", "Signal", "SignalError", "Subject"]

Array = NDArray[np.float64]
Signal = Callable[[Panel, Any], Any]

FUTURES: Final = ("missing", "noise", "permuted")


class SignalError(MnemoError):
    """The signal failed on a part of the panel, or returned something that has no row per bar."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of leak, at the first bar where it was seen.

    Parameters
    ----------
    kind : str
        See :func:`lab.validation.causality.certify`.
    bar : int
        Absolute bar number.
    market : str
        Market whose value differs first; empty where the values are not one column per market.
    detail : str
        What was seen, with figures and the time of the bar.
    """

    kind: str
    bar: int
    market: str
    detail: str

    def report(self) -> dict[str, Any]:
        """Return the finding as a JSON document."""
        return {"kind": self.kind, "bar": self.bar, "market": self.market, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Subject:
    """A signal with its panel and parameters; all evaluations are (T, columns) float64 arrays."""

    signal: Signal
    panel: Panel
    params: Any
    seed: int

    def on(self, panel: Panel) -> Array | None:
        """Return the signal's values on `panel`, or None where it says that the history is too short."""
        try:
            values = np.asarray(self.signal(panel, self.params), dtype=np.float64)
        except InsufficientHistoryError:
            return None
        except Exception as error:
            raise SignalError(
                f"the signal failed on {len(panel)} bars with {type(error).__name__}: {error}"
            ) from error
        if values.ndim == 0 or len(values) != len(panel):
            raise SignalError(
                f"the signal returned shape {values.shape} for {len(panel)} bars; expected one row per bar"
            )
        columns = values.size // max(len(panel), 1)
        return np.ascontiguousarray(values.reshape(len(panel), columns))

    def rows(self, start: int, stop: int) -> Array | None:
        """Return the values on rows ``start … stop - 1`` alone."""
        return self.on(self.panel.rows(start, stop))

    def last(self, row: int, bars: int) -> Array | None:
        """Return the values of `row` when only the `bars` bars that end there are known."""
        values = self.rows(max(row + 1 - bars, 0), row + 1)
        return None if values is None else values[-1]

    def with_future(self, cut: int, kind: str) -> Array | None:
        """Return the values on the whole panel when all after row `cut` is replaced.

        Parameters
        ----------
        cut : int
            Last row that stays as it is.
        kind : str
            ``missing`` (NaN), ``noise`` (every value scaled by its own factor) or ``permuted`` (the later
            rows in another order).
        """
        generator = np.random.default_rng([self.seed, cut])
        rows, columns = self.panel.shape
        order = generator.permutation(np.arange(cut + 1, rows))
        fields = {}
        for key, values in self.panel.fields.items():
            changed = values.copy()
            if kind == "missing":
                changed[cut + 1 :] = np.nan
            elif kind == "noise":
                changed[cut + 1 :] *= generator.uniform(0.5, 2.0, size=(rows - cut - 1, columns))
            else:
                changed[cut + 1 :] = values[order]
            fields[key] = changed
        return self.on(Panel(self.panel.timeframe, self.panel.bar, self.panel.ts, self.panel.markets, fields))

    def finding(self, kind: str, cell: tuple[int, int], detail: str) -> Finding:
        """Return a finding at a cell (row, column) of the values."""
        row, column = cell
        when = np.datetime_as_string(self.panel.ts[row], unit="m")
        market = self.panel.markets[column] if column < len(self.panel.markets) else ""
        return Finding(kind, int(self.panel.bar[row]), market, f"{when}Z: {detail}")
