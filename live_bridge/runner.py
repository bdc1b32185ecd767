"""The shell of a tick: lock, load, connect, recover, run, report. I/O is here, decisions are not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from feature_store.errors import StoreError
from lab.core.errors import ConfigError, DataError, LockedError
from lab.strategies import Portfolio, load_portfolio
from live_bridge.config import LoadedConfig, load_config
from live_bridge.exchange import MarketData
from live_bridge.journal import Journal
from live_bridge.report import run_document, status_document
from live_bridge.state import check_history, load_state
from live_bridge.tick import Tick, open_account

__all__ = ["Connect", "exclusive", "run", "status", "through_ccxt"]

Connect = Callable[[LoadedConfig], MarketData]


def run(config: Path, *, root: Path, connect: Connect | None = None) -> tuple[dict[str, Any], int]:
    """Run one tick.

    Parameters
    ----------
    config : pathlib.Path
        ``bridge.yaml``.
    root : pathlib.Path
        Folder that holds ``data/``.
    connect : callable, optional
        Makes the exchange; default: through CCXT, as the configuration says.

    Returns
    -------
    document : dict
        See :func:`live_bridge.report.run_document`; with ``now`` and ``seconds`` by phase.
    code : int
        0, or 3 when an instance could not decide because the exchange's bars are at least two bars behind,
        or when instances were skipped for their data and nothing was done.

    Raises
    ------
    MnemoError
        Of the class that names the exit code. What the journal holds by then is complete and consistent.
    """
    started = time.perf_counter()
    loaded = load_config(config, root=root)
    with exclusive(loaded.state):
        portfolio = _checked_portfolio(loaded)
        market = (connect or through_ccxt)(loaded)
        ready = time.perf_counter()
        now = market.now()
        asked = time.perf_counter()
        with _journal(loaded, portfolio) as journal:
            state = load_state(journal) or open_account(journal, portfolio, at=now)
            if state.currency != portfolio.reference_currency:
                raise ConfigError(
                    f"{loaded.state}: the journal counts in {state.currency}, the portfolio in "
                    f"{portfolio.reference_currency}; set reference_currency back, or start a new journal "
                    "(state: …)"
                )
            opened = time.perf_counter()
            tick = Tick(loaded, portfolio, journal, market, state, now)
            outcome = tick.run()
            document = run_document(
                journal,
                tick.state,
                mode=loaded.settings.mode,
                acted=outcome.acted,
                reasons=outcome.reasons,
            )
    phases = {"load": ready - started, "time": asked - ready, "journal": opened - asked, **outcome.seconds}
    document["now"] = now.isoformat().replace("+00:00", "Z")
    document["seconds"] = {name: round(seconds, 4) for name, seconds in phases.items()}
    late = any(waiting.behind > 1 for waiting in outcome.waiting)
    idle = bool(outcome.skipped) and not outcome.acted
    return document, DataError.exit_code if late or idle else 0


def status(config: Path, *, root: Path) -> dict[str, Any]:
    """Read the journal, check all of it, and return what it adds up to; nothing is asked or written.

    Raises
    ------
    DataError
        If there is no journal yet, or its chain is broken.
    """
    loaded = load_config(config, root=root)
    if not loaded.state.is_file():
        raise DataError(f"{loaded.state}: no journal yet; 'live-bridge run --config {config}' starts it")
    with _journal(loaded, load_portfolio(loaded.portfolio)) as journal:
        checked = check_history(journal)
        state = load_state(journal)
        if state is None:
            raise DataError(
                f"{loaded.state}: the journal is empty; 'live-bridge run --config {config}' fills it"
            )
        return status_document(journal, state, events=checked)


def _journal(loaded: LoadedConfig, portfolio: Portfolio) -> Journal:
    return Journal(loaded.state, account=loaded.settings.account, portfolio=portfolio.portfolio_id)


def _checked_portfolio(loaded: LoadedConfig) -> Portfolio:
    portfolio = load_portfolio(loaded.portfolio)
    for market in portfolio.markets:
        loaded.settings.symbol(market)
    return portfolio


def through_ccxt(loaded: LoadedConfig) -> MarketData:
    """Return the configured exchange through CCXT; nothing is sent yet."""
    from live_bridge.ccxt_exchange import connect

    return connect(loaded.settings.exchange, recv_window_ms=loaded.settings.recv_window_ms)


@contextmanager
def exclusive(state: Path) -> Iterator[None]:
    """Hold the lock of a journal, or raise LockedError at once."""
    lock = FileLock(state.with_name(state.name + ".lock"), timeout=0)
    try:
        state.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise LockedError(
            f"{state}: another run holds the lock; it acts on this bar, this run does nothing"
        ) from None
    except OSError as error:
        raise StoreError(
            f"{state}: cannot be locked ({error.strerror or error}); check that the folder can be written"
        ) from None
    try:
        yield
    finally:
        lock.release()
