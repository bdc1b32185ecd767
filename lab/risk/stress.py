"""What named scenarios would cost, and what is held in which currency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lab.core.errors import ConfigError
from lab.core.market import Market

__all__ = ["Stress", "currency_exposures", "stress"]

_OTHERS: Final = "*"


class Stress(NamedTuple):
    """One scenario: the fraction of equity that present positions would lose, and the worst market."""

    name: str
    loss: float
    worst: str


def stress(
    weights: NDArray[np.float64], markets: Sequence[str], scenarios: Mapping[str, Mapping[str, float]]
) -> list[Stress]:
    """Return what each scenario would cost.

    Parameters
    ----------
    weights : ndarray of float64, shape (N,)
        Positions as fractions of equity.
    markets : sequence of str, length N
        Their names.
    scenarios : mapping of str to mapping
        Scenario: base currency, or ``*`` for all others: share of its value that is lost.

    Examples
    --------
    >>> crash = {"crash": {"BTC": 0.4, "*": 0.5}}
    >>> stress(np.array([0.5, 0.2]), ["binance:BTC/USDT", "binance:ETH/USDT"], crash)
    [Stress(name='crash', loss=0.30000000000000004, worst='binance:BTC/USDT')]
    """
    bases = [Market.parse(name).base for name in markets]
    found = []
    for name, shocks in scenarios.items():
        others = shocks.get(_OTHERS, 0.0)
        losses = [float(w) * shocks.get(base, others) for w, base in zip(weights, bases, strict=True)]
        worst = int(np.argmax(losses)) if any(losses) else -1
        found.append(Stress(name, sum(losses), markets[worst] if worst >= 0 else ""))
    return found


def currency_exposures(
    quantities: Mapping[str, float], rates: Mapping[str, float], reference: str
) -> dict[str, float]:
    """Return what is held of each currency, as a fraction of all, valued in one currency.

    Parameters
    ----------
    quantities : mapping of str to float
        Units held by currency, cash included.
    rates : mapping of str to float
        Recorded price of one unit in `reference`, for every currency but itself.
    reference : str
        The currency to value in.

    Raises
    ------
    ConfigError
        If there is no rate for a currency that is held.

    Examples
    --------
    >>> currency_exposures({"USDT": 50.0, "BTC": 0.001}, {"BTC": 50_000.0}, "USDT")
    {'USDT': 0.5, 'BTC': 0.5}
    """
    values = {}
    for currency, quantity in quantities.items():
        if quantity and currency != reference and currency not in rates:
            raise ConfigError(
                f"no rate for {currency} in {reference}; rates are known for {', '.join(rates)}"
            )
        values[currency] = quantity * (1.0 if currency == reference else rates.get(currency, 0.0))
    total = sum(values.values())
    return {currency: value / total if total else 0.0 for currency, value in values.items()}
