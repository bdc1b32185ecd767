"""A journal opened to be read, with the configuration and the portfolio it belongs to."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lab.core.errors import DataError
from lab.strategies import Portfolio, load_portfolio
from live_bridge.config import LoadedConfig, load_config
from live_bridge.journal import Journal
from live_bridge.live_locks import at_stage

__all__ = ["reading"]


@contextmanager
def reading(
    config: Path, *, root: Path, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[LoadedConfig, Portfolio, Journal]]:
    """Yield what is in force, what is traded, and the journal, its chain checked; nothing is asked of anyone.

    Parameters
    ----------
    config : pathlib.Path
        ``bridge.yaml``.
    root : pathlib.Path
        Folder that holds ``data/``.
    environment : mapping of str to str, optional
        Profile and variables over the file; default: the process's.

    Raises
    ------
    DataError
        If there is no journal, or its chain is broken.
    """
    loaded = load_config(config, root=root, environment=os.environ if environment is None else environment)
    if not loaded.state.is_file():
        raise DataError(f"{loaded.state}: no journal yet; 'live-bridge run --config {config}' starts it")
    portfolio = load_portfolio(loaded.portfolio)
    if loaded.settings.mode == "live":
        portfolio = at_stage(portfolio, "live") or portfolio
    with Journal(loaded.state, account=loaded.settings.account, portfolio=portfolio.portfolio_id) as journal:
        journal.verify()
        yield loaded, portfolio, journal
