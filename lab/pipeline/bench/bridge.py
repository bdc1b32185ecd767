"""Bridge cases: one cold tick against importing the libraries it goes without; a warm decision."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml

from lab.core.panel import Panel
from lab.data.catalog import Catalog
from lab.data.panels import panel_from_bars
from lab.data.quality import default_settings, mark
from lab.data.synthetic import synthetic_market, synthetic_names
from lab.pipeline.bench.harness import Case
from lab.pipeline.processes import LoopbackExchange, loopback_exchange, run_bridge
from lab.strategies import Portfolio, load_portfolio

__all__ = ["CASES"]

_VENUE: Final = "synthetic"
_BARS: Final = 600
_FIRST_TICK: Final = 400
_PEER: Final = "import polars, ccxt, vectorbt, mlflow"
_FAMILIES: Final = ("time_series_momentum", "dual_momentum", "cross_sectional_momentum", "mean_reversion")


@dataclass(slots=True)
class _Running:
    """A loopback exchange over synthetic bars, a bridge pointed at it, and the next bar to trade in."""

    folder: Path
    exchange: LoopbackExchange
    config: Path
    opens: list[datetime]
    next: int
    held: ExitStack = field(default_factory=ExitStack)


def _instance(family: str, name: str, markets: tuple[str, ...]) -> str:
    listed = [{"exchange": _VENUE, "symbol": market.partition(":")[2]} for market in markets]
    document = {
        "family": family,
        "strategy_id": name,
        "version": "1.0.0",
        "mode": "paper",
        "timeframe": "1d",
        "markets": listed,
        "parameters": {},
    }
    return yaml.safe_dump(document)


def _portfolio(folder: Path, instances: int, markets: int) -> Path:
    names = synthetic_names(markets)
    entries = []
    for number in range(instances):
        file = f"instance_{number:02d}.yaml"
        family = _FAMILIES[number % len(_FAMILIES)]
        (folder / file).write_text(_instance(family, f"i{number:02d}", names))
        entries.append({"config": file, "allocation": 1.0 / instances})
    path = folder / "portfolio.yaml"
    path.write_text(
        yaml.safe_dump(
            {"portfolio_id": "bench", "reference_currency": "USDT", "capital": 100_000, "instances": entries}
        )
    )
    return path


def _running(markets: int) -> _Running:
    folder = Path(tempfile.mkdtemp(prefix="mnemo-bench-"))
    bars = synthetic_market(seed=0, markets=markets, bars=_BARS)
    Catalog(folder).append(bars, timeframe="1d", known_at=datetime(2100, 1, 1, tzinfo=UTC))
    portfolio = _portfolio(folder, 1, markets)
    opens = [stamp for stamp in bars["ts"].unique().sort().to_list()]
    held = ExitStack()
    held.callback(shutil.rmtree, folder, ignore_errors=True)
    exchange = held.enter_context(loopback_exchange(folder, "--exchange", _VENUE, "--clock", "manual"))
    config = folder / "bridge.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "exchange": {"id": "binance", "base_url": exchange.url},
                "market_map": {name: name.partition(":")[2] for name in synthetic_names(markets)},
                "portfolio": str(portfolio),
            }
        )
    )
    return _Running(folder, exchange, config, opens, _FIRST_TICK, held)


def _cold_tick(given: _Running) -> int:
    """Run the tick of the next day from process start to exit; return how many weights it decided."""
    at = given.opens[given.next]
    given.next += 1
    given.exchange.control("clock", at=f"{at:%Y-%m-%dT%H:%M:%S}.500Z")
    told = run_bridge(["run", "--config", str(given.config), "--root", str(given.folder)])
    return len(told["decisions"]) if told["acted"] else 0


def _imports(given: _Running) -> int:
    del given
    subprocess.run([sys.executable, "-c", _PEER], check=True, capture_output=True)
    return 0


def _ticked(ours: int, theirs: int, *, markets: int) -> None:
    del theirs
    if ours != markets:
        raise AssertionError(f"the tick decided {ours} weights, expected {markets}")


def _stop(given: _Running) -> None:
    given.held.close()


@dataclass(frozen=True, slots=True)
class _Decided:
    portfolio: Portfolio
    whole: tuple[Panel, ...]
    window: tuple[Panel, ...]


def _panels(instances: int, markets: int, bars: int) -> _Decided:
    folder = Path(tempfile.mkdtemp(prefix="mnemo-bench-"))
    try:
        portfolio = load_portfolio(_portfolio(folder, instances, markets))
    finally:
        shutil.rmtree(folder)
    marked = mark(synthetic_market(seed=0, markets=markets, bars=bars), "1d", default_settings())
    panel = panel_from_bars(marked, timeframe="1d", markets=portfolio.markets)
    whole = tuple(panel.select(one.markets) for one in portfolio.instances)
    window = tuple(
        one_panel.tail(portfolio.bars_needed(one))
        for one, one_panel in zip(portfolio.instances, whole, strict=True)
    )
    return _Decided(portfolio, whole, window)


def _latest(given: _Decided) -> Any:
    return given.portfolio.decide(given.window).weights[-1]


def _history(given: _Decided) -> Any:
    return given.portfolio.decide(given.whole).weights[-1]


def _same_bits(ours: Any, theirs: Any) -> None:
    np.testing.assert_array_equal(ours.view(np.int64), theirs.view(np.int64))
    if not np.nansum(ours) > 0:
        raise AssertionError("nothing was decided")


CASES = (
    Case(
        name="cold paper tick, 10 markets, process start to exit",
        peer=_PEER,
        prepare=partial(_running, 10),
        ours=_cold_tick,
        theirs=_imports,
        agree=partial(_ticked, markets=10),
        finish=_stop,
    ),
    Case(
        name="warm decision, 20 instances x 50 markets",
        peer="all 2,000 bars",
        prepare=partial(_panels, 20, 50, 2_000),
        ours=_latest,
        theirs=_history,
        agree=_same_bits,
    ),
)
