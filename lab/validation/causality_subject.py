"""The function under examination: evaluated on parts of its panel and on panels with another future."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lab.core.errors import InsufficientHistoryError, MnemoError
from lab.core.feature import Feature
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
        What was seen, with figures.
    time : str
        Opening time of the bar, ISO 8601 UTC.
    feature : str
        Feature or column of the panel through which it comes; empty where that cannot be told.

    Examples
    --------
    >>> print(Finding("lookahead", 19725, "x:A/USDT", "the value needs 1 later bar(s)", "2024-01-03T00:00Z"))
    lookahead at 2024-01-03T00:00Z (bar 19725), market x:A/USDT: the value needs 1 later bar(s)
    """

    kind: str
    bar: int
    market: str
    detail: str
    time: str = ""
    feature: str = ""

    def report(self) -> dict[str, Any]:
        """Return the finding as a JSON document."""
        return asdict(self)

    def __str__(self) -> str:
        where = f"{self.time} (bar {self.bar})" if self.time else f"bar {self.bar}"
        market = f", market {self.market}" if self.market else ""
        through = f", through {self.feature}" if self.feature else ""
        return f"{self.kind} at {where}{market}{through}: {self.detail}"


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
                f"the signal failed on {_span(panel)} with {type(error).__name__}: {error}"
            ) from error
        if values.ndim == 0 or len(values) != len(panel):
            raise SignalError(
                f"the signal returned shape {values.shape} for {_span(panel)}; expected one row per bar"
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

    def tolerant(self, panel: Panel) -> Array | None:
        """Return the values on bars that live trading never sees, or None where the signal fails on them."""
        try:
            return self.on(panel)
        except SignalError:
            return None

    def with_future(self, cut: int, kind: str, only: str | Feature | None = None) -> Array | None:
        """Return the values on the whole panel when all after row `cut` is replaced.

        Parameters
        ----------
        cut : int
            Last row that stays as it is.
        kind : str
            ``missing`` (NaN), ``noise`` (every value scaled by its own factor) or ``permuted`` (the later
            rows in another order).
        only : str or Feature, optional
            Replace this field alone.
        """
        generator = np.random.default_rng([self.seed, cut])
        rows, columns = self.panel.shape
        order = generator.permutation(np.arange(cut + 1, rows))
        fields = dict(self.panel.fields)
        for key, values in self.panel.fields.items():
            if only is not None and key != only:
                continue
            changed = values.copy()
            if kind == "missing":
                changed[cut + 1 :] = np.nan
            elif kind == "noise":
                changed[cut + 1 :] *= generator.uniform(0.5, 2.0, size=(rows - cut - 1, columns))
            else:
                changed[cut + 1 :] = values[order]
            fields[key] = changed
        return self.tolerant(self._with(fields))

    def with_past(
        self, row: int, bars: int, factor: float, only: str | Feature | None = None
    ) -> Array | None:
        """Return the values up to `row` when all before the last `bars` bars is scaled, or NaN for 0.

        Parameters
        ----------
        row : int
            Last row of the history.
        bars : int
            Last bars that stay as they are.
        factor : float
            Of the earlier ones.
        only : str or Feature, optional
            Change this field alone.
        """
        fields = dict(self.panel.fields)
        for key, values in self.panel.fields.items():
            if only is None or key == only:
                changed = values.copy()
                changed[: max(row + 1 - bars, 0)] *= factor or np.nan
                fields[key] = changed
        return self.tolerant(self._with(fields).rows(0, row + 1))

    def _with(self, fields: Mapping[str | Feature, Array]) -> Panel:
        return Panel(self.panel.timeframe, self.panel.bar, self.panel.ts, self.panel.markets, fields)

    def finding(self, kind: str, cell: tuple[int, int], detail: str) -> Finding:
        """Return a finding at a cell (row, column) of the values."""
        row, column = cell
        market = self.panel.markets[column] if 0 <= column < len(self.panel.markets) else ""
        return Finding(kind, int(self.panel.bar[row]), market, detail, _time(self.panel, row))


def _time(panel: Panel, row: int) -> str:
    return f"{np.datetime_as_string(panel.ts[row], unit='m')}Z"


def _span(panel: Panel) -> str:
    span = f" ({_time(panel, 0)} to {_time(panel, -1)})" if len(panel) else ""
    return f"{len(panel)} bars{span}"
