"""The one place that creates orders: planned by risk, passed by the gate, durable before the request."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, localcontext
from typing import Final

from lab.core.errors import HaltedError, VenueError
from lab.core.settings import PortfolioRiskSettings
from live_bridge.bans import BannedError
from live_bridge.book import Book
from live_bridge.clock import ExchangeClock
from live_bridge.config import OrderSettings
from live_bridge.documents import order_document
from live_bridge.exchange import Exchange, Order, OrderRefusedError, Rules, UnclearError
from live_bridge.exchange_health import was_banned
from live_bridge.gate import GateView, fitted, refusal
from live_bridge.history import HALTED
from live_bridge.journal import Draft
from live_bridge.order_ids import order_id
from live_bridge.orders import CONTEXT, Costing, limit_price
from live_bridge.permission import account_at
from live_bridge.settling import NOT_PLACED, Settler
from live_bridge.state import OpenTick, Working

__all__ = ["Sender"]

_ATTEMPTS: Final = 3
_MINUTE_MS: Final = 60_000


class Sender:
    """Brings the orders of the open tick to an end, one after the other.

    Parameters
    ----------
    account : Exchange
    book : Book
    clock : ExchangeClock
    settings : OrderSettings
    limits : PortfolioRiskSettings
        What the gate checks the weights after an order against.
    costs : Costing
    recv_window_ms : int
    """

    def __init__(
        self,
        account: Exchange,
        book: Book,
        clock: ExchangeClock,
        settings: OrderSettings,
        limits: PortfolioRiskSettings,
        costs: Costing,
        recv_window_ms: int,
    ) -> None:
        self.account, self.book, self.clock = account, book, clock
        self.settings, self.limits, self.costs = settings, limits, costs
        self.recv_window_ms = recv_window_ms
        self.settler = Settler(account, book, clock, settings, recv_window_ms, self._follow)
        self._rules: dict[str, Rules] = {}
        self._prices: dict[str, Decimal] = {}

    def settle_sent(self) -> None:
        """Find out what became of every order whose request may have been sent; send nothing.

        While halted an order that rests is cancelled at once; one that sells is waited for if exits are left.
        """
        halted = self.book.state.risk.mode == HALTED
        for working in self._pending():
            left = self.settings.at_halt == "leave_exits" and working.order.side == "sell"
            if working.status != "PLANNED":
                self.settler.settle(working, stop=halted and not left)

    def send_planned(self) -> None:
        """Send what is planned, settle it, and go on until nothing of the tick is pending.

        Raises
        ------
        VenueError
            If the exchange asks to wait, or an order cannot be settled in time; the next run continues.
        HaltedError
            If the key may not trade.
        """
        self.settle_sent()
        symbols = sorted({working.order.symbol for working in self._pending()})
        if not symbols:
            return
        self._rules = dict(self.account.rules(symbols))
        self._prices = dict(self.account.prices(symbols))
        while pending := self._pending():
            self._send(pending[0])

    def drop_planned(self, reason: str) -> int:
        """Drop what was never sent, and return how many orders that were."""
        planned = [working for working in self._pending() if working.status == "PLANNED"]
        self.book.append([self._abandoned(working, reason) for working in planned])
        return len(planned)

    def _pending(self) -> tuple[Working, ...]:
        tick = self.book.open_tick
        return () if tick is None else tick.pending

    def _send(self, working: Working) -> None:
        tick, order = self.book.open_tick, working.order
        if tick is None:
            return
        view = self._view()
        quantity = fitted(order, self._rules[order.symbol], view)
        order = replace(order, quantity=quantity)
        reason = self._obstacle(order, tick, view)
        if reason:
            self._refuse(replace(working, order=order), reason)
            return
        self._keep_rate()
        sent = Working(order, working.root, "SENT", self.clock.milliseconds())
        body = {
            "order": order_document(order),
            "root": working.root,
            "sent_ms": sent.sent_ms,
            "recv_window_ms": self.recv_window_ms,
        }
        # Durable before the request: whoever dies after this line asks, and never sends it again.
        self.book.append([Draft("SENT", body)])
        self._post(sent)

    def _post(self, working: Working) -> None:
        order = working.order
        try:
            report = self.account.submit(order, sent_ms=working.sent_ms)
        except OrderRefusedError as error:
            self._refused(working, error)
        except UnclearError as error:
            self.book.append([_answer(order, "UNKNOWN", str(error))])
            self.settler.settle(replace(working, status="UNKNOWN"))
        else:
            self.book.append([_answer(order, "ACCEPTED", exchange_id=report.id, status=report.status)])
            self.settler.settle(replace(working, status="ACCEPTED"), first=report)

    def _refused(self, working: Working, error: OrderRefusedError) -> None:
        order, text = working.order, str(error)
        if error.kind == "wait":
            # Asked on by the next run: a refusal in a hurry is not always the whole truth.
            banned = self.book.incident("EXCHANGE_BANNED", text, order.symbol)
            self.book.append([_answer(order, "UNKNOWN", text), banned])
            text += "; the next run asks what became of it and continues"
            raise BannedError(text, error.wait_s, banned=was_banned(self.account))
        self.book.append([_answer(order, "REFUSED", text)])
        if error.kind == "halt":
            self.settler.end(working, "REJECTED", text)
            halted = {"by": "bridge", "reason": text}
            self.book.append([Draft("HALTED", halted), self.book.incident("KEY_REFUSED", text)])
            raise HaltedError(f"HALTED: {text}. Check the key, then 'live-bridge resume'")
        if error.kind == "retry":
            self.clock.ask()
        report = self.settler.look(working)
        if report is not None:
            # Refused, and there all the same: the book counts.
            self.settler.settle(replace(working, status="ACCEPTED"), first=report)
        elif error.kind == "retry":
            self.settler.end(working, NOT_PLACED, text)
        else:
            self.book.append([self.book.incident("ORDER_REJECTED", text, order.symbol)])
            self.settler.end(working, "REJECTED", text)

    def _obstacle(self, order: Order, tick: OpenTick, view: GateView) -> str:
        if self.clock.now().isoformat() >= tick.valid_until:
            return "OUTLIVED"
        if order.attempt >= _ATTEMPTS:
            return "ATTEMPTS"
        if order.quantity <= 0:
            return "NOT_HELD" if order.side == "sell" else "CASH_SHORT"
        return refusal(order, self._rules[order.symbol], view, self.settings, self.limits)

    def _refuse(self, working: Working, reason: str) -> None:
        order = working.order
        drafts = [self._abandoned(working, reason)]
        if reason != "OUTLIVED":
            detail = f"{reason}: {order.side} {order.quantity} {order.symbol} was not sent"
            drafts.append(self.book.incident("ORDER_BLOCKED", detail, order.symbol))
        self.book.append(drafts)

    def _abandoned(self, working: Working, reason: str) -> Draft:
        order = working.order
        body = {"order": order.id, "root": working.root, "symbol": order.symbol, "reason": reason}
        return Draft("ABANDONED", body)

    def _view(self) -> GateView:
        state = self.book.state.with_marks(self._prices)
        symbols = [f"{base}/{state.currency}" for base in state.ledger.amounts if base != state.currency]
        account = account_at(state, sorted({*symbols, *self._prices}))
        day = self.clock.milliseconds() // 86_400_000
        traded = state.turnover.notional if state.turnover.day == day else Decimal(0)
        prices = {**state.marks, **self._prices}
        return GateView(account.cash, account.quantities, prices, account.equity, traded, self.costs)

    def _keep_rate(self) -> None:
        """Wait until one more order is within the cap of a minute of exchange time."""
        attempt = 0
        while len(self._recent()) >= self.settings.per_minute:
            if self.clock.expired:
                raise VenueError(
                    f"orders.per_minute: {self.settings.per_minute} orders were sent within a minute; the "
                    "next run sends the rest"
                )
            self.clock.wait(attempt)
            self.clock.ask()
            attempt += 1

    def _recent(self) -> list[int]:
        since = self.clock.milliseconds() - _MINUTE_MS
        return [sent for sent in self.book.state.recent if sent > since]

    def _follow(self, working: Working, status: str, filled: Decimal) -> Order | None:
        """Return the order that takes another one's place: a new try, or a new price for the rest."""
        order, tick = working.order, self.book.open_tick
        if tick is None:
            return None
        # A person's flatten goes on while halted; what a tick had planned does not.
        if self.book.state.risk.mode == HALTED and not tick.tick.startswith("flatten-"):
            return None
        if status == NOT_PLACED:
            return self._renamed(replace(order, attempt=order.attempt + 1), tick)
        with localcontext(CONTEXT):
            rest = order.quantity - filled
        if order.kind != "limit" or status != "CANCELED" or rest <= 0:
            return None
        return self._replacement(replace(order, quantity=rest, attempt=0), tick)

    def _replacement(self, order: Order, tick: OpenTick) -> Order | None:
        number = order.replacement + 1
        if number <= self.settings.replacements:
            price = self.account.prices([order.symbol]).get(order.symbol)
            rules = self.account.rules([order.symbol])[order.symbol]
            if price is None:
                return None
            limit = limit_price(order.side, price, rules, self.settings.limit_offset_bps)
            self._prices[order.symbol] = price
            return self._renamed(replace(order, replacement=number, limit=limit), tick)
        if self.settings.last_resort == "drop":
            return None
        return self._renamed(replace(order, replacement=number, kind="market", limit=None), tick)

    def _renamed(self, order: Order, tick: OpenTick) -> Order:
        parts = (order.symbol, order.side, str(order.slice), str(order.replacement), str(order.attempt))
        return replace(order, id=order_id((*tick.scope, *parts)))


def _answer(order: Order, answer: str, error: str = "", *, exchange_id: str = "", status: str = "") -> Draft:
    body = {
        "order": order.id,
        "answer": answer,
        "exchange_id": exchange_id,
        "status": status,
        "error": error,
    }
    return Draft("ANSWERED", body)
