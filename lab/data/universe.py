"""Which markets there were at an instant, those gone today included, and whether they were liquid."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from lab.core.errors import ConfigError
from lab.core.market import Market
from lab.core.settings import LiquiditySettings
from lab.core.timeframe import Timeframe
from lab.data.catalog import Catalog, store_errors
from lab.data.flags import blocking, flags
from lab.data.listings import LISTING_SCHEMA, SEEN, events, listings

__all__ = ["quote_volumes", "universe"]

_DEFAULT: Final = LiquiditySettings()
_LONGEST_WINDOW: Final = 365
_DAY: Final = timedelta(days=1)
# A market whose bars end so many bars before its venue's newest is taken as gone.
_GONE_AFTER: Final = 3


def universe(
    root: Path,
    at: datetime,
    *,
    exchange: str | None = None,
    known_at: datetime | None = None,
    min_quote_volume: float = _DEFAULT.min_daily_volume,
    window_days: int = _DEFAULT.window_days,
) -> pl.DataFrame:
    """Return the markets that traded at an instant, those that are gone today included.

    Parameters
    ----------
    root : Path
        Folder under which ``data/`` lies.
    at : datetime
        Timezone-aware. Nothing that came later is looked at, but for the times of listings and delistings.
    exchange : str, optional
        Only this one.
    known_at : datetime, optional
        Only what was known about listings then; default: what is known now.
    min_quote_volume : float
        Smallest mean daily quote volume (close times volume) of a liquid market, as an instance's
        ``liquidity`` section means it: :class:`lab.core.settings.LiquiditySettings`.
    window_days : int
        Days of complete bars before `at` that the mean is taken over.

    Returns
    -------
    polars.DataFrame
        ``market, exchange, symbol, listed, delisted, source, blocked, quote_volume, liquid``, sorted by
        market. ``blocked`` has the reasons of the flags that were set then, empty without any.
        ``source`` is ``bars`` where listings are not known and stored bars speak instead, and ``seen`` for
        what was there at the first discovery: listed then, or when its bars begin; ``quote_volume`` is null
        where fewer than 80 % of the window's bars are known, and such a market is not liquid.
    """
    if at.tzinfo is None:
        raise ConfigError("the universe at a time without time zone: times are UTC")
    stored = Catalog(root).markets()
    venues = sorted({Market.parse(name).exchange for name in stored["market"]} | _known_exchanges(root))
    parts = [
        listings((event for event in events(root, venue, known_at=known_at)), venue)
        for venue in venues
        if exchange in {None, venue}
    ]
    told = pl.concat([pl.DataFrame(schema=LISTING_SCHEMA), *parts])
    bars = _from_bars(stored)
    first = bars.select("market", pl.col("listed").alias("first"))
    unsure = pl.col("listed").is_null() | (pl.col("source") == SEEN)
    earlier = pl.when(unsure).then(pl.min_horizontal("listed", "first")).otherwise(pl.col("listed"))
    told = told.join(first, on="market", how="left").with_columns(earlier.alias("listed")).drop("first")
    spoken = bars.join(told, on="market", how="anti")
    if exchange is not None:
        spoken = spoken.filter(pl.col("exchange") == exchange)
    there = pl.concat([told, spoken]).filter(
        (pl.col("listed").is_null() | (pl.col("listed") <= at))
        & (pl.col("delisted").is_null() | (pl.col("delisted") > at))
    )
    volumes = quote_volumes(root, there["market"].to_list(), at, window_days=window_days)
    liquid = (pl.col("quote_volume") >= min_quote_volume).fill_null(False).alias("liquid")
    changes = flags(root, at=at)
    blocked = [
        "; ".join(flag.reason for flag in blocking(changes, exchange=venue, market=market))
        for market, venue in there.select("market", "exchange").iter_rows()
    ]
    there = there.with_columns(pl.Series("blocked", blocked, dtype=pl.String))
    return there.join(volumes, on="market", how="left").with_columns(liquid).sort("market")


def quote_volumes(
    root: Path, markets: Sequence[str], at: datetime, *, window_days: int = _DEFAULT.window_days
) -> pl.DataFrame:
    """Return ``market, quote_volume``: the mean per day over the bars that had closed by `at`.

    Null where too few of the window's bars are known: see :class:`lab.core.settings.LiquiditySettings`.
    """
    if not 1 <= window_days <= _LONGEST_WINDOW:
        raise ConfigError(f"window of {window_days} days; expected 1 to {_LONGEST_WINDOW}")
    rule = LiquiditySettings(window_days=window_days)
    catalog = Catalog(root)
    stored = catalog.markets().filter(pl.col("market").is_in(list(markets)))
    frames = [pl.DataFrame(schema={"market": pl.String, "quote_volume": pl.Float64})]
    done: set[str] = set()
    # The coarsest bars up to a day: the fewest rows with the same volume.
    grids = sorted({Timeframe.parse(name) for name in stored["timeframe"]}, reverse=True)
    for grid in (grid for grid in grids if grid.duration <= _DAY):
        for venue in sorted({Market.parse(name).exchange for name in markets}):
            with store_errors():
                if catalog.store.manifest(f"{venue}/{grid}") is None:
                    continue
                window = rule.bars(grid)
                start = grid.open_time(grid.last_complete(at) - window + 1)
                rows = catalog.store.scan(
                    f"{venue}/{grid}", start=start, end=at - grid.duration + timedelta(microseconds=1)
                )
                wanted = [name for name in markets if name not in done]
                bars = rows.filter(pl.col("market").is_in(wanted)).collect()
            money = (pl.col("close") * pl.col("volume")).fill_nan(None)
            known = money.count() >= rule.least_known(grid)
            daily = pl.when(known).then(money.mean() * rule.per_day(grid))
            frames.append(bars.group_by("market").agg(daily.alias("quote_volume")))
            done |= set(frames[-1]["market"])
    return pl.concat(frames)


def _from_bars(stored: pl.DataFrame) -> pl.DataFrame:
    """Return listings as stored bars tell them: from the first bar, to the last where that is long ago."""
    rows = []
    newest: dict[tuple[str, str], datetime] = {}
    for row in stored.iter_rows(named=True):
        key = (Market.parse(row["market"]).exchange, row["timeframe"])
        newest[key] = max(newest.get(key, row["last"]), row["last"])
    for row in stored.iter_rows(named=True):
        market, grid = Market.parse(row["market"]), Timeframe.parse(row["timeframe"])
        end = row["last"] + grid.duration
        gone = newest[market.exchange, row["timeframe"]] - row["last"] > _GONE_AFTER * grid.duration
        rows.append(
            {
                "market": row["market"],
                "exchange": market.exchange,
                "symbol": market.symbol,
                "listed": row["first"],
                "delisted": end if gone else None,
                "source": "bars",
            }
        )
    frame = pl.DataFrame(rows, schema=LISTING_SCHEMA)
    gone_everywhere = pl.col("delisted").is_null().any()
    return frame.group_by("market", maintain_order=True).agg(
        pl.col("exchange", "symbol").first(),
        pl.col("listed").min(),
        pl.when(gone_everywhere).then(None).otherwise(pl.col("delisted").max()).alias("delisted"),
        pl.col("source").first(),
    )


def _known_exchanges(root: Path) -> set[str]:
    data = Path(root) / "data"
    found = {path.stem for path in (data / "universe").glob("[!.]*.json")}
    return found | {path.parent.name for path in (data / "discovery").glob("*/visits")}
