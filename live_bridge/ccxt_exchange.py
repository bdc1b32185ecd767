"""The exchange through CCXT's own class, unmodified: the only module that talks to the network."""

from __future__ import annotations

import difflib
import json
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final, TypeVar

from lab.core.errors import ConfigError, VenueError
from lab.core.timeframe import Timeframe
from lab.data.venues import ccxt_options, errors, exchange_class
from live_bridge.bans import BannedError, retry_after_s
from live_bridge.config import ExchangeConfig
from live_bridge.exchange import Candle, Rules
from live_bridge.exchange_health import CallLog
from live_bridge.failures import answered_soundly, read_again, says_banned, sentence
from live_bridge.keys import Keys

__all__ = ["CcxtExchange", "client_of", "connect"]

TIMEOUT_MS: Final = 10_000
ATTEMPTS: Final = 3
PAGE: Final = 1_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TICK_SIZE_MODE: Final = 4

_BACKOFF_S: Final = 0.1

T = TypeVar("T")


class _AgainError(Exception):
    """Ask once more."""


def client_of(config: ExchangeConfig, *, recv_window_ms: int = 5_000, keys: Keys | None = None) -> Any:
    """Return an instance of CCXT's class for a configuration; nothing is sent yet.

    Raises
    ------
    ConfigError
        If CCXT has no such exchange, or `base_url` cannot be used.
    """
    name = config.id
    options: dict[str, Any] = {
        "defaultType": "spot",
        "fetchMarkets": {"types": ["spot"]},
        "fetchMargins": False,
        # With keys, CCXT would ask for the list of coins whenever it lists markets.
        "fetchCurrencies": False,
        "warnOnFetchOpenOrdersWithoutSymbol": False,
        # The bridge asks the exchange's time itself, once per tick.
        "adjustForTimeDifference": False,
        "recvWindow": recv_window_ms,
        "maxRetriesOnFailure": 0,
    }
    arguments: dict[str, Any] = {"enableRateLimit": True, "timeout": TIMEOUT_MS}
    if config.base_url is not None:
        if name != "binance":
            raise ConfigError(
                f"exchange.base_url: found one for {name}; only binance can be pointed at another host"
            )
        redirected = ccxt_options(config.base_url)
        arguments["urls"] = redirected["urls"]
        options = {**redirected["options"], **options}
    # The bridge's own win: a retry behind its back would place an order twice.
    arguments["options"] = {**config.options, **options}
    if keys is not None:
        arguments |= {"apiKey": keys.key, "secret": keys.secret}
    return exchange_class(name)(arguments)


def connect(config: ExchangeConfig, *, recv_window_ms: int = 5_000) -> CcxtExchange:
    """Return the public side of the exchange a configuration names; no key is read."""
    return CcxtExchange(client_of(config, recv_window_ms=recv_window_ms))


class CcxtExchange:
    """Market data of one exchange through an instance of its CCXT class.

    Parameters
    ----------
    client : ccxt.Exchange
        An instance as :func:`connect` makes it.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._log = CallLog()
        self._banned = False

    @property
    def banned(self) -> bool:
        """Whether the exchange answered 418: this address is banned."""
        return self._banned

    def calls(self) -> tuple[tuple[bool, float], ...]:
        """Return whether each of the last calls was answered, and its milliseconds; latest last."""
        return self._log.calls()

    def now(self) -> datetime:
        """Return the exchange's server time, UTC."""
        stamp = self._ask("server time", self._client.fetch_time)
        if not isinstance(stamp, int) or stamp <= 0:
            raise VenueError(f"{self._name}: server time is {stamp!r}, expected milliseconds since 1970")
        # Signed requests carry exchange time, whatever this machine's clock says.
        self._client.options["timeDifference"] = self._client.milliseconds() - stamp
        return _EPOCH + timedelta(milliseconds=stamp)

    def rules(self, symbols: Sequence[str]) -> Mapping[str, Rules]:
        """Return the trading rules of each symbol, from the exchange's own market list."""
        # CCXT answers a second time from memory, which says nothing of the exchange.
        markets = self._client.markets or self._ask("markets", self._client.load_markets)
        for symbol in symbols:
            if symbol not in markets:
                raise ConfigError(self._unlisted(symbol, markets))
        return {symbol: self._rules(markets[symbol]) for symbol in symbols}

    def candles(
        self, symbol: str, timeframe: Timeframe, *, start: datetime, end: datetime
    ) -> tuple[Candle, ...]:
        """Return the bars that open in ``[start, end)``, page by page."""
        if timeframe.name not in (self._client.timeframes or {}):
            listed = ", ".join(self._client.timeframes or {})
            raise ConfigError(f"{self._name}: timeframe {timeframe} is not offered; it has {listed}")
        found: dict[int, Candle] = {}
        since, stop, step = _milliseconds(start), _milliseconds(end), timeframe.seconds * 1_000
        while since < stop:
            limit = min(PAGE, max(1, (stop - since) // step))
            rows = self._ask(
                f"{timeframe} bars of {symbol}",
                partial(self._client.fetch_ohlcv, symbol, timeframe.name, since=since, limit=limit),
            )
            if not rows:
                self._check_emptiness(symbol)
            page = [self._candle(row, symbol) for row in rows]
            # Of two bars with one opening time the last received wins.
            found.update({_milliseconds(bar.ts): bar for bar in page if start <= bar.ts < end})
            last = max((_milliseconds(bar.ts) for bar in page), default=stop)
            if last < since or stop - last <= step:
                break
            since = last + 1
        return tuple(found[stamp] for stamp in sorted(found))

    def prices(self, symbols: Sequence[str]) -> Mapping[str, Decimal]:
        """Return the last traded price of each symbol."""
        if self._client.has.get("fetchLastPrices") is True:  # a small part of a ticker's request weight
            call, key = partial(self._client.fetch_last_prices, list(symbols)), "price"
        else:
            call, key = partial(self._client.fetch_tickers, list(symbols)), "last"
        answers = self._ask("prices", call)
        found = {}
        for symbol in symbols:
            price = _decimal((answers.get(symbol) or {}).get(key))
            if price is not None and price.is_finite() and price > 0:
                found[symbol] = price
        return found

    @property
    def _name(self) -> str:
        return str(self._client.id)

    def _ask(self, what: str, call: Callable[[], T]) -> T:
        for attempt in range(ATTEMPTS):
            try:
                return self._asked_once(what, call, last=attempt == ATTEMPTS - 1)
            except _AgainError:
                # Apart, so that several bridges that failed together do not ask together again.
                time.sleep(_BACKOFF_S * 2**attempt * (0.5 + random.random()))  # noqa: S311 - no secret
        raise VenueError(f"{self._name}: no answer about {what}")  # pragma: no cover - the last try raises

    def _counted(self, call: Callable[[], T]) -> T:
        """Make one call; all that are made go through here."""
        try:
            return self._log.timed(call, answered=answered_soundly)
        except Exception as error:
            self._banned = self._banned or says_banned(error)
            raise

    def _limited(self, error: Exception) -> bool:
        """Whether the exchange answered 429 or 418; CCXT says the same of a key that was revoked."""
        known = errors()
        asked_to_wait = isinstance(error, (known.DDoSProtection, known.RateLimitExceeded))
        return asked_to_wait and "-2015" not in str(error)

    def _asked_once(self, what: str, call: Callable[[], T], *, last: bool) -> T:
        # Looked up late: CCXT's own exceptions, and those its parsers let through on nonsense.
        known = errors()
        try:
            return self._counted(call)
        except known.BaseError as error:
            if not last and isinstance(error, known.InvalidNonce):
                self.now()
                raise _AgainError from None
            if not last and read_again(error, known):
                raise _AgainError from None
            text = sentence(self._name, what, error, known, TIMEOUT_MS // 1000)
            if self._limited(error):
                wait_s = retry_after_s(self._client.last_response_headers)
                raise BannedError(text, wait_s, banned=self._banned) from None
            raise VenueError(text) from None
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            if not last:
                raise _AgainError from None
            raise VenueError(
                f"{self._name}: the answer about {what} cannot be read ({type(error).__name__}); "
                "expected the exchange's documented format"
            ) from None

    def _rules(self, market: Mapping[str, Any]) -> Rules:
        limits = market.get("limits") or {}
        step = self._increment(market, "amount")
        sizes = [_limit(limits, kind, "max") for kind in ("amount", "market")]
        positive = [size for size in sizes if size > 0]
        smallest = max(_limit(limits, "amount", "min"), _limit(limits, "market", "min"))
        return Rules(
            symbol=market["symbol"],
            base=market["base"],
            quote=market["quote"],
            step=step,
            tick=self._increment(market, "price"),
            min_quantity=smallest,
            min_notional=_limit(limits, "cost", "min"),
            max_quantity=min(positive) if positive else None,
            active=market.get("active") is not False,
        )

    def _increment(self, market: Mapping[str, Any], kind: str) -> Decimal:
        value = _decimal((market.get("precision") or {}).get(kind))
        if value is None:
            return Decimal(0)
        if self._client.precisionMode == _TICK_SIZE_MODE:
            return value
        return Decimal(1).scaleb(-int(value))

    def _candle(self, row: Sequence[Any], symbol: str) -> Candle:
        if len(row) < 6 or not isinstance(row[0], int):
            raise VenueError(
                f"{self._name}: a bar of {symbol} has {len(row)} values, expected 6 with a time first"
            )
        return Candle(_EPOCH + timedelta(milliseconds=row[0]), *(_finite(value) for value in row[1:6]))

    def _require_list(self, what: str) -> None:
        # CCXT reads a body that is no list as an empty one: look at what was sent.
        try:
            sent = json.loads(self._client.last_http_response or "")
        except ValueError:
            sent = None
        if not isinstance(sent, list):
            raise VenueError(
                f"{self._name}: the answer about {what} is no list; expected the exchange's documented format"
            )

    def _check_emptiness(self, symbol: str) -> None:
        # CCXT reads a body that is no list of bars as a list of none: look at what was sent.
        try:
            sent = json.loads(self._client.last_http_response or "")
        except ValueError:
            sent = None
        if not isinstance(sent, (list, dict)) or (isinstance(sent, list) and sent):
            raise VenueError(
                f"{self._name}: the answer about bars of {symbol} holds none that can be read; "
                "expected the exchange's documented format"
            )

    def _unlisted(self, symbol: str, markets: Mapping[str, Any]) -> str:
        near = difflib.get_close_matches(symbol, list(markets), n=3)
        hint = f"; nearest: {', '.join(near)}" if near else ""
        return f"{self._name} does not list {symbol}{hint}. Correct the market, or its entry in market_map"


def _limit(limits: Mapping[str, Any], kind: str, bound: str) -> Decimal:
    return _decimal((limits.get(kind) or {}).get(bound)) or Decimal(0)


def _decimal(value: Any) -> Decimal | None:
    # CCXT's numbers are the nearest floats of short decimal texts, so repr gives the text back.
    return None if value is None else Decimal(str(value))


def _finite(value: Any) -> float | None:
    number = math.nan if value is None else float(value)
    return number + 0.0 if math.isfinite(number) else None


def _milliseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(milliseconds=1)
