"""What a trial is a trial of: which data, parameters, costs and limits, as hashes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from lab.core.hashing import digest
from lab.core.market import Market
from lab.core.panel import Panel
from lab.costs import Costs

__all__ = ["DataIdentity", "cost_hash", "panel_hash", "parameter_hash", "risk_hash"]

_HASH_DIGITS: Final = 32


@dataclass(frozen=True, slots=True)
class DataIdentity:
    """Which data a trial looked at: where from, which markets, which bars.

    The content is not part of it: tomorrow's bars, or a corrected one, do not make the trials so far undone.

    Parameters
    ----------
    source : str
        Exchanges of the markets, joined by ``+``.
    markets : tuple of str
        Sorted by name.
    timeframe : str

    Examples
    --------
    >>> identity = DataIdentity.of(["binance:ETH/USDT", "binance:BTC/USDT"], "1d")
    >>> identity.source, identity.markets
    ('binance', ('binance:BTC/USDT', 'binance:ETH/USDT'))
    """

    source: str
    markets: tuple[str, ...]
    timeframe: str

    @classmethod
    def of(cls, markets: Iterable[str], timeframe: object) -> DataIdentity:
        """Return the identity of `markets`, in whatever order they are named."""
        names = tuple(sorted(set(markets)))
        exchanges = sorted({Market.parse(name).exchange for name in names})
        return cls("+".join(exchanges), names, str(timeframe))

    @property
    def digest(self) -> str:
        """SHA-256 of the three parts."""
        return digest([self.source, list(self.markets), self.timeframe])


def parameter_hash(parameters: Mapping[str, Any]) -> str:
    """Return the hash that stands for a set of parameters, costs or limits: 32 hex digits.

    Examples
    --------
    >>> parameter_hash({"slow": 50, "fast": 10}) == parameter_hash({"fast": 10, "slow": 50})
    True
    """
    return digest(dict(parameters))[:_HASH_DIGITS]


def cost_hash(costs: Costs) -> str:
    """Return the hash of every figure of a cost model.

    Examples
    --------
    >>> cost_hash(Costs()) == cost_hash(Costs(impact_bps=1.0))
    False
    """
    return parameter_hash(costs.identity())


def risk_hash(risk: BaseModel) -> str:
    """Return the hash of every limit of a ``risk`` section that is not at its default.

    A limit that a later version adds, and that nobody set, makes no new trials of the old ones.
    """
    return parameter_hash(risk.model_dump(mode="json", exclude_defaults=True))


def panel_hash(panel: Panel) -> str:
    """Return the SHA-256 of a panel's bars: grid, markets and every bar column, not the features."""
    columns = sorted(key for key in panel.fields if isinstance(key, str))
    head: Sequence[Any] = [str(panel.timeframe), list(panel.markets), columns, panel.bar.tolist()[:1]]
    parts = [digest(panel.fields[column].tobytes()) for column in columns]
    return digest([*head, len(panel), *parts])
