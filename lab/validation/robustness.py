"""What is left of a result when its circumstances are a little different.

Five tests, each a list of cases beside the result as it stands: neighbouring parameters, higher costs, other
starting dates, later execution, noise on the prices. The functions ask a callable for a Sharpe ratio and
know nothing of strategies; annualised or per period, as the callable has it.

A careful reader wants a plateau, not a peak: the figures of a real effect fade slowly, those of an accident
vanish at the first step.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from lab.core.errors import ConfigError
from lab.core.feature import Feature
from lab.core.panel import Panel

__all__ = [
    "KEPT_SHARE",
    "Case",
    "break_even_costs",
    "cost_stress",
    "lag_decay",
    "noisy",
    "plateau",
    "price_noise",
    "start_shift",
    "summarise",
    "weaknesses",
]

Test = Literal["parameters", "costs", "start", "lag", "noise"]

# What a case must keep of the result's Sharpe ratio: half.
KEPT_SHARE: Final = 0.5
_LARGEST_MULTIPLE: Final = 64.0
_PRICES: Final = ("open", "high", "low", "close")


@dataclass(frozen=True, slots=True)
class Case:
    """The result under one changed circumstance.

    Attributes
    ----------
    test : str
        ``parameters``, ``costs``, ``start``, ``lag`` or ``noise``.
    case : str
        What was changed, in words.
    sharpe : float
    """

    test: Test
    case: str
    sharpe: float

    def kept(self, baseline: float) -> float:
        """Return what is left of `baseline`, as a share; NaN where there was nothing to lose.

        Examples
        --------
        >>> Case("lag", "1 bar later", 0.5).kept(1.0)
        0.5
        """
        return self.sharpe / baseline if baseline > 0 else math.nan


def plateau(
    sharpe_of: Callable[[Sequence[Mapping[str, Any]]], Sequence[float]],
    sets: Sequence[Mapping[str, Any]],
) -> tuple[Case, ...]:
    """Return a case per neighbouring parameter set, from one call for all of them.

    Parameters
    ----------
    sharpe_of : callable
        From parameter sets to their Sharpe ratios, in order: a sweep.
    sets : sequence of mapping
        Parameters that are varied, by name.
    """
    found = sharpe_of(sets)
    return tuple(
        Case("parameters", ", ".join(f"{name} {value:g}" for name, value in one.items()), float(sharpe))
        for one, sharpe in zip(sets, found, strict=True)
    )


def cost_stress(
    sharpe_of: Callable[[float], float], multiples: Sequence[float] = (0.0, 1.5, 2.0, 3.0)
) -> tuple[Case, ...]:
    """Return a case per multiple of all costs.

    Examples
    --------
    >>> [case.sharpe for case in cost_stress(lambda multiple: 1.0 - 0.25 * multiple)]
    [1.0, 0.625, 0.5, 0.25]
    """
    return tuple(Case("costs", f"costs x {multiple:g}", sharpe_of(multiple)) for multiple in multiples)


def break_even_costs(sharpe_of: Callable[[float], float]) -> float:
    """Return the multiple of all costs at which nothing is left: 0 without an edge, at most 64.

    Found by halving to within a hundredth, for a Sharpe ratio that falls as costs rise.

    Examples
    --------
    >>> round(break_even_costs(lambda multiple: 1.0 - 0.25 * multiple), 1)
    4.0
    """
    if sharpe_of(0.0) <= 0:
        return 0.0
    low, high = 0.0, 1.0
    while sharpe_of(high) > 0:
        low, high = high, 2.0 * high
        if high > _LARGEST_MULTIPLE:
            return _LARGEST_MULTIPLE
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (middle, high) if sharpe_of(middle) > 0 else (low, middle)
    return low


def start_shift(sharpe_of: Callable[[int], float], bars: Sequence[int]) -> tuple[Case, ...]:
    """Return a case per number of bars by which the account starts later, from cash."""
    return tuple(Case("start", f"{shift} bars later", sharpe_of(shift)) for shift in bars)


def lag_decay(sharpe_of: Callable[[int], float], bars: Sequence[int] = (1, 2, 3, 5)) -> tuple[Case, ...]:
    """Return a case per number of bars by which every decision trades later than it should."""
    return tuple(Case("lag", f"{extra} bar{'s' * (extra > 1)} later", sharpe_of(extra)) for extra in bars)


def price_noise(
    sharpe_of: Callable[[float, int], float],
    *,
    seed: int,
    scales: Sequence[float] = (0.05, 0.1, 0.2),
    draws: int = 5,
) -> tuple[Case, ...]:
    """Return a case per scale of noise on the prices and draw of it.

    Parameters
    ----------
    sharpe_of : callable
        From the scale (see :func:`noisy`) and the seed of a draw to a Sharpe ratio.
    seed : int
        Decides the seeds of all draws.
    """
    seeds = np.random.SeedSequence(seed).generate_state(len(scales) * draws).tolist()
    return tuple(
        Case("noise", f"noise {scale:g} x volatility", sharpe_of(scale, seeds[place * draws + draw]))
        for place, scale in enumerate(scales)
        for draw in range(draws)
    )


def noisy(panel: Panel, scale: float, seed: int) -> Panel:
    """Return a panel whose features see prices that are a little off; what is traded at stays.

    Every bar of every market is moved as a whole, by a normal factor of `scale` times the standard deviation
    of that market's one-bar log returns, so that highs stay above lows. Prices as received
    (``received_…``), which marks and fills use, are not touched.

    Parameters
    ----------
    panel : Panel
        Bars; fields that are not prices stay.
    scale : float
        Share of the usual move of a bar, not negative.
    seed : int

    Raises
    ------
    ConfigError
        If the panel has no received prices: noise on what is traded at would be traded on.
    """
    if "received_close" not in panel.fields:
        raise ConfigError(
            "noise: the panel has no received prices beside those that features see; "
            "build it from marked bars (lab.data.panels.panel_from_bars)"
        )
    closes = panel["close"]
    with np.errstate(invalid="ignore"):
        moves = np.diff(np.log(closes), axis=0)
    known = ~np.isnan(moves)
    counts = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, moves, 0.0).sum(axis=0) / counts
    deviation = np.sqrt(np.where(known, (moves - mean) ** 2, 0.0).sum(axis=0) / counts)
    factors = np.exp(scale * deviation * np.random.default_rng(seed).standard_normal(closes.shape))
    fields: dict[str | Feature, NDArray[np.float64]] = dict(panel.fields)
    for name in _PRICES:
        if name in fields:
            fields[name] = fields[name] * factors
    return replace(panel, fields=fields)


def summarise(cases: Iterable[Case]) -> list[dict[str, Any]]:
    """Return one row per test and, for tests of many draws, per kind of case: cases, worst, median, best.

    Examples
    --------
    >>> summarise([Case("start", "7 bars later", sharpe) for sharpe in (0.4, 0.6, 0.5)])
    [{'test': 'start', 'case': '7 bars later', 'cases': 3, 'worst': 0.4, 'median': 0.5, 'best': 0.6}]
    """
    groups: dict[tuple[str, str], list[float]] = {}
    for case in cases:
        label = "neighbours" if case.test == "parameters" else case.case
        groups.setdefault((case.test, label), []).append(case.sharpe)
    return [
        {
            "test": test,
            "case": label,
            "cases": len(values),
            "worst": min(values),
            "median": statistics.median(values),
            "best": max(values),
        }
        for (test, label), values in groups.items()
    ]


def weaknesses(cases: Sequence[Case], baseline: float) -> tuple[str, ...]:
    """Return what does not hold up, worst first, in words that end a sentence.

    Looked at: the median neighbour, double costs, the worst start, one bar of delay, the median of the
    smallest noise. Each must keep half of the Sharpe ratio; costs must leave more than nothing. Without a
    positive Sharpe ratio there is nothing to hold up.

    Examples
    --------
    >>> weaknesses([Case("costs", "costs x 2", -0.2), Case("lag", "1 bar later", 0.9)], 1.0)
    ('doubled costs leave nothing of it (a Sharpe ratio of -0.20)',)
    """
    if not baseline > 0:
        return ()
    found: list[tuple[float, str]] = []

    def check(values: list[float], judge: Callable[[list[float]], float], words: str, share: float) -> None:
        if values and judge(values) <= share * baseline:
            left = judge(values)
            rest = "nothing" if left <= 0 else f"{left / baseline:.0%}"
            found.append((left, f"{words} {rest} of it (a Sharpe ratio of {left:.2f})"))

    def of(test: str, case: str | None = None) -> list[float]:
        return [one.sharpe for one in cases if one.test == test and case in (None, one.case)]

    first_noise = next((one.case for one in cases if one.test == "noise"), None)
    check(of("parameters"), statistics.median, "the median of neighbouring parameters keeps", KEPT_SHARE)
    check(of("costs", "costs x 2"), min, "doubled costs leave", 0.0)
    check(of("start"), min, "the worst of the later starts keeps", KEPT_SHARE)
    check(of("lag", "1 bar later"), min, "one bar of delay leaves", KEPT_SHARE)
    check(of("noise", first_noise), statistics.median, "a little noise on the prices leaves", KEPT_SHARE)
    return tuple(words for _, words in sorted(found))
