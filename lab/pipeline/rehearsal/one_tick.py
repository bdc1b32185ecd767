"""One tick of the real bridge against the loopback exchange, compared with the lab's own numbers."""

from __future__ import annotations

import json
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml
from numpy.typing import NDArray

from feature_store.atomic import write_bytes
from lab.backtest import run_backtest
from lab.core.market import Market
from lab.core.panel import Panel
from lab.data.catalog import Catalog
from lab.data.panels import panel_from_bars
from lab.pipeline.processes import loopback_exchange, run_bridge
from lab.risk import plan_of
from lab.strategies import Portfolio, load_portfolio

__all__ = ["TICK", "rehearse_tick"]

Array = NDArray[np.float64]

# A day on which both daily demo strategies have decided, halfway through the run-up of 2019.
TICK: Final = datetime(2019, 7, 1, tzinfo=UTC)


def rehearse_tick(portfolio_file: Path, *, root: Path, at: datetime = TICK) -> dict[str, Any]:
    """Let the bridge decide and trade on paper at `at`, and compare with the backtest at the same bar.

    The bridge runs as a process of its own and sees bars only through CCXT. Its journal is kept under
    ``data/live/demo`` and starts anew with every call, so that a repeated demo decides again.

    Parameters
    ----------
    portfolio_file : pathlib.Path
        Portfolio of instances on one timeframe.
    root : pathlib.Path
        Folder with the stored bars.
    at : datetime
        Opening time of the bar that is traded in; the decision is at the close of the bar before.

    Returns
    -------
    dict
        ``ticks, bar, decisions`` (weights compared), ``mismatches`` (weights that differ in a bit),
        ``orders`` (count), ``equity_difference`` (bridge over backtest minus one, both marked at the
        opening price of the bar at `at`).
    """
    portfolio = load_portfolio(portfolio_file)
    folder = root / "data" / "live" / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    venue = Market.parse(portfolio.markets[0]).exchange
    clock = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    with (
        loopback_exchange(root, "--exchange", venue, "--at", clock, "--clock", "manual") as exchange,
        tempfile.TemporaryDirectory(dir=folder) as scratch,
    ):
        config = Path(scratch) / "bridge.yaml"
        config.write_text(_bridge_config(portfolio, exchange.url, Path(scratch) / "journal.sqlite"))
        tick = run_bridge(["run", "--config", str(config), "--root", str(root)], environment=_environment())
    write_bytes(folder / "tick.json", json.dumps(tick, indent=2).encode())
    panel = _panel(portfolio, root, at)
    decided = _decided(portfolio, panel)
    mismatches = sum(not _same(decision, decided) for decision in tick["decisions"])
    equity = _backtest_equity(portfolio, panel, decided)
    return {
        "ticks": 1,
        "bar": tick["bar"],
        "decisions": len(tick["decisions"]),
        "mismatches": mismatches,
        "orders": len(tick["orders"]),
        "equity_difference": float(tick["state"]["equity"] / equity - 1.0),
    }


def _bridge_config(portfolio: Portfolio, url: str, state: Path) -> str:
    return yaml.safe_dump(
        {
            "account": "demo",
            "exchange": {"id": "binance", "base_url": url},
            "market_map": {market: Market.parse(market).symbol for market in portfolio.markets},
            "mode": "paper",
            "portfolio": str(portfolio.source.resolve()),
            "state": str(state),
        }
    )


def _environment() -> dict[str, str]:
    """Return the environment without keys, which a paper tick does not need, and without settings."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.endswith(("_API_KEY", "_API_SECRET")) and not name.upper().startswith("MNEMO_BRIDGE__")
    }


def _panel(portfolio: Portfolio, root: Path, at: datetime) -> Panel:
    """Return the stored bars up to the one at `at`, for all markets of the portfolio."""
    timeframe = portfolio.instances[0].timeframe
    catalog = Catalog(root)
    marked = catalog.bars(portfolio.markets, timeframe, end=at + timeframe.duration)
    return panel_from_bars(marked, timeframe=timeframe, markets=portfolio.markets, settings=catalog.settings)


def _decided(portfolio: Portfolio, panel: Panel) -> dict[tuple[str, str], float]:
    """Return each instance's weight per market at the close of the bar before the last, full history."""
    before = panel.rows(0, len(panel) - 1)
    return {
        (instance.strategy_id, market): float(weight)
        for instance in portfolio.instances
        for market, weight in zip(
            instance.markets, instance.decide(before.select(instance.markets))[-1], strict=True
        )
    }


def _same(decision: dict[str, Any], decided: dict[tuple[str, str], float]) -> bool:
    weight = decided[decision["instance"], decision["market"]]
    if decision["weight_hex"] is None:
        return bool(np.isnan(weight))
    return weight.hex() == decision["weight_hex"]


def _backtest_equity(portfolio: Portfolio, panel: Panel, decided: dict[tuple[str, str], float]) -> float:
    """Return the equity of the backtest that starts in cash at the decision, at the last bar's open."""
    rows = [
        np.array([decided[instance.strategy_id, market] for market in instance.markets])
        for instance in portfolio.instances
    ]
    # All bars, for what limits look at; the decision is the first weight.
    weights = np.full(panel.shape, np.nan)
    parts = np.full((len(panel), len(rows), len(panel.markets)), np.nan)
    weights[-2], parts[-2] = portfolio.combine_parts(rows)
    plan = plan_of(portfolio.risk, costs=portfolio.costs, markets=panel.markets, sleeves=portfolio.sleeves)
    result = run_backtest(
        panel, weights, costs=portfolio.costs, risk=plan, parts=parts, cash=portfolio.capital
    )
    equity = float(result.equity["equity"][-1])
    opens = dict(zip(panel.markets, panel["received_open"][-1], strict=True))
    held = result.positions.filter(result.positions["ts"] == result.equity["ts"][-1])
    for market, quantity, close in held.select("market", "quantity", "price").iter_rows():
        equity += quantity * (opens[market] - close)
    return equity
