"""The private side of an exchange through CCXT's own class: orders, executions, holdings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final, cast

from lab.core.errors import ConfigError, VenueError
from lab.data.venues import errors
from live_bridge.bans import retry_after_s
from live_bridge.ccxt_exchange import CcxtExchange, client_of
from live_bridge.config import ExchangeConfig
from live_bridge.exchange import (
    Holdings,
    KeyRights,
    Order,
    OrderRefusedError,
    OrderReport,
    OrderStatus,
    Side,
    Trade,
    UnclearError,
)
from live_bridge.failures import order_verdict, scrubbed
from live_bridge.keys import Keys

__all__ = ["SUPPORTED", "CcxtAccount", "connect_account"]

# Signing with a given time, client ids and the rights of a key are spelled differently everywhere.
SUPPORTED: Final = ("binance",)
_STATUSES: Final = frozenset({"open", "closed", "canceled", "expired", "rejected"})
_PAGE: Final = 1_000
_DIGITS_OF_MS: Final = 13
_DAY_MS: Final = 86_400_000


def connect_account(config: ExchangeConfig, keys: Keys, *, recv_window_ms: int) -> CcxtAccount:
    """Build the exchange a configuration names, with an account; nothing is sent yet.

    Raises
    ------
    ConfigError
        If orders on that exchange are not supported, CCXT has no such exchange, or `base_url` cannot be used.
    """
    if config.id not in SUPPORTED:
        raise ConfigError(
            f"exchange.id: live orders are supported on {', '.join(SUPPORTED)} only, found {config.id}; "
            "run it in mode: paper"
        )
    return CcxtAccount(client_of(config, recv_window_ms=recv_window_ms, keys=keys))


class CcxtAccount(CcxtExchange):
    """An exchange with an account; see :class:`live_bridge.exchange.Exchange`."""

    def submit(self, order: Order, *, sent_ms: int) -> OrderReport:
        """Send an order: one request, ever."""
        parameters = {"newClientOrderId": order.id, "timestamp": sent_ms}
        # A price given to a market order makes another order of it.
        price = None if order.limit is None else str(order.limit)
        known = errors()
        try:
            answer = self._counted(
                lambda: self._client.create_order(
                    order.symbol, order.kind, order.side, str(order.quantity), price, parameters
                )
            )
        except known.BaseError as error:
            verdict = order_verdict(error, known)
            text = f"{self._name}: {order.id}: {type(error).__name__}: {scrubbed(error)}"
            if verdict == "ask":
                raise UnclearError(text) from None
            if verdict == "wait":
                wait_s = retry_after_s(self._client.last_response_headers) if self._limited(error) else 1.0
                raise OrderRefusedError(text, verdict, wait_s) from None
            raise OrderRefusedError(text, verdict) from None
        except Exception as error:
            # Whatever CCXT's parsers let through: the request was sent, its answer is not understood.
            raise UnclearError(f"{self._name}: {order.id}: {type(error).__name__} in its answer") from None
        report = _report(answer, order.symbol)
        if report is None or report.client_id != order.id:
            raise UnclearError(f"{self._name}: {order.id}: the answer does not show this order")
        return report

    def order(self, symbol: str, client_id: str) -> OrderReport | None:
        """Return the latest order of that client id, None where the exchange knows none."""
        report = self._looked_up(symbol, {"origClientOrderId": client_id})
        if report is not None and report.client_id != client_id:
            raise VenueError(f"{self._name}: asked for order {client_id}, got {report.client_id}")
        return report

    def order_by_number(self, symbol: str, exchange_id: str) -> OrderReport | None:
        """Return the order of the exchange's own number."""
        report = self._looked_up(symbol, {"orderId": exchange_id})
        if report is not None and report.id != exchange_id:
            raise VenueError(f"{self._name}: asked for order number {exchange_id}, got {report.id}")
        return report

    def _looked_up(self, symbol: str, parameters: Mapping[str, str]) -> OrderReport | None:
        number = parameters.get("orderId")
        known = errors()

        def ask() -> Any:
            try:
                return self._client.fetch_order(number, symbol, dict(parameters))
            except known.OrderNotFound:
                return None

        answer = self._ask(f"an order in {symbol}", ask)
        if answer is None:
            return None
        report = _report(answer, symbol)
        if report is None:
            raise VenueError(f"{self._name}: the answer about an order in {symbol} shows none")
        return report

    def open_orders(self, symbol: str) -> tuple[OrderReport, ...]:
        """Return the open orders of a symbol, whoever placed them."""
        rows = self._ask(f"open orders in {symbol}", partial(self._client.fetch_open_orders, symbol))
        return self._reports(rows, symbol)

    def orders(self, symbol: str, *, since_ms: int | None = None) -> tuple[OrderReport, ...]:
        """Return the orders of a symbol placed since then; without a time the last ones."""
        call = partial(self._client.fetch_orders, symbol, since=since_ms, limit=_PAGE)
        return self._reports(self._ask(f"orders in {symbol}", call), symbol)

    def trades(
        self,
        symbol: str,
        *,
        order_id: str | None = None,
        after: int | None = None,
        since_ms: int | None = None,
    ) -> tuple[Trade, ...]:
        """Return executions, ascending: of one order, above a number, or since a time."""
        parameters: dict[str, Any] = {}
        if order_id is not None:
            parameters["orderId"] = order_id
        elif after is not None:
            parameters["fromId"] = after + 1
        what = f"own trades in {symbol}"
        found: dict[int, Trade] = {}
        while True:
            call = partial(
                self._client.fetch_my_trades, symbol, since=since_ms, limit=_PAGE, params=dict(parameters)
            )
            rows = self._ask(what, call)
            self._require_list(what)
            page = [self._trade(row) for row in rows]
            new = {trade.id: trade for trade in page if trade.id not in found}
            found.update(new)
            if len(rows) < _PAGE or not new or order_id is not None:
                break
            parameters, since_ms = {"fromId": max(found) + 1}, None
        wanted = (trade for trade in found.values() if order_id in {None, trade.order_id})
        return tuple(sorted((t for t in wanted if after is None or t.id > after), key=lambda t: t.id))

    def cancel(self, symbol: str, client_id: str) -> None:
        """Ask for an order to be cancelled; whether it was, :meth:`order` tells."""
        known = errors()

        def ask() -> None:
            try:
                self._client.cancel_order(None, symbol, {"origClientOrderId": client_id})
            except known.OrderNotFound:
                # Filled, expired or cancelled meanwhile: asking tells which.
                return

        self._ask(f"cancelling an order in {symbol}", ask)

    def balances(self) -> Holdings:
        """Return what the account holds.

        Raises
        ------
        VenueError
            Also for an answer without a list of balances: nothing is not the same as zero.
        """
        answer = self._ask("balances", self._client.fetch_balance)
        info = answer.get("info")
        rows = info.get("balances") if isinstance(info, Mapping) else None
        if not isinstance(rows, list) or not rows:
            raise VenueError(
                f"{self._name}: the answer about balances lists none; it is not taken for an empty account"
            )
        try:
            free = {row["asset"]: Decimal(row["free"]) for row in rows}
            total = {row["asset"]: Decimal(row["free"]) + Decimal(row["locked"]) for row in rows}
        except (KeyError, TypeError, ArithmeticError):
            raise VenueError(f"{self._name}: the answer about balances cannot be read") from None
        if not all(amount.is_finite() and amount >= 0 for amount in (*free.values(), *total.values())):
            raise VenueError(f"{self._name}: the answer about balances holds amounts that are none")
        return Holdings(free, total, int(info.get("updateTime") or 0))

    def rights(self) -> KeyRights:
        """Return what the API key may do, and when it was made."""
        what = "the rights of the API key"
        answer = self._ask(what, self._client.sapi_get_account_apirestrictions)
        try:
            flags = [
                answer[name] for name in ("enableWithdrawals", "enableSpotAndMarginTrading", "ipRestrict")
            ]
        except (KeyError, TypeError):
            raise VenueError(f"{self._name}: the answer about {what} cannot be read") from None
        withdraw, trade, restricted = (str(flag).lower() == "true" for flag in flags)
        return KeyRights(withdraw, trade, restricted, _created_ms(answer.get("createTime")))

    def server_time_ms(self) -> int:
        """Return the exchange's time in milliseconds."""
        return _milliseconds_of(self.now())

    def _reports(self, rows: Sequence[Any], symbol: str) -> tuple[OrderReport, ...]:
        self._require_list(f"orders in {symbol}")
        reports = [_report(row, symbol) for row in rows]
        if None in reports:
            raise VenueError(f"{self._name}: the answer about orders in {symbol} cannot be read")
        return tuple(cast("list[OrderReport]", reports))

    def _trade(self, row: Mapping[str, Any]) -> Trade:
        try:
            info = row["info"]
            return Trade(
                id=int(row["id"]),
                order_id=str(row["order"]),
                symbol=row["symbol"],
                side=cast("Side", row["side"]),
                quantity=Decimal(info["qty"]),
                price=Decimal(info["price"]),
                cost=Decimal(info["quoteQty"]),
                fee=Decimal(info["commission"]),
                fee_asset=str(info["commissionAsset"]),
                maker=str(info["isMaker"]).lower() == "true",
                at_ms=int(info["time"]),
            )
        except (KeyError, TypeError, ValueError, ArithmeticError):
            raise VenueError(f"{self._name}: a trade cannot be read; nothing was booked") from None


def _created_ms(told: Any) -> int | None:
    """Return when a key was made; a trade is not refused for want of that, nor for nonsense in its place."""
    text = str(told)
    return (int(text) or None) if text.isdecimal() and len(text) <= _DIGITS_OF_MS else None


def _report(answer: Any, symbol: str) -> OrderReport | None:
    """Return what CCXT made of an answer; None unless it names an order, its side, status and quantities."""
    info = answer.get("info") if isinstance(answer, Mapping) else None
    if not isinstance(info, Mapping):
        return None
    number, client_id = answer.get("id"), answer.get("clientOrderId")
    status, side = answer.get("status"), answer.get("side")
    if number is None or not client_id or status not in _STATUSES or answer.get("symbol") != symbol:
        return None
    try:
        quantity, filled = Decimal(info["origQty"]), Decimal(info["executedQty"])
        at = int(answer.get("timestamp") or 0)
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
    return OrderReport(
        str(number),
        str(client_id),
        symbol,
        cast("Side", side),
        cast("OrderStatus", status),
        quantity,
        filled,
        at,
    )


def _milliseconds_of(instant: datetime) -> int:
    return round(instant.timestamp() * 1_000)
