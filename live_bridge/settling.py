"""What became of an order that was sent: asked until it is certain, and booked once."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any, Final

from lab.core.errors import VenueError
from live_bridge.book import Book
from live_bridge.clock import ExchangeClock
from live_bridge.config import OrderSettings
from live_bridge.documents import order_document, trade_document
from live_bridge.exchange import Exchange, Order, OrderReport, Trade
from live_bridge.journal import Draft
from live_bridge.orders import CONTEXT
from live_bridge.state import Working

__all__ = ["NOT_PLACED", "Settler", "UnsettledError", "fee_price"]

NOT_PLACED: Final = "NOT_PLACED"
_STATUS: Final = {"closed": "FILLED", "canceled": "CANCELED", "expired": "EXPIRED", "rejected": "REJECTED"}
_EMPTY_LOOKS: Final = 2
_EARLIER_MS: Final = 1_000
# An unclear order that filled moved at least so much of its quantity; less shows in its trades alone.
_EVIDENCE: Final = Decimal("0.5")

Follow = Callable[[Working, str, Decimal], Order | None]


class UnsettledError(VenueError):
    """What became of an order could not be found out in time; nothing else is ordered before it is."""

    incident = "ORDER_UNRESOLVED"


class Settler:
    """Asks the exchange about orders that were sent.

    Parameters
    ----------
    account : Exchange
    book : Book
    clock : ExchangeClock
    settings : OrderSettings
    recv_window_ms : int
        After so much exchange time, and the lag, a request can no longer be accepted.
    follow : callable
        Says which order follows one that ended: (working, status, filled) to the next order or None.
    """

    def __init__(
        self,
        account: Exchange,
        book: Book,
        clock: ExchangeClock,
        settings: OrderSettings,
        recv_window_ms: int,
        follow: Follow,
    ) -> None:
        self.account, self.book, self.clock = account, book, clock
        self.settings, self.follow = settings, follow
        self._window_ms = recv_window_ms + settings.lag_ms

    def settle(self, working: Working, *, first: OrderReport | None = None, stop: bool = False) -> None:
        """Ask until the order is terminal, or proven not to have been placed, and book what came of it.

        Parameters
        ----------
        working : Working
            As it was sent.
        first : OrderReport, optional
            What the exchange answered to the request itself.
        stop : bool
            Cancel it where it rests, at once instead of after its time.

        Raises
        ------
        UnsettledError
            When the run's time is over. The order stays in the journal as it is, and the next run asks on.
        """
        report, asked, empty, attempt, cancelled = first, False, 0, 0, False
        failure, began = "", self.clock.elapsed_ms()
        while True:
            try:
                if report is not None and report.terminal and self._booked(working, report, cancelled):
                    return
                if report is not None and not report.terminal and (stop or self._rested(working, began)):
                    self.account.cancel(working.order.symbol, working.order.id)
                    cancelled = True
                if asked and report is None:
                    empty = empty + 1 if self._nothing_there(working) else 0
                if empty >= _EMPTY_LOOKS:
                    self._end(working, NOT_PLACED, Decimal(0), [], "two empty looks after its window")
                    return
                report, asked = self.look(working), True
            except VenueError as error:
                # Not to have been told is no look at all.
                failure, asked = f" ({error})", False
            if self.clock.expired:
                self._give_up(working, failure)
            self.clock.wait(attempt)
            attempt += 1

    def look(self, working: Working) -> OrderReport | None:
        """Ask once whether the exchange knows the order."""
        return self.account.order(working.order.symbol, working.order.id)

    def end(self, working: Working, status: str, reason: str) -> None:
        """Book that nothing came of an order."""
        self._end(working, status, Decimal(0), [], reason)

    def _rested(self, working: Working, began_ms: int) -> bool:
        if working.order.kind == "market":
            return False
        rest = round(self.settings.limit_timeout_s * 1_000)
        # Exchange time may stand still; this machine's goes on.
        waited = self.clock.elapsed_ms() - began_ms
        return waited >= rest or self.clock.ask() - working.sent_ms >= rest

    def _booked(self, working: Working, report: OrderReport, cancelled: bool) -> bool:
        trades = list(self.account.trades(working.order.symbol, order_id=report.id)) if report.filled else []
        with localcontext(CONTEXT):
            if sum((trade.quantity for trade in trades), Decimal(0)) != report.filled:
                # The list of trades lags behind the order: a fill without its fee is not booked.
                return False
        status = _STATUS[report.status]
        if report.status == "closed" and report.filled < report.quantity:
            status = "PARTIAL"
        reason = "" if not cancelled else "rested as long as it may"
        extra = self._remarks(working, report, cancelled)
        self._end(working, status, report.filled, trades, reason, extra)
        return True

    def _remarks(self, working: Working, report: OrderReport, cancelled: bool) -> list[Draft]:
        order, filled = working.order, report.filled
        text = f"{order.side} {order.quantity} {order.symbol}: {filled} filled"
        if report.status == "canceled" and not cancelled:
            return [self.book.incident("EXTERNAL_CANCEL", f"{text}, cancelled by the exchange", order.symbol)]
        if report.status == "expired" and filled:
            return [self.book.incident("EXPIRED_WITH_FILLS", f"{text}, the rest expired", order.symbol)]
        if report.status in {"expired", "rejected"}:
            return [self.book.incident("ORDER_REJECTED", f"{text}, {report.status}", order.symbol)]
        return []

    def _end(
        self,
        working: Working,
        status: str,
        filled: Decimal,
        trades: list[Trade],
        reason: str,
        extra: list[Draft] | None = None,
    ) -> None:
        following = self.follow(working, status, filled)
        currency = self.book.state.currency
        drafts = [
            Draft(
                "TRADED",
                trade_document(
                    trade, working.order.id, working.order, fee_price(self.account, trade, currency)
                ),
            )
            for trade in trades
        ]
        body: dict[str, Any] = {
            "order": working.order.id,
            "root": working.root,
            "symbol": working.order.symbol,
            "status": status,
            "filled": str(filled),
            "reason": reason,
            "next_order": None if following is None else order_document(following),
        }
        self.book.append([*drafts, Draft("SETTLED", body), *(extra or [])])

    def _nothing_there(self, working: Working) -> bool:
        """Return whether, past its window, neither orders, trades nor balances show anything of the order."""
        order = working.order
        if working.status == "ACCEPTED" or self.clock.ask() <= working.sent_ms + self._window_ms:
            return False
        since = working.sent_ms - _EARLIER_MS
        if any(report.client_id == order.id for report in self.account.orders(order.symbol, since_ms=since)):
            return False
        seen = self.book.state.cursors.get(order.symbol, 0)
        for trade in self.account.trades(order.symbol, since_ms=since):
            if trade.id > seen:
                owner = self.account.order_by_number(order.symbol, trade.order_id)
                if owner is None or owner.client_id == order.id:
                    return False
        return not self._moved(order)

    def _moved(self, order: Order) -> bool:
        state, base = self.book.state, order.symbol.split("/")[0]
        total = self.account.balances().total.get(base, Decimal(0))
        with localcontext(CONTEXT):
            change = total - state.ledger[base] - state.foreign.get(base, Decimal(0))
            signed = change if order.side == "buy" else -change
            return signed >= order.quantity * _EVIDENCE

    def _give_up(self, working: Working, failure: str) -> None:
        order = working.order
        detail = (
            f"{order.side} {order.quantity} {order.symbol} ({order.id}): what became of it is not known yet"
        )
        self.book.append([self.book.incident("ORDER_UNRESOLVED", detail, order.symbol)])
        raise UnsettledError(
            f"ORDER_UNRESOLVED {detail}{failure}; it was sent once and will not be sent again, "
            "the next run asks on"
        )


def fee_price(account: Exchange, trade: Trade, currency: str) -> Decimal | None:
    """Return the price of a fee's currency where it is neither side of the market; None without one."""
    if trade.fee_asset in trade.symbol.split("/") or not trade.fee:
        return None
    symbol = f"{trade.fee_asset}/{currency}"
    try:
        return account.prices([symbol]).get(symbol)
    except VenueError:
        # Its value is for the record; the quantity is booked exactly.
        return None
