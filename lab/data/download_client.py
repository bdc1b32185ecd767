"""Asks an exchange for bars, through CCXT's own class; reads only, so a failed question is asked again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from lab.core.errors import ConfigError, VenueError
from lab.data.venues import ccxt_options, errors, exchange_class

__all__ = ["Answer", "Feed", "Patience", "UnreachableError", "connect"]

TIMEOUT_MS: Final = 10_000
DEFAULT_PAGE: Final = 500
# What an exchange says about the question itself; the same question gets the same answer.
_DEFINITE: Final = (
    "ArgumentsRequired", "AuthenticationError", "BadRequest", "BadSymbol", "NotSupported", "PermissionDenied",
)  # fmt: skip

T = TypeVar("T")


class UnreachableError(VenueError):
    """The exchange did not answer, again and again; whatever is asked next would not be answered either."""


class _NonsenseError(Exception):
    """An answer that is none; asked again."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a question is asked again, and how long is waited in between.

    Parameters
    ----------
    attempts : int
        Questions in all.
    wait_initial, wait_max : float
        Seconds before the second question, doubled each time; and at most. Some of it is random.
    retry_after_max : float
        Longest ``Retry-After`` that is waited for, in seconds.
    """

    attempts: int = 7
    wait_initial: float = 0.5
    wait_max: float = 60.0
    retry_after_max: float = 300.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One page of bars: CCXT's rows ``[ms, open, high, low, close, volume]``, and the text they came as."""

    rows: tuple[tuple[Any, ...], ...]
    body: str


def connect(
    exchange: str,
    *,
    base_url: str | None = None,
    derivatives: bool = False,
    patience: Patience | None = None,
    local_now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Feed:
    """Build the connection to an exchange; nothing is sent yet, and no key is read.

    Parameters
    ----------
    exchange : str
        CCXT's id.
    base_url : str, optional
        Another host that speaks Binance's protocol, such as the loopback exchange; plain http only to
        loopback addresses.
    derivatives : bool
        Whether the list of markets must have derivatives, where that costs questions of its own.
    patience : Patience, optional
        Default: some two minutes.
    local_now : callable
        This machine's time, for exchanges that do not tell theirs.

    Raises
    ------
    ConfigError
        If CCXT has no such exchange, or `base_url` cannot be used.
    """
    named = exchange_class(exchange)
    arguments: dict[str, Any] = {"enableRateLimit": True, "timeout": TIMEOUT_MS, "maxRetriesOnFailure": 0}
    if base_url is not None:
        if exchange != "binance":
            raise ConfigError(f"--base-url: found one for {exchange}; only binance can be pointed elsewhere")
        arguments |= ccxt_options(base_url)
    elif exchange == "binance" and not derivatives:
        arguments["options"] = {"fetchMarkets": {"types": ["spot"]}}
    return Feed(named(arguments), patience or Patience(), local_now)


class Feed:
    """Market data of one exchange.

    Parameters
    ----------
    client : ccxt.Exchange
        As :func:`connect` makes it; its rate limiter spaces the questions.
    patience : Patience
        See there.
    local_now : callable
        See :func:`connect`.
    """

    def __init__(self, client: Any, patience: Patience, local_now: Callable[[], datetime]) -> None:
        self.client = client
        self._patience = patience
        self._local_now = local_now

    @property
    def name(self) -> str:
        """CCXT's id of the exchange."""
        return str(self.client.id)

    def markets(self) -> Mapping[str, Any]:
        """Return CCXT's markets by unified symbol."""

        def call() -> Mapping[str, Any]:
            found = self.client.load_markets(reload=True)
            if not found:
                raise _NonsenseError("no markets in the answer")
            return dict(found)

        return self._ask("markets", call)

    @property
    def timeframes(self) -> tuple[str, ...]:
        """Timeframes that the exchange offers."""
        return tuple(self.client.timeframes or ())

    def now(self) -> int:
        """Return the exchange's time in milliseconds since 1970; this machine's where it tells none."""
        if not self.client.has.get("fetchTime"):
            return int(self._local_now().timestamp() * 1_000)

        def call() -> int:
            stamp = self.client.fetch_time()
            if not isinstance(stamp, int) or stamp <= 0:
                raise _NonsenseError(f"server time is {stamp!r}")
            return stamp

        return self._ask("server time", call)

    def page_bars(self, symbol: str) -> int:
        """Return how many bars the exchange gives in one answer."""
        found = self.client.feature_value(symbol, "fetchOHLCV", "limit", DEFAULT_PAGE)
        return int(found or DEFAULT_PAGE)

    def page(self, symbol: str, timeframe: str, *, since: int, limit: int) -> Answer:
        """Ask for `limit` bars that open at or after `since` (milliseconds)."""

        def call() -> Answer:
            rows = self.client.fetch_ohlcv(symbol, timeframe, since=since, limit=limit)
            body = self.client.last_http_response or ""
            self._check(rows, body)
            return Answer(tuple(tuple(row) for row in rows), body)

        return self._ask(f"{timeframe} bars of {symbol}", call)

    def _check(self, rows: Any, body: str) -> None:
        # CCXT reads a body that is no list of bars as a list of none: look at what was sent.
        try:
            sent = json.loads(body)
        except ValueError:
            raise _NonsenseError("the answer is cut off, or no JSON") from None
        unread = (
            not rows and isinstance(sent, list) and any(not isinstance(each, (list, dict)) for each in sent)
        )
        if not isinstance(sent, (list, dict)) or not isinstance(rows, list) or unread:
            raise _NonsenseError("the answer holds no bars that can be read")
        for row in rows:
            if len(row) < 6 or not isinstance(row[0], int):
                raise _NonsenseError(f"a bar of {len(row)} values; expected 6 with a time first")

    def _ask(self, what: str, call: Callable[[], T]) -> T:
        import stamina

        patience = self._patience
        try:
            for attempt in stamina.retry_context(
                on=self._backoff,
                attempts=patience.attempts,
                timeout=None,
                wait_initial=patience.wait_initial,
                wait_max=patience.wait_max,
                wait_jitter=patience.wait_initial,
            ):
                with attempt:
                    return call()
        except (errors().BaseError, _NonsenseError, *_PARSING) as error:
            raise self._sentence(what, error) from None
        raise AssertionError("retries end with an answer or an error")

    def _backoff(self, error: Exception) -> bool | float:
        known = errors()
        if isinstance(error, tuple(getattr(known, name) for name in _DEFINITE)):
            return False
        if isinstance(error, (known.DDoSProtection, known.RateLimitExceeded)):
            wanted = self._retry_after()
            if wanted is not None:
                return wanted if wanted <= self._patience.retry_after_max else False
        return isinstance(error, (known.BaseError, _NonsenseError, *_PARSING))

    def _retry_after(self) -> float | None:
        headers = {
            str(key).lower(): value for key, value in (self.client.last_response_headers or {}).items()
        }
        try:
            return max(0.0, float(headers["retry-after"]))
        except (KeyError, TypeError, ValueError):
            return None

    def _sentence(self, what: str, error: Exception) -> VenueError:
        known = errors()
        asked = f"after {self._patience.attempts} attempts"
        if isinstance(error, (known.DDoSProtection, known.RateLimitExceeded)):
            wait = self._retry_after()
            said = "" if wait is None else f"; it asks to wait {wait:g} s"
            return UnreachableError(f"{self.name}: too many requests, no {what}{said}. Run again later")
        if isinstance(error, known.NetworkError):
            return UnreachableError(
                f"{self.name}: no answer about {what} {asked} ({_short(error)}). What came before is stored; "
                "run the same command again to continue"
            )
        if isinstance(error, (_NonsenseError, *_PARSING)):
            return VenueError(f"{self.name}: the answer about {what} makes no sense {asked}: {_short(error)}")
        return VenueError(f"{self.name}: refused to answer about {what}: {_short(error)}")


# What CCXT's parsers let through on nonsense.
_PARSING: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def _short(error: Exception) -> str:
    text = " ".join(str(error).split()).partition("?")[0] or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."
