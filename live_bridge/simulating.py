"""Instances at stage paper in a live bridge: simulated beside it, in an account of their own."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from lab.core.errors import MnemoError
from lab.strategies import Portfolio
from live_bridge.book import Book
from live_bridge.config import LoadedConfig
from live_bridge.desk import PaperDesk
from live_bridge.exchange import MarketData
from live_bridge.journal import Journal
from live_bridge.opening import note_configuration, opened_state
from live_bridge.orders import Costing
from live_bridge.report import run_document
from live_bridge.tick import Tick

__all__ = ["paper_state", "simulate_beside"]


def paper_state(state: Path) -> Path:
    """Return the journal of the simulated instances of a live bridge.

    Examples
    --------
    >>> paper_state(Path("data/live/main.sqlite")).name
    'main.paper.sqlite'
    """
    return state.with_name(f"{state.stem}.paper{state.suffix}")


def simulate_beside(
    loaded: LoadedConfig, portfolio: Portfolio, market: MarketData, now: datetime
) -> dict[str, Any]:
    """Run a paper tick of the instances at stage paper, and return its document.

    What goes wrong here is told under ``error`` and does not touch the live tick, which is over by then.

    Parameters
    ----------
    loaded : LoadedConfig
        Of the live bridge, whose lock is held.
    portfolio : Portfolio
        Of those instances.
    market : MarketData
    now : datetime
        Exchange time.
    """
    beside = replace(
        loaded,
        settings=loaded.settings.model_copy(update={"mode": "paper"}),
        state=paper_state(loaded.state),
    )
    try:
        with Journal(
            beside.state, account=beside.settings.account, portfolio=portfolio.portfolio_id
        ) as journal:
            book = Book(journal, opened_state(journal, beside, portfolio, None, now), lambda: now)
            note_configuration(book, beside, portfolio)
            costs = Costing.from_basis_points(portfolio.costs.fee_bps, portfolio.costs.slippage_bps)
            outcome = Tick(beside, portfolio, book, market, PaperDesk(market, book, costs), now).run()
            return run_document(
                journal, book.state, mode="paper", acted=outcome.acted, reasons=outcome.reasons
            )
    except MnemoError as error:
        return {"mode": "paper", "error": str(error)}
