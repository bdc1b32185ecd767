"""The real bridge, tick by tick over history, on the loopback exchange; its equity beside the backtest's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from feature_store.atomic import write_bytes
from lab.core.errors import ConfigError, DataError, MnemoError
from lab.core.market import Market
from lab.pipeline.books import BridgeRecord, compare_books, compare_decisions
from lab.pipeline.portfolio_inputs import PortfolioInputs, backtest_from, load_portfolio_inputs
from lab.pipeline.processes import loopback_exchange
from lab.strategies import Portfolio, load_portfolio

__all__ = ["Mode", "rehearse"]

Mode = Literal["paper", "live"]

# The bar has closed and the next one is open: when a cron job would run.
_AFTER_OPEN: Final = timedelta(seconds=1)
# Without rounding: CCXT cannot round to a step of 0.
_EXACT: Final = {
    "default": {"tick_size": 0, "step_size": 1e-16, "min_quantity": 0, "min_notional": 0},
}
_KEYS: Final = ("loopback-key", "loopback-secret")


@dataclass(frozen=True, slots=True)
class _Stage:
    portfolio: Portfolio
    root: Path
    folder: Path
    start: datetime
    end: datetime
    mode: Mode
    exact: bool

    @property
    def venue(self) -> str:
        return Market.parse(self.portfolio.markets[0]).exchange


def rehearse(
    config: Portfolio | Path | str,
    *,
    root: Path,
    start: datetime,
    end: datetime,
    mode: Mode = "paper",
    exact: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Run the real bridge at every bar from `start` to `end` and compare it with the backtest.

    The bridge is a child process; it meets the stored bars only through CCXT, on a loopback exchange whose
    fees and spread are the portfolio's costs. Both accounts begin in cash with the decision before `start`.

    Parameters
    ----------
    config : Portfolio or path
        The portfolio, all of whose markets are of one venue.
    root : pathlib.Path
        Folder with the stored bars; the journal is kept under ``data/live/rehearsals``.
    start, end : datetime
        Opening times of the first and last bar that is traded in, on the portfolio's grid, UTC.
    mode : {"paper", "live"}
        Simulated fills, or orders placed on the loopback exchange.
    exact : bool
        Without lot sizes and smallest orders; then the two accounts are equal.
    progress : callable, optional
        Called with ticks done and ticks in all.

    Returns
    -------
    dict
        ``ticks, failed`` (runs that ended with an error), ``without_bars`` (runs that found the exchange's
        bars two or more behind, as in a hole of the stored ones), ``decisions, mismatches`` (weights not the
        backtest's to the bit), ``orders, equity`` and ``equity_backtest`` at the last close,
        ``equity_difference`` (largest, relative, at any close), ``attribution`` (at the last close, quote
        currency) and ``residual`` (largest unexplained difference at any close looked at, relative).

    Raises
    ------
    ConfigError
        If the times are not on the grid or the markets are of several venues.
    DataError
        If there are no bars at `start` or `end`.
    MnemoError
        With the bridge's own message, if it cannot run at all.
    """
    portfolio = config if isinstance(config, Portfolio) else load_portfolio(config)
    stage = _staged(portfolio, root, start, end, mode, exact)
    inputs = load_portfolio_inputs(portfolio, root=root, end=end + portfolio.timeframe.duration)
    _check_bars(inputs, start, end)
    told = _ticks(stage, progress)
    result, decided = backtest_from(inputs, start, engine="both")
    books = compare_books(inputs, result, _record(portfolio, told, start), decided)
    acted = [tick for tick in told if tick.get("acted")]
    document = {
        "portfolio": portfolio.portfolio_id,
        "mode": mode,
        "exact": exact,
        "from": start.isoformat(),
        "to": end.isoformat(),
        "ticks": len(told),
        "failed": sum(entry["code"] != 0 and not _without_bars(entry) for entry in told),
        "without_bars": sum(_without_bars(entry) for entry in told),
        **compare_decisions(inputs, [entry for tick in acted for entry in tick["decisions"]]),
        **books.document(),
        "engine_difference": result.engine_difference,
    }
    write_bytes(stage.folder / "rehearsal.json", json.dumps(document, indent=2).encode())
    return document


def _staged(
    portfolio: Portfolio, root: Path, start: datetime, end: datetime, mode: Mode, exact: bool
) -> _Stage:
    venues = {Market.parse(market).exchange for market in portfolio.markets}
    if len(venues) > 1:
        raise ConfigError(
            f"{portfolio.source}: markets of {', '.join(sorted(venues))}; a rehearsal has one exchange"
        )
    grid = portfolio.timeframe
    for name, at in (("--from", start), ("--to", end)):
        if grid.open_time(grid.number(at)) != at:
            raise ConfigError(f"{name} {at.isoformat()}: not the opening time of a bar of {grid}")
    if end < start:
        raise ConfigError(f"--to {end.isoformat()} is before --from {start.isoformat()}")
    name = f"{portfolio.portfolio_id}-{start:%Y%m%dT%H%M}-{end:%Y%m%dT%H%M}-{mode}{'-exact' if exact else ''}"
    folder = root / "data" / "live" / "rehearsals" / name
    # A repeated rehearsal decides again, from an empty journal.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return _Stage(portfolio, root, folder, start, end, mode, exact)


def _check_bars(inputs: PortfolioInputs, start: datetime, end: datetime) -> None:
    first, last = (value.astype(datetime) for value in inputs.panel.ts[[0, -1]])
    if start.replace(tzinfo=None) <= first or end.replace(tzinfo=None) > last:
        raise DataError(
            f"stored bars reach from {first:%Y-%m-%d %H:%M}Z to {last:%Y-%m-%d %H:%M}Z; --from and --to must "
            "lie within, and --from after the first"
        )


def _ticks(stage: _Stage, progress: Callable[[int, int], None] | None) -> list[dict[str, Any]]:
    costs = stage.portfolio.costs
    options = [
        *("--exchange", stage.venue, "--clock", "manual", "--at", _iso(stage.start + _AFTER_OPEN)),
        *("--spread-bps", repr(2 * costs.slippage_bps), "--taker-bps", repr(costs.fee_bps)),
        *("--maker-bps", repr(costs.fee_bps), "--fee-asset", "quote"),
        *("--balance", f"{stage.portfolio.reference_currency}={stage.portfolio.capital!r}"),
    ]
    if stage.exact:
        filters = stage.folder / "filters.yaml"
        write_bytes(filters, yaml.safe_dump(_EXACT).encode())
        options += ["--filters", str(filters), "--decimals", "16"]
    total = 1 + round((stage.end - stage.start) / stage.portfolio.timeframe.duration)
    with loopback_exchange(stage.root, *options) as exchange:
        config = stage.folder / "bridge.yaml"
        write_bytes(config, _bridge_config(stage, exchange.url).encode())
        return _run(stage, config, exchange.url, total, progress)


def _run(
    stage: _Stage, config: Path, url: str, total: int, progress: Callable[[int, int], None] | None
) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "live_bridge.rehearsing", "--config", str(config)]
    command += ["--root", str(stage.root), "--control", url, "--every", stage.portfolio.timeframe.name]
    command += ["--from", _iso(stage.start + _AFTER_OPEN), "--to", _iso(stage.end + _AFTER_OPEN)]
    command += ["--live"] if stage.mode == "live" else []
    told = []
    lines = stage.folder / "ticks.jsonl"
    with (
        lines.open("w", encoding="utf-8") as kept,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_environment(stage.mode)
        ) as bridge,
    ):
        for line in bridge.stdout or ():
            kept.write(line)
            told.append(json.loads(line))
            if progress is not None:
                progress(len(told), total)
        complaint = bridge.stderr.read() if bridge.stderr else ""
    if len(told) < total:
        raise MnemoError(f"the bridge ended after {len(told)} of {total} ticks: {complaint.strip()}")
    return told


def _bridge_config(stage: _Stage, url: str) -> str:
    portfolio = stage.portfolio
    return yaml.safe_dump(
        {
            "account": "rehearsal",
            "exchange": {"id": "binance", "base_url": url},
            "market_map": {market: Market.parse(market).symbol for market in portfolio.markets},
            "mode": stage.mode,
            "portfolio": str(_promoted(stage) if stage.mode == "live" else portfolio.source.resolve()),
            "state": str(stage.folder / "journal.sqlite"),
        }
    )


def _promoted(stage: _Stage) -> Path:
    """Write copies of the portfolio's files with every instance at stage live; return the portfolio's."""
    portfolio = stage.portfolio
    document = yaml.safe_load(portfolio.source.read_text(encoding="utf-8"))
    for entry, instance in zip(document["instances"], portfolio.instances, strict=True):
        entry["config"] = f"{instance.strategy_id}.yaml"
        copied = yaml.safe_load(instance.source.read_text(encoding="utf-8")) | {"mode": "live"}
        write_bytes(stage.folder / entry["config"], yaml.safe_dump(copied).encode())
    path = stage.folder / "portfolio.yaml"
    write_bytes(path, yaml.safe_dump(document).encode())
    return path


def _environment(mode: Mode) -> dict[str, str]:
    """Return the environment without anybody's keys; live mode gets the loopback exchange's own."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not (
            name.startswith("MNEMO_") and name.endswith(("_API_KEY", "_API_SECRET", "_KEYS_FILE", "_URLS"))
        )
        # A rehearsal has settings of its own: a variable meant for an account would move its journal.
        and not name.upper().startswith("MNEMO_BRIDGE__")
    }
    if mode == "live":
        key, secret = _KEYS
        environment |= {"MNEMO_BINANCE_API_KEY": key, "MNEMO_BINANCE_API_SECRET": secret, "MNEMO_ENV": "prod"}
    return environment


def _record(portfolio: Portfolio, told: Sequence[Mapping[str, Any]], start: datetime) -> BridgeRecord:
    first = portfolio.timeframe.number(start)
    return BridgeRecord(
        {
            bar: (tick,) if tick["code"] == 0 and tick.get("acted") else ()
            for bar, tick in enumerate(told, start=first)
        },
        portfolio.capital,
        {Market.parse(market).symbol: market for market in portfolio.markets},
    )


def _without_bars(entry: Mapping[str, Any]) -> bool:
    late = any(reason.startswith("WAITING_FOR_BAR") for reason in entry.get("reasons", ()))
    return bool(entry["code"] == DataError.exit_code and late)


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
