"""Row loops for every kernel, in exact fractions and 50 digits: slow, obvious, and independent.

Each takes the values of one market as a list (None where a bar is missing) and returns one number or None
per bar. `least` is the count of valid values that a window must have.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise

Values = list[float | None]
Series = list[float | None]

DIGITS = 50


def _windows(
    values: Values, window: int, least: int, function: Callable[[list[Fraction]], float | None]
) -> Series:
    out: Series = []
    for bar in range(len(values)):
        if bar + 1 < window:
            out.append(None)
            continue
        valid = [Fraction(value) for value in values[bar + 1 - window : bar + 1] if value is not None]
        out.append(function(valid) if len(valid) >= least else None)
    return out


def _root(square: Fraction) -> Fraction:
    with localcontext() as context:
        context.prec = DIGITS
        return Fraction((Decimal(square.numerator) / Decimal(square.denominator)).sqrt())


def _mean(valid: list[Fraction]) -> Fraction:
    return sum(valid, Fraction(0)) / len(valid)


def _deviation(valid: list[Fraction]) -> Fraction:
    center = _mean(valid)
    return _root(sum(((value - center) ** 2 for value in valid), Fraction(0)) / (len(valid) - 1))


def total(values: Values, window: int, least: int) -> Series:
    return _windows(values, window, least, lambda valid: float(sum(valid, Fraction(0))))


def mean(values: Values, window: int, least: int) -> Series:
    return _windows(values, window, least, lambda valid: float(_mean(valid)))


def deviation(values: Values, window: int, least: int) -> Series:
    return _windows(values, window, max(least, 2), lambda valid: float(_deviation(valid)))


def zscore(values: Values, window: int, least: int) -> Series:
    out: Series = []
    for bar, value in enumerate(values):
        valid = [Fraction(v) for v in values[max(bar + 1 - window, 0) : bar + 1] if v is not None]
        if bar + 1 < window or value is None or len(valid) < max(least, 2) or _deviation(valid) == 0:
            out.append(None)
        else:
            out.append(float((Fraction(value) - _mean(valid)) / _deviation(valid)))
    return out


def highest(values: Values, window: int, least: int) -> Series:
    return _windows(values, window, least, lambda valid: float(max(valid)))


def lowest(values: Values, window: int, least: int) -> Series:
    return _windows(values, window, least, lambda valid: float(min(valid)))


def ema(values: Values, span: int, spans: int, share: float) -> Series:
    decay = 1 - Fraction(2, span + 1)
    memory = spans * span
    weights = [decay**age for age in range(memory)]
    out: Series = []
    for bar in range(len(values)):
        if bar + 1 < memory:
            out.append(None)
            continue
        pairs = [(weights[age], values[bar - age]) for age in range(memory)]
        known = sum((weight for weight, value in pairs if value is not None), Fraction(0))
        mass = sum((weight * Fraction(value) for weight, value in pairs if value is not None), Fraction(0))
        enough = known > 0 and known >= Fraction(share) * sum(weights) * (1 - Fraction(1, 10**10))
        out.append(float(mass / known) if enough else None)
    return out


def simple_return(values: Values, window: int) -> Series:
    out: Series = []
    for bar, value in enumerate(values):
        before = values[bar - window] if bar >= window else None
        out.append(None if value is None or not before else float(Fraction(value) / Fraction(before) - 1))
    return out


def log_returns(values: Values) -> Series:
    out: Series = [None]
    for before, value in pairwise(values):
        if before is None or value is None or before <= 0 or value <= 0:
            out.append(None)
            continue
        with localcontext() as context:
            context.prec = DIGITS
            out.append(float((Decimal(value) / Decimal(before)).ln()))
    return out


def volatility(values: Values, window: int, least: int, periods_per_year: float) -> Series:
    daily = deviation(log_returns(values), window, least)
    root = float(_root(Fraction(periods_per_year)))
    return [None if value is None or bar < window else value * root for bar, value in enumerate(daily)]


def atr(high: Values, low: Values, close: Values, window: int, least: int) -> Series:
    ranges: Series = [None]
    for bar in range(1, len(close)):
        top, bottom, before = high[bar], low[bar], close[bar - 1]
        if top is None or bottom is None or before is None:
            ranges.append(None)
        else:
            ranges.append(max(top - bottom, abs(top - before), abs(bottom - before)))
    means = mean(ranges, window, least)
    return [None if bar < window else value for bar, value in enumerate(means)]


def _timed(
    values: Values, window: int, least: int, function: Callable[[list[tuple[int, Fraction]]], float | None]
) -> Series:
    """Apply `function` to the valid (age, value) pairs of each window, oldest first."""
    out: Series = []
    for bar in range(len(values)):
        pairs = [(bar - at, values[at]) for at in range(max(bar + 1 - window, 0), bar + 1)]
        valid = [(age, Fraction(value)) for age, value in pairs if value is not None]
        out.append(function(valid) if bar + 1 >= window and len(valid) >= least else None)
    return out


def variance(values: Values, window: int, least: int) -> Series:
    def of(valid: list[Fraction]) -> float:
        return float(sum((value - _mean(valid)) ** 2 for value in valid) / (len(valid) - 1))

    return _windows(values, window, max(least, 2), of)


def mean_absolute_deviation(values: Values, window: int, least: int) -> Series:
    return _windows(
        values, window, least, lambda valid: float(_mean([abs(value - _mean(valid)) for value in valid]))
    )


def standardised_moment(values: Values, window: int, least: int, power: int) -> Series:
    def of(valid: list[Fraction]) -> float | None:
        center = _mean(valid)
        second = _mean([(value - center) ** 2 for value in valid])
        upper = _mean([(value - center) ** power for value in valid])
        return None if second == 0 else float(upper / _root(second) ** power)

    return _windows(values, window, max(least, power), of)


def quantile(values: Values, window: int, least: int, share: Fraction) -> Series:
    def of(valid: list[Fraction]) -> float:
        ordered = sorted(valid)
        at = share * (len(ordered) - 1)
        below = int(at)
        above = min(below + 1, len(ordered) - 1)
        return float(ordered[below] + (at - below) * (ordered[above] - ordered[below]))

    return _windows(values, window, least, of)


def rank(values: Values, window: int, least: int) -> Series:
    def of(valid: list[tuple[int, Fraction]]) -> float | None:
        age, last = valid[-1]
        others = [value for _, value in valid[:-1]]
        below = sum(1 for value in others if value < last) + Fraction(
            sum(value == last for value in others), 2
        )
        return float(Fraction(below) / len(others)) if age == 0 else None

    return _timed(values, window, max(least, 2), of)


def age_of_highest(values: Values, window: int, least: int) -> Series:
    return _timed(values, window, least, lambda valid: float(max((v, -age) for age, v in valid)[1] * -1))


def age_of_lowest(values: Values, window: int, least: int) -> Series:
    return _timed(values, window, least, lambda valid: float(min((v, age) for age, v in valid)[1]))


def weighted_mean(values: Values, window: int, least: int) -> Series:
    def of(valid: list[tuple[int, Fraction]]) -> float:
        whole = sum(window - age for age, _ in valid)
        return float(sum((window - age) * value for age, value in valid) / whole)

    return _timed(values, window, least, of)


def line(values: Values, window: int, least: int) -> tuple[Series, Series]:
    """Return slope and end point of the least-squares line."""

    def fit(valid: list[tuple[int, Fraction]]) -> tuple[Fraction, Fraction]:
        time, level = _mean([Fraction(-age) for age, _ in valid]), _mean([value for _, value in valid])
        joint = sum((-age - time) * (value - level) for age, value in valid)
        slope = joint / sum((-age - time) ** 2 for age, _ in valid)
        return slope, level - slope * time

    slopes = _timed(values, window, max(least, 2), lambda valid: float(fit(valid)[0]))
    ends = _timed(values, window, max(least, 2), lambda valid: float(fit(valid)[1]))
    return slopes, ends


def related(x: Values, y: Values, window: int, least: int) -> tuple[Series, Series]:
    """Return correlation and beta of x on y over the bars at which both are valid."""
    correlations: Series = []
    betas: Series = []
    for bar in range(len(x)):
        both = [
            (Fraction(a), Fraction(b))
            for a, b in zip(
                x[max(bar + 1 - window, 0) : bar + 1], y[max(bar + 1 - window, 0) : bar + 1], strict=True
            )
            if a is not None and b is not None
        ]
        correlations.append(None)
        betas.append(None)
        if bar + 1 < window or len(both) < max(least, 3):
            continue
        mean_x, mean_y = _mean([a for a, _ in both]), _mean([b for _, b in both])
        joint = sum((a - mean_x) * (b - mean_y) for a, b in both)
        xx, yy = sum((a - mean_x) ** 2 for a, _ in both), sum((b - mean_y) ** 2 for _, b in both)
        betas[-1] = float(joint / yy) if yy else None
        correlations[-1] = float(joint / (_root(xx) * _root(yy))) if xx and yy else None
    return correlations, betas
