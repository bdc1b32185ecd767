"""The account against the journal: the exchange wins, and whatever differs is explained, booked and told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any, Final

from lab.core.errors import ConfigError, VenueError
from live_bridge.book import Book
from live_bridge.clock import ExchangeClock
from live_bridge.documents import trade_document
from live_bridge.exchange import Exchange, Holdings, OrderReport, Trade
from live_bridge.journal import Draft
from live_bridge.orders import CONTEXT
from live_bridge.settling import fee_price
from live_bridge.state import BridgeState

__all__ = ["AccountUnreadableError", "Reconciler", "differences"]

TOLERANCE: Final = Decimal("1e-8")
_NOTHING: Final = Decimal(0)
_LOOKS: Final = 6


class AccountUnreadableError(VenueError):
    """The account's answers cannot be believed; nothing was changed and nothing is ordered."""

    incident = "ACCOUNT_UNREADABLE"


def differences(state: BridgeState, holdings: Holdings, currencies: Sequence[str]) -> dict[str, Decimal]:
    """Return what the account holds beyond the ledger and what is known to be foreign, by currency.

    Negative where something is missing; what is within 1e-8 is left out.

    Examples
    --------
    >>> from live_bridge.paper import Ledger
    >>> state = BridgeState(currency="USDT", ledger=Ledger({"BTC": Decimal(1), "USDT": Decimal(5)}))
    >>> differences(state, Holdings({}, {"BTC": Decimal(3), "USDT": Decimal(5)}), ["BTC", "USDT"])
    {'BTC': Decimal('2')}
    """
    found = {}
    with localcontext(CONTEXT):
        for currency in currencies:
            known = state.ledger[currency] + state.foreign.get(currency, _NOTHING)
            change = holdings.total.get(currency, _NOTHING) - known
            if abs(change) > TOLERANCE:
                found[currency] = change
    return found


@dataclass(frozen=True, slots=True)
class _Orphan:
    report: OrderReport
    trades: tuple[Trade, ...]


class Reconciler:
    """Compares the account with the journal, after everything that was sent is settled.

    Parameters
    ----------
    account : Exchange
    book : Book
    clock : ExchangeClock
    prefix : str
        What the portfolio's client order ids begin with.
    adopt : bool
        Whether a surplus that nothing explains becomes the portfolio's.
    """

    def __init__(
        self, account: Exchange, book: Book, clock: ExchangeClock, *, prefix: str, adopt: bool
    ) -> None:
        self.account, self.book, self.clock = account, book, clock
        self.prefix, self.adopt = prefix, adopt

    def run(self, symbols: Sequence[str], *, accept: bool = False) -> dict[str, Any]:
        """Bring the ledger to what the account holds.

        Parameters
        ----------
        symbols : sequence of str
            Those traded and those held.
        accept : bool
            A person's word that an account which shows nothing of what the journal holds is right.

        Returns
        -------
        dict
            ``orphans`` (client order ids), ``foreign``, ``adopted`` and ``phantom`` (amounts by currency).

        Raises
        ------
        VenueError
            If the account's answers are stale, contradict each other or show nothing at all; nothing is
            changed then.
        """
        told: dict[str, Any] = {"orphans": [], "foreign": {}, "adopted": {}, "phantom": {}}
        currencies = self._currencies(symbols)
        symbols = [symbol for symbol in symbols if self._listed(symbol)]
        strays = self._own_open_orders(symbols)
        found = differences(self.book.state, self._holdings(), currencies)
        if not strays and not found:
            return told
        for stray in strays:
            self._cancel(stray)
        told["orphans"] = self._adopt_orphans(symbols)
        found = self._agreed(currencies)
        self._refuse_emptiness(found, accept=accept)
        for currency, amount in found.items():
            self._book(currency, amount, told)
        return told

    def _listed(self, symbol: str) -> bool:
        try:
            self.account.rules([symbol])
        except ConfigError:
            # What is held of a market that is gone is compared all the same, by its balance.
            return False
        return True

    def _currencies(self, symbols: Sequence[str]) -> list[str]:
        state = self.book.state
        named = {part for symbol in symbols for part in symbol.split("/")}
        return sorted({*named, *state.ledger.amounts, *state.foreign, state.currency})

    def _holdings(self) -> Holdings:
        holdings = self.account.balances()
        newest = self.book.state.last_trade_ms
        if holdings.updated_ms and holdings.updated_ms < newest:
            raise AccountUnreadableError(
                f"the account's answer is older ({holdings.updated_ms}) than the last "
                f"trade booked ({newest}); nothing was changed and nothing ordered, the next run asks again"
            )
        return holdings

    def _agreed(self, currencies: Sequence[str]) -> dict[str, Decimal]:
        """Return the differences once two looks in a row show the same."""
        before = differences(self.book.state, self._holdings(), currencies)
        for attempt in range(_LOOKS):
            if not before:
                return before
            self.clock.wait(attempt)
            now = differences(self.book.state, self._holdings(), currencies)
            if now == before:
                return now
            before = now
        raise AccountUnreadableError(
            "the account's answers differ from one look to the next; nothing was changed "
            "and nothing ordered, the next run asks again"
        )

    def _refuse_emptiness(self, found: Mapping[str, Decimal], *, accept: bool) -> None:
        state = self.book.state
        with localcontext(CONTEXT):
            held = {c: a for c, a in state.ledger.amounts.items() if a > TOLERANCE}
            gone = [c for c, a in held.items() if found.get(c, _NOTHING) <= TOLERANCE - a]
        if not accept and held and len(gone) == len(held):
            text = ", ".join(f"{amount:f} {currency}" for currency, amount in held.items())
            raise AccountUnreadableError(
                f"the account shows nothing of what the journal holds ({text}); that is "
                "not taken for an empty account. If it is true: 'live-bridge reconcile --accept'"
            )

    def _own_open_orders(self, symbols: Sequence[str]) -> list[OrderReport]:
        tick = self.book.open_tick
        known = {working.order.id for working in tick.pending} if tick is not None else set()
        return [
            report
            for symbol in symbols
            for report in self.account.open_orders(symbol)
            if report.client_id.startswith(self.prefix) and report.client_id not in known
        ]

    def _cancel(self, report: OrderReport) -> None:
        self.account.cancel(report.symbol, report.client_id)
        for attempt in range(_LOOKS):
            now = self.account.order(report.symbol, report.client_id)
            if now is not None and now.terminal:
                return
            self.clock.wait(attempt)
        raise VenueError(
            f"{report.client_id}: an open order of this portfolio that the journal does not know cannot be "
            "cancelled; nothing is ordered before it is gone"
        )

    def _adopt_orphans(self, symbols: Sequence[str]) -> list[str]:
        adopted = []
        for symbol in symbols:
            orphans, newest = self._examine(symbol)
            for orphan in orphans:
                self._book_orphan(orphan)
                adopted.append(orphan.report.client_id)
            if newest > self.book.state.cursors.get(symbol, 0):
                self.book.append([Draft("EXAMINED", {"cursors": {symbol: newest}})])
        return adopted

    def _examine(self, symbol: str) -> tuple[list[_Orphan], int]:
        """Return the portfolio's own executions that the journal lacks, by order, and the last number."""
        cursor = self.book.state.cursors.get(symbol)
        since = None if cursor is not None else self.book.state.opened_ms
        trades = self.account.trades(symbol, after=cursor, since_ms=since)
        by_order: dict[str, list[Trade]] = {}
        for trade in trades:
            by_order.setdefault(trade.order_id, []).append(trade)
        orphans = []
        for number, own in by_order.items():
            report = self.account.order_by_number(symbol, number)
            if report is None:
                raise VenueError(f"{symbol}: a trade of order {number}, which the exchange does not show yet")
            if report.client_id.startswith(self.prefix):
                orphans.append(_Orphan(report, tuple(own)))
        return orphans, max((trade.id for trade in trades), default=0)

    def _book_orphan(self, orphan: _Orphan) -> None:
        report = orphan.report
        body = {
            "order": report.client_id,
            "exchange_id": report.id,
            "symbol": report.symbol,
            "trades": [
                trade_document(
                    trade,
                    report.client_id,
                    None,
                    fee_price(self.account, trade, self.book.state.currency),
                )
                for trade in orphan.trades
            ],
        }
        what = f"{report.side} {report.filled} {report.symbol} ({report.client_id})"
        detail = f"{what} was filled unknown to the journal"
        self.book.append(
            [
                Draft("RECOVERED_ORPHAN", body),
                self.book.incident("RECOVERED_ORPHAN", detail, report.symbol),
            ]
        )

    def _book(self, currency: str, amount: Decimal, told: dict[str, Any]) -> None:
        state = self.book.state
        if amount > 0:
            kind, text = ("ADOPTED", "adopted") if self.adopt else ("FOREIGN", "not touched")
            detail = f"{amount:f} {currency} more on the exchange than in the journal; {text}"
            self._write(kind, currency, amount, "FOREIGN_POSITION", detail)
            told[kind.lower()][currency] = str(amount)
            return
        with localcontext(CONTEXT):
            # What was never the portfolio's goes first.
            beside = min(-amount, max(state.foreign.get(currency, _NOTHING), _NOTHING))
            missing = -amount - beside
        if beside:
            detail = f"{beside:f} {currency} that was not the portfolio's has left the account"
            self._write("FOREIGN", currency, -beside, "FOREIGN_POSITION", detail)
            told["foreign"][currency] = str(-beside)
        if missing > TOLERANCE:
            detail = (
                f"{missing:f} {currency} of the journal are not on the exchange; removed, the exchange wins"
            )
            self._write("PHANTOM", currency, -missing, "PHANTOM_POSITION", detail)
            told["phantom"][currency] = str(missing)

    def _write(self, kind: str, currency: str, amount: Decimal, code: str, detail: str) -> None:
        draft = Draft(kind, {"currency": currency, "amount": str(amount)})
        symbol = "" if currency == self.book.state.currency else f"{currency}/{self.book.state.currency}"
        self.book.append([draft, self.book.incident(code, detail, symbol)])
