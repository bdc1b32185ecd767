"""From a strategy file and a root folder to everything a run reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from lab.core.errors import UnknownMarketError
from lab.core.hashing import digest
from lab.core.market import Market
from lab.core.panel import Panel
from lab.data.catalog import Catalog
from lab.data.checking import content_hash
from lab.data.discovery import check_listed
from lab.data.panels import panel_from_bars, received_bars
from lab.data.quality import default_settings
from lab.pipeline.series import with_series
from lab.strategies import StrategyInstance, load, require_columns

__all__ = ["Inputs", "load_inputs"]


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """What a run reads.

    Attributes
    ----------
    instance : StrategyInstance
        The strategy with its parameters.
    panel : Panel
        Bars as features see them, and as received.
    marked : polars.DataFrame
        Stored bars with their quality marks.
    bars : polars.DataFrame
        Bars that can be traded on, as received.
    data_hash : str
        SHA-256 over the bars as received, the columns of other series where there are any, and the quality
        settings where the root's files override the shipped ones.
    """

    instance: StrategyInstance
    panel: Panel
    marked: pl.DataFrame
    bars: pl.DataFrame
    data_hash: str


def load_inputs(
    config: StrategyInstance | Path | str,
    *,
    root: Path,
    start: datetime | None = None,
    end: datetime | None = None,
) -> Inputs:
    """Load an instance and its markets' bars with ``start <= ts < end``, and the series its file names.

    Raises
    ------
    ConfigError
        If the file is wrong.
    UnknownMarketError
        If a market has no stored bars; the message has the nearest names, those that its exchange listed
        where that was discovered.
    InsufficientHistoryError
        If a market has fewer bars than the strategy needs.
    DataError
        If the strategy reads a column that neither bars nor the file's series have.
    """
    instance = config if isinstance(config, StrategyInstance) else load(config)
    catalog = Catalog(root)
    try:
        marked = catalog.bars(instance.markets, instance.timeframe, start, end)
    except UnknownMarketError:
        _check_discovered(instance, catalog, root)
        raise
    panel = panel_from_bars(
        marked, timeframe=instance.timeframe, markets=instance.markets, settings=catalog.settings
    )
    instance.require_history(panel)
    panel, hashes = with_series(panel, instance.config.series, root=root)
    require_columns(instance.strategy, panel, instance.params, instance.strategy_id)
    if catalog.settings != default_settings():
        hashes.append(digest(catalog.settings.model_dump(mode="json")))
    bars_hash = content_hash(marked)
    data_hash = digest([bars_hash, *hashes]) if hashes else bars_hash
    return Inputs(instance, panel, marked, received_bars(marked), data_hash)


def _check_discovered(instance: StrategyInstance, catalog: Catalog, root: Path) -> None:
    """Say of markets without bars that their exchange does not list them, where a discovery tells."""
    timeframe = instance.timeframe.name
    stored = set(catalog.markets(timeframe)["market"])
    for market in (Market.parse(name) for name in instance.markets if name not in stored):
        check_listed(root, market.exchange, symbols=[market.symbol], timeframes=[timeframe])
