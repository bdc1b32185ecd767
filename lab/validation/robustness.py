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
_Question = tuple[Test, str | None, Callable[[list[float]], float], str, float]

# What a case must keep of the result's Sharpe ratio: half.
KEPT_SHARE: Final = 0.5
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
    baseline : float
        Without the change, on the same bars.
    """

    test: Test
    case: str
    sharpe: float
    baseline: float


def plateau(
    sharpe_of: Callable[[Sequence[Mapping[str, Any]]], Sequence[float]],
    sets: Sequence[Mapping[str, Any]],
    *,
    baseline: float,
) -> tuple[Case, ...]:
    """Return a case per neighbouring parameter set, from one call for all of them.

    Parameters
    ----------
    sharpe_of : callable
        From parameter sets to their Sharpe ratios, in order: a sweep.
    sets : sequence of mapping
        Parameters that are varied, by name.
    baseline : float
        Sharpe ratio of the set in their middle, on the same bars.
    """
    found = sharpe_of(sets)
    return tuple(
        Case("parameters", ", ".join(f"{n} {v:g}" for n, v in one.items()), float(sharpe), baseline)
        for one, sharpe in zip(sets, found, strict=True)
    )


def cost_stress(
    sharpe_of: Callable[[float], float],
    multiples: Sequence[float] = (0.0, 1.5, 2.0, 3.0),
    *,
    baseline: float,
) -> tuple[Case, ...]:
    """Return a case per multiple of all costs.

    Examples
    --------
    >>> [case.sharpe for case in cost_stress(lambda multiple: 1.0 - 0.25 * multiple, baseline=0.75)]
    [1.0, 0.625, 0.5, 0.25]
    """
    return tuple(Case("costs", _times(each), sharpe_of(each), baseline) for each in multiples)


def break_even_costs(sharpe_of: Mapping[float, float]) -> float:
    """Return the multiple of all costs at which nothing is left of the Sharpe ratio, by a straight line.

    Parameters
    ----------
    sharpe_of : mapping of float to float
        Sharpe ratio by multiple, 0 and at least one more among them; the line goes through 0 and the
        largest.

    Returns
    -------
    float
        0 without an edge before costs; infinite where costs do not matter.

    Examples
    --------
    >>> break_even_costs({0.0: 1.0, 1.0: 0.74, 2.0: 0.5})
    4.0
    """
    largest = max(sharpe_of)
    before, after = sharpe_of[0.0], sharpe_of[largest]
    if before <= 0:
        return 0.0
    return largest * before / (before - after) if after < before else math.inf


def start_shift(
    sharpe_of: Callable[[int], float], bars: Sequence[int], *, baseline: float
) -> tuple[Case, ...]:
    """Return a case per number of bars by which the account starts later, from cash."""
    return tuple(Case("start", _later(shift), sharpe_of(shift), baseline) for shift in bars)


def lag_decay(
    sharpe_of: Callable[[int], float], bars: Sequence[int] = (1, 2, 3, 5), *, baseline: float
) -> tuple[Case, ...]:
    """Return a case per number of bars by which every decision trades later than it should."""
    return tuple(Case("lag", _later(extra), sharpe_of(extra), baseline) for extra in bars)


def price_noise(
    sharpe_of: Callable[[float, int], float],
    *,
    seed: int,
    baseline: float,
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
        Case("noise", f"{scale:g} x volatility", sharpe_of(scale, seeds[place * draws + draw]), baseline)
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
    """Return one row per test and case, in order; neighbours, and the draws of one noise, are one row.

    Columns: ``test, case, cases, baseline, worst, median, best``.

    Examples
    --------
    >>> rows = summarise([Case("noise", "0.1 x volatility", each, 0.6) for each in (0.4, 0.6, 0.5)])
    >>> [(row["cases"], row["worst"], row["median"], row["best"]) for row in rows]
    [(3, 0.4, 0.5, 0.6)]
    """
    groups: dict[tuple[str, str, float], list[float]] = {}
    for case in cases:
        label = "neighbours" if case.test == "parameters" else case.case
        groups.setdefault((case.test, label, case.baseline), []).append(case.sharpe)
    return [
        {
            "test": test,
            "case": label,
            "cases": len(values),
            "baseline": baseline,
            "worst": min(values),
            "median": statistics.median(values),
            "best": max(values),
        }
        for (test, label, baseline), values in groups.items()
    ]


def weaknesses(cases: Sequence[Case]) -> tuple[str, ...]:
    """Return what does not hold up, worst first, in words that end a sentence.

    Looked at: the median neighbour, double costs, the worst of the later starts, one bar of delay, the
    median of the smallest noise. Each must keep half of its baseline; double costs must leave something.
    Where the baseline is not positive there is nothing to hold up.

    Examples
    --------
    >>> weaknesses([Case("costs", "2 x", -0.2, 1.0), Case("lag", "1 bar later", 0.9, 1.0)])
    ('doubled costs leave nothing of it (a Sharpe ratio of -0.20)',)
    """
    noise = next((one.case for one in cases if one.test == "noise"), None)
    questions: tuple[_Question, ...] = (
        ("parameters", None, statistics.median, "the median of neighbouring parameters keeps", KEPT_SHARE),
        ("costs", _times(2.0), min, "doubled costs leave", 0.0),
        ("start", None, min, "the worst of the later starts keeps", KEPT_SHARE),
        ("lag", _later(1), min, "one bar of delay leaves", KEPT_SHARE),
        ("noise", noise, statistics.median, "a little noise on the prices leaves", KEPT_SHARE),
    )
    found = []
    for test, case, summary, words, share in questions:
        asked = [one for one in cases if one.test == test and case in (None, one.case)]
        if not asked or not asked[0].baseline > 0:
            continue
        left = summary([one.sharpe for one in asked])
        if left <= share * asked[0].baseline:
            rest = "nothing" if left <= 0 else f"{left / asked[0].baseline:.0%}"
            found.append((left, f"{words} {rest} of it (a Sharpe ratio of {left:.2f})"))
    return tuple(words for _, words in sorted(found))


def _times(multiple: float) -> str:
    return f"{multiple:g} x"


def _later(bars: int) -> str:
    return f"{bars} bar{'s' * (bars > 1)} later"
