"""Who brings a plan's orders to an end: the paper desk simulates them, the live desk sends them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from live_bridge.book import Book
from live_bridge.clock import milliseconds
from live_bridge.documents import fill_document
from live_bridge.exchange import MarketData
from live_bridge.journal import Draft
from live_bridge.orders import Costing
from live_bridge.paper import PaperExchange
from live_bridge.reconciling import Reconciler
from live_bridge.sending import Sender

__all__ = ["Desk", "LiveDesk", "PaperDesk"]


class Desk(Protocol):
    """Brings the orders of the open tick to an end."""

    def prepare(self, symbols: Sequence[str], *, accept: bool = False) -> dict[str, Any]:
        """Find out what became of what was sent, and bring the ledger to what the account holds."""
        ...

    def act(self) -> None:
        """Bring every order of the open tick to an end."""
        ...

    def drop(self, reason: str) -> int:
        """Drop what was never sent, and return how many orders that were."""
        ...


class PaperDesk:
    """Fills orders in a simulated account, which nobody else touches.

    Parameters
    ----------
    market : MarketData
    book : Book
    costs : Costing
    """

    def __init__(self, market: MarketData, book: Book, costs: Costing) -> None:
        self.market, self.book, self.costs = market, book, costs

    def prepare(self, symbols: Sequence[str], *, accept: bool = False) -> dict[str, Any]:
        """Do nothing: a simulated account is what the journal says."""
        return {}

    def act(self) -> None:
        """Fill every order of the open tick, each in an event of its own."""
        tick = self.book.open_tick
        broker = PaperExchange(self.market, self.book.state.ledger, self.costs)
        for working in tick.pending if tick is not None else ():
            order = working.order
            broker.submit(order, sent_ms=milliseconds(self.book.time()))
            self.book.append([Draft("FILLED", fill_document(broker.fill(order.id), order))])

    def drop(self, reason: str) -> int:
        """Drop what was not filled."""
        tick = self.book.open_tick
        pending = tick.pending if tick is not None else ()
        for working in pending:
            body = {"order": working.order.id, "symbol": working.order.symbol, "reason": reason}
            self.book.append([Draft("ABANDONED", body)])
        return len(pending)


class LiveDesk:
    """Sends orders to the exchange.

    Parameters
    ----------
    book : Book
    sender : Sender
    reconciler : Reconciler
    """

    def __init__(self, book: Book, sender: Sender, reconciler: Reconciler) -> None:
        self.book, self.sender, self.reconciler = book, sender, reconciler

    def prepare(self, symbols: Sequence[str], *, accept: bool = False) -> dict[str, Any]:
        """Settle what was sent, then compare the account with the journal."""
        self.sender.settle_sent()
        return self.reconciler.run(symbols, accept=accept)

    def act(self) -> None:
        """Send and settle every order of the open tick."""
        self.sender.send_planned()

    def drop(self, reason: str) -> int:
        """Drop what was never sent."""
        return self.sender.drop_planned(reason)
