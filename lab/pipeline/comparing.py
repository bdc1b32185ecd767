"""A bridge's account, on paper or live, against the backtest of the same bars."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from lab.core.errors import ConfigError, DataError
from lab.pipeline.books import Books, BridgeRecord, compare_books, compare_decisions
from lab.pipeline.differences import Fill, Key
from lab.pipeline.portfolio_inputs import PortfolioInputs, backtest_from, load_portfolio_inputs
from lab.pipeline.processes import run_bridge
from lab.pipeline.tick_shortfalls import BarWishes
from lab.strategies import Portfolio, load_portfolio

__all__ = ["WEIGHT_TOLERANCE", "compare"]

# A tenth of a percent of equity: what costs make of a weight that are taken in another coin than modelled.
WEIGHT_TOLERANCE: Final = 1e-3
_SHOWN: Final = 20
_YEAR_SECONDS: Final = 365 * 86_400


def compare(
    portfolio_file: Path | str, *, config: Path, root: Path, until: datetime | None = None
) -> dict[str, Any]:
    """Hold the account of a bridge against the backtest that begins when it did, on the stored bars.

    The bridge reads its own journal, as a child process, and checks its chain.

    Parameters
    ----------
    portfolio_file : path
        The portfolio.
    config : pathlib.Path
        The bridge's YAML file, whose journal is read.
    root : pathlib.Path
        Folder with the stored bars, and the journal.
    until : datetime, optional
        Ticks from then on are left out; default: all that the stored bars reach.

    Returns
    -------
    dict
        ``bars, ticks, missed`` (bars at which the backtest decided and no tick acted); ``concordance``, the
        share of bars with equal permitted weights among those at which either decided (within
        :data:`WEIGHT_TOLERANCE`; ``concordance_exact``: to the bit), ``differing`` (the first ones);
        ``decisions, mismatches`` (weights not the backtest's to the bit); ``return_correlation``;
        ``tracking_error`` (of returns per bar, a year); ``trading`` (orders, slippage and fees, paid and
        modelled; ``unpriced_fees``: amounts by coin that had no price, and count as nothing);
        equities, ``attribution`` of their difference in quote currency, and ``residual``.

    Raises
    ------
    ConfigError
        If the bridge trades another portfolio, or markets that cannot be told apart.
    DataError
        If the bridge has not decided yet, or its bars are not stored.
    """
    told = run_bridge(["history", "--config", str(config), "--root", str(root)])
    portfolio = _of_the_bridge(load_portfolio(portfolio_file), told, config)
    ticks = [tick for tick in told["ticks"] if until is None or _time(tick["now"]) < until]
    if not ticks:
        raise DataError(f"{config}: the bridge has no finished tick yet; nothing to compare")
    grid = portfolio.timeframe
    first = grid.number(_time(told["opened"]["at"]))
    last = max(grid.number(_time(tick["now"])) for tick in ticks)
    start = grid.open_time(first)
    inputs = load_portfolio_inputs(portfolio, root=root, end=grid.open_time(last + 1))
    _require_bars(inputs, first, last)
    record = _record(portfolio, told, ticks, range(first, last + 1))
    result, decided = backtest_from(inputs, start, capital=record.capital)
    books = compare_books(inputs, result, record, decided)
    wishes = BarWishes.of(inputs.panel, decided, result)
    entries = [entry for tick in ticks for entry in tick["decisions"]]
    return {
        "portfolio": portfolio.portfolio_id,
        "account": told["account"],
        "mode": told["mode"],
        "currency": told["currency"],
        "from": start.isoformat(),
        "to": grid.open_time(last).isoformat(),
        "bars": len(books.bars),
        "ticks": len(ticks),
        **_concordance(record, wishes, grid.open_time),
        **compare_decisions(inputs, entries),
        **_returns(books, record.capital, grid.seconds),
        "trading": {**_trading(portfolio, ticks), "unpriced_fees": _unpriced(ticks, told["orphans"])},
        **books.document(),
    }


def _of_the_bridge(portfolio: Portfolio, told: Mapping[str, Any], config: Path) -> Portfolio:
    """Return the portfolio of the instances that the bridge's account trades."""
    if told["portfolio"] != portfolio.portfolio_id:
        raise ConfigError(
            f"{config} trades portfolio {told['portfolio']}, and {portfolio.source} is "
            f"{portfolio.portfolio_id}; name the portfolio's own bridge"
        )
    chosen = [
        (instance, share)
        for instance, share in zip(portfolio.instances, portfolio.allocations, strict=True)
        if instance.strategy_id in told["instances"]
    ]
    if not chosen:
        raise ConfigError(
            f"{portfolio.source}: none of its instances is among {', '.join(told['instances'])}"
        )
    instances, allocations = zip(*chosen, strict=True)
    return replace(portfolio, instances=tuple(instances), allocations=tuple(allocations))


def _require_bars(inputs: PortfolioInputs, first: int, last: int) -> None:
    stored = inputs.panel.bar
    if int(stored[0]) >= first or int(stored[-1]) < last:
        grid = inputs.portfolio.timeframe
        raise DataError(
            f"stored {grid} bars reach from {inputs.panel.ts[0]}Z to {inputs.panel.ts[-1]}Z, the account "
            f"from {grid.open_time(first)} to {grid.open_time(last)}: fetch the rest ('mnemo data ingest'), "
            "or say --until"
        )


def _record(
    portfolio: Portfolio, told: Mapping[str, Any], ticks: Sequence[Mapping[str, Any]], bars: range
) -> BridgeRecord:
    grid, currency = portfolio.timeframe, told["currency"]
    names = {told["symbols"][market]: market for market in portfolio.markets}
    if len(names) < len(portfolio.markets):
        raise ConfigError(
            "market_map: two markets trade as one symbol, so that their shares cannot be told apart"
        )
    balances = {name: float(amount) for name, amount in told["opened"]["balances"].items()}
    beside = [name for name, amount in balances.items() if amount and name != currency]
    if beside:
        raise DataError(
            f"the account began with {', '.join(beside)}; only one that began in cash is compared"
        )
    by_bar: dict[int, list[Mapping[str, Any]]] = {bar: [] for bar in bars}
    for tick in ticks:
        by_bar[grid.number(_time(tick["now"]))].append(tick)
    bases = {symbol.split("/")[0]: market for symbol, market in names.items()}
    transfers = [
        (grid.number(_time(entry["at"])), bases.get(entry["currency"], ""), float(entry["amount"]))
        for entry in told["transfers"]
        if entry["currency"] in {*bases, currency}
    ]
    orphans: dict[Key, list[Fill]] = {}
    for trade in told["orphans"]:
        key = (grid.number(_time(trade["at"])), names[trade["symbol"]])
        orphans.setdefault(key, []).append(_orphan(trade))
    return BridgeRecord(by_bar, balances.get(currency, 0.0), names, transfers, orphans)


def _orphan(trade: Mapping[str, Any]) -> Fill:
    sign = 1.0 if trade["side"] == "buy" else -1.0
    base, quote = trade["symbol"].split("/")
    fee, asset = float(trade["fee"]), trade["fee_asset"]
    in_quote = fee if asset == quote else 0.0 if asset == base else fee * float(trade["fee_price"] or 0.0)
    return Fill(
        sign * float(trade["quantity"]), float(trade["price"]), in_quote, fee if asset == base else 0.0
    )


def _concordance(
    record: BridgeRecord, wishes: BarWishes, open_time: Callable[[int], datetime]
) -> dict[str, Any]:
    compared = equal = exact = missed = 0
    differing = []
    for bar, ticks in record.ticks.items():
        theirs = {market: permitted for market, (_, permitted) in wishes.at(bar).items()}
        ours = dict.fromkeys(theirs, math.nan)
        for tick in ticks:
            for target in tick["targets"]:
                if target["permitted"] is not None:
                    ours[record.names[target["symbol"]]] = target["permitted"]
        decided = any(not math.isnan(weight) for weight in theirs.values())
        if not decided and not ticks:
            continue
        compared += 1
        missed += not ticks
        apart = [market for market in theirs if not _alike(ours[market], theirs[market], WEIGHT_TOLERANCE)]
        equal += not apart and bool(ticks)
        exact += bool(ticks) and all(_alike(ours[market], theirs[market], 0.0) for market in theirs)
        differing += [
            {
                "bar": open_time(bar).isoformat(),
                "market": market,
                "bridge": _known(ours[market]),
                "backtest": _known(theirs[market]),
            }
            for market in apart
        ]
    return {
        "compared": compared,
        "missed": missed,
        "concordance": equal / compared if compared else None,
        "concordance_exact": exact / compared if compared else None,
        "differing": differing[:_SHOWN],
    }


def _alike(one: float, other: float, tolerance: float) -> bool:
    return (math.isnan(one) and math.isnan(other)) or abs(one - other) <= tolerance


def _known(weight: float) -> float | None:
    return None if math.isnan(weight) else weight


def _returns(books: Books, capital: float, seconds: int) -> dict[str, float | None]:
    ours, theirs = (
        np.diff([capital, *equity]) / [capital, *equity[:-1]] for equity in (books.ours, books.theirs)
    )
    if len(ours) < 2:
        return {"return_correlation": None, "tracking_error": None}
    moved = ours.std() > 0 and theirs.std() > 0
    return {
        "return_correlation": float(np.corrcoef(ours, theirs)[0, 1]) if moved else None,
        "tracking_error": float((ours - theirs).std(ddof=1) * math.sqrt(_YEAR_SECONDS / seconds)),
    }


def _trading(portfolio: Portfolio, ticks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what orders cost against the price they were decided at, beside what the cost model says."""
    orders = [order for tick in ticks for order in tick["orders"]]
    done = [order for order in orders if order["fill_price"] is not None]
    notional = sum(order["filled"] * order["price"] for order in done)
    slipped = sum(
        (order["fill_price"] - order["price"]) * order["filled"] * (1 if order["side"] == "buy" else -1)
        for order in done
    )
    fees = sum(order["fee"] for order in done)
    return {
        "planned": len(orders),
        "filled": sum(order["status"] == "filled" for order in orders),
        "partial": sum(order["status"] == "partial" for order in orders),
        "not_filled": len(orders) - len(done),
        "notional": notional,
        "slippage_bps": slipped / notional * 1e4 if notional else None,
        "slippage_bps_modelled": portfolio.costs.slippage_bps,
        "fee_bps": fees / notional * 1e4 if notional else None,
        "fee_bps_modelled": portfolio.costs.fee_bps,
    }


def _unpriced(ticks: Sequence[Mapping[str, Any]], orphans: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the fees that were taken in coins without a price, by coin: no other figure has them."""
    amounts = [fee for tick in ticks for order in tick["orders"] for fee in order["unpriced"].items()]
    amounts += [
        (trade["fee_asset"], float(trade["fee"]))
        for trade in orphans
        if trade["fee_asset"] not in trade["symbol"].split("/") and trade.get("fee_price") is None
    ]
    return {coin: math.fsum(fee for name, fee in amounts if name == coin) for coin, _ in sorted(amounts)}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
