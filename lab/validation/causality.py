"""The causality certificate: a proof, bar by bar and bit by bit, that a signal sees its lookback and no more.

Library rolling means carry a running sum and recursive averages never forget, so that the number computed
live from the last bars is not the number that the backtest had. Look-ahead hides in a shift, a centred
window, a scaler fitted on everything. All of it shows when the same function is asked again with less
history, with no future, and with another future.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.core.errors import InsufficientHistoryError
from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.features import compute, definition_of
from lab.validation.causality_future import classify_future, first_cell, future_cells, neighbour_cell
from lab.validation.causality_history import Tails, compare_tails, explain_tails, measured_lookback
from lab.validation.causality_origin import AsKnown, revised_cell, with_origin
from lab.validation.causality_subject import Finding, Signal, SignalError, Subject

__all__ = ["Certificate", "Finding", "certify", "certify_feature"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Certificate:
    """What :func:`certify` found.

    Parameters
    ----------
    ok : bool
        Whether there are no findings.
    findings : tuple of Finding
        One per kind of leak, the first bar of each.
    lookback_declared : int
        Bars that the signal was said to need.
    lookback_measured : int or None
        Fewest bars that give the same bits at every bar. None where no number of bars does, or where the
        signal sees the future, so that there is no right answer to compare with.
    bars_checked : int
        Bars at which the last windows were compared with the full history.
    mismatches : int
        Bars at which a last window gave other bits than the full history.
    max_ulp : int
        Largest difference there, in units in the last place; a number against NaN counts as 2^63 - 1.
    """

    ok: bool
    findings: tuple[Finding, ...]
    lookback_declared: int
    lookback_measured: int | None
    bars_checked: int
    mismatches: int = 0
    max_ulp: int = 0

    def report(self) -> dict[str, Any]:
        """Return the certificate as the JSON document that ``mnemo parity`` prints."""
        return {
            "bars_checked": self.bars_checked,
            "mismatches": self.mismatches,
            "max_ulp": self.max_ulp,
            "lookback_declared": self.lookback_declared,
            "lookback_measured": self.lookback_measured,
            "leaks": [finding.report() for finding in self.findings],
        }


def certify(
    signal: Signal,
    panel: Panel,
    params: Any,
    *,
    lookback: int,
    per_market: bool = False,
    as_known: AsKnown | None = None,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Certificate:
    """Compare a signal on its full history with the same signal on parts of it, to the last bit.

    At every bar from ``lookback - 1`` on, the last row of the last `lookback`, ``lookback + 1`` and
    ``lookback + 7`` bars must equal the row of the full history. At every cut inside the warm-up and at 64
    others, all rows of the history up to the cut must stay as they are when the later bars are gone, missing,
    noise, or in another order.

    Parameters
    ----------
    signal : callable
        ``signal(panel, params)``: any function of a panel that returns one row per bar, for example (T, N)
        weights. Features that it reads should be computed inside it: a panel that already carries them
        proves nothing about them.
    panel : Panel
        At least `lookback` bars. The longer, the more is proven.
    params : object
        Handed to the signal as it is.
    lookback : int
        Bars that the row of bar t may depend on, t included.
    per_market : bool
        Also require each market's values to be the same when the market is alone in the panel.
    as_known : callable, optional
        From a bar number to the panel as it was known at that bar's close: first versions of bars that were
        revised later, markets that were delisted since. At 64 bars the last row there must be that of
        `panel`.
    seed : int
        Seed of the replaced futures and of the choice of cuts.
    progress : callable, optional
        Called with the share that is done, between 0 and 1.

    Returns
    -------
    Certificate
        Findings have these kinds: ``lookahead`` (the value needs the next bars), ``full_sample`` (it needs
        all later bars, as a scaler fitted on everything does), ``backfill`` (only values where the input is
        missing or warming up come from later bars), ``lookback`` (it needs more bars than declared),
        ``unbounded`` (it needs the whole history, as cumulative sums and recursive averages do),
        ``neighbour`` (it needs other markets), ``revision`` (it differs from what was known at the time),
        ``unstable`` (two equal calls differ), ``empty`` (every value is NaN: nothing was proven), ``error``
        (the signal failed on a part of the history).

    Raises
    ------
    InsufficientHistoryError
        If the panel has fewer than `lookback` bars.

    Notes
    -----
    What the signal reads is what the panel holds: numbers that it takes from elsewhere (a table it closes
    over, a file) do not change with the panel. Give them to it as fields.

    Examples
    --------
    >>> from lab.core.timeframe import Timeframe
    >>> day = Timeframe.parse("1d")
    >>> bar = np.arange(20_000, 20_060)
    >>> close = np.linspace(1.0, 2.0, 60)[:, None] ** 3
    >>> panel = Panel(day, bar, day.open_times(bar), ("binance:BTC/USDT",), {"close": close})
    >>> def rises(panel, params):
    ...     change = np.full(panel.shape, np.nan)
    ...     change[:-1] = panel["close"][1:] > panel["close"][:-1]
    ...     return change
    >>> certificate = certify(rises, panel, None, lookback=1)
    >>> certificate.ok, certificate.findings[0].kind, certificate.findings[0].market
    (False, 'lookahead', 'binance:BTC/USDT')
    """
    if lookback < 1 or len(panel) < lookback:
        raise InsufficientHistoryError(
            f"certificate: {len(panel)} bars found, at least the declared lookback of {lookback} expected"
        )
    examination = _Examination(Subject(signal, panel, params, seed), lookback, progress or _silent)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # missing futures make means of nothing: that is the point of them
        try:
            examination.run(per_market, as_known)
        except SignalError as error:
            examination.findings.append(examination.subject.finding("error", (0, -1), str(error)))
    return examination.certificate()


def certify_feature(
    feature: Feature,
    panel: Panel,
    *,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Certificate:
    """Return the certificate of one registered feature on the bars of `panel`.

    See :func:`certify`; the lookback is the feature's own, and features of one market are also computed
    without the others.
    """
    columns: dict[str | Feature, Array] = {
        name: panel[name] for name in definition_of(feature).inputs(feature)
    }
    bars = Panel(panel.timeframe, panel.bar, panel.ts, panel.markets, columns)

    def values(part: Panel, wanted: Feature) -> Array:
        return compute(part, [wanted])[wanted]

    return certify(
        values,
        bars,
        feature,
        lookback=feature.lookback,
        per_market=definition_of(feature).per_market,
        seed=seed,
        progress=progress,
    )


def _silent(share: float) -> None:
    pass


@dataclass(slots=True)
class _Examination:
    """One certificate in the making."""

    subject: Subject
    lookback: int
    progress: Callable[[float], None]
    findings: list[Finding] = field(default_factory=list)
    tails: Tails = field(default_factory=Tails)
    measured: int | None = None

    def run(self, per_market: bool, as_known: AsKnown | None) -> None:
        subject, lookback = self.subject, self.lookback
        reference = subject.on(subject.panel)
        if reference is None:
            raise SignalError(f"too little history on all {len(subject.panel)} bars")
        self.findings += self._sanity(reference)
        if any(finding.kind == "unstable" for finding in self.findings):
            return
        cells = future_cells(subject, reference, lookback, self._part(0.0, 0.3))
        self.tails = compare_tails(subject, reference, lookback, self._part(0.3, 0.7))
        history = explain_tails(subject, reference, lookback, self.tails)
        future = classify_future(subject, reference, lookback, [*cells, *history.ahead])
        self.findings += future
        # What needs all later bars needs all earlier ones too: one finding says it.
        if not any(finding.kind == "full_sample" for finding in future):
            self.findings += history.findings
        if not future:
            late = history.findings or self.tails.rows
            self.measured = history.measured if late else measured_lookback(subject, reference, lookback)
        if per_market and subject.panel.shape[1] > 1:
            cell = neighbour_cell(subject, reference)
            detail = "the value differs when the market is alone in the panel, or in another place"
            self.findings += [] if cell is None else [subject.finding("neighbour", cell, detail)]
        if as_known is not None:
            cell = revised_cell(subject, reference, lookback, as_known)
            detail = "the value differs from that of the bars known at the time"
            self.findings += [] if cell is None else [subject.finding("revision", cell, detail)]
        self.findings = [with_origin(subject, reference, lookback, found) for found in self.findings]
        self.progress(1.0)

    def _part(self, start: float, stop: float) -> Callable[[float], None]:
        return lambda share: self.progress(start + (stop - start) * share)

    def _sanity(self, reference: Array) -> list[Finding]:
        subject, first = self.subject, self.lookback - 1
        if np.isnan(reference[first:]).all():
            detail = "every value from here on is NaN: nothing was proven"
            return [subject.finding("empty", (first, -1), detail)]
        again = subject.on(subject.panel)
        cell = None if again is None else first_cell(reference, again)
        if cell is None:
            return []
        return [subject.finding("unstable", cell, "two calls with equal arguments gave different bits")]

    def certificate(self) -> Certificate:
        return Certificate(
            ok=not self.findings,
            findings=tuple(self.findings),
            lookback_declared=self.lookback,
            lookback_measured=self.measured,
            bars_checked=self.tails.bars,
            mismatches=len(self.tails.rows),
            max_ulp=self.tails.max_ulp,
        )
