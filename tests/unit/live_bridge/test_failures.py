"""What an exchange's errors mean: for an order, for a question, and for the person who reads of them."""

from __future__ import annotations

import ccxt
import pytest

from live_bridge.failures import answered_soundly, order_verdict, read_again, scrubbed, sentence


class _OwnError(Exception):
    """Not CCXT's."""


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (ccxt.InsufficientFunds("no"), "skip"),
        (ccxt.InvalidOrder("no"), "skip"),
        (ccxt.BadSymbol("no"), "skip"),
        (ccxt.MarketClosed("no"), "skip"),
        (ccxt.OrderImmediatelyFillable("no"), "skip"),
        # Children of InvalidOrder, which is definite: these say that an order of that id is there.
        (ccxt.DuplicateOrderId("no"), "ask"),
        (ccxt.InvalidOrder("binance Duplicate order sent."), "ask"),
        (ccxt.AuthenticationError("no"), "halt"),
        (ccxt.PermissionDenied("no"), "halt"),
        (ccxt.AccountSuspended("no"), "halt"),
        (ccxt.InvalidNonce("no"), "retry"),
        (ccxt.DDoSProtection("no"), "wait"),
        (ccxt.RateLimitExceeded("no"), "wait"),
        (ccxt.RequestTimeout("no"), "ask"),
        (ccxt.NetworkError("no"), "ask"),
        (ccxt.ExchangeNotAvailable("no"), "ask"),
        (ccxt.OnMaintenance("no"), "ask"),
        (ccxt.BadResponse("no"), "ask"),
        (ccxt.NullResponse("no"), "ask"),
        (ccxt.ExchangeError("no"), "ask"),
        (_OwnError("no"), "ask"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{type(value).__name__} {value}",
)
def test_only_a_definite_refusal_is_taken_for_one(error: Exception, verdict: str) -> None:
    assert order_verdict(error, ccxt) == verdict
    assert answered_soundly(error) is (verdict == "skip")


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ccxt.NetworkError("down"), True),
        (ccxt.ExchangeNotAvailable("down"), True),
        (ccxt.BadResponse("cut off"), True),
        (ccxt.RequestTimeout("slow"), False),
        (ccxt.DDoSProtection("429"), False),
        (ccxt.RateLimitExceeded("429"), False),
        (ccxt.AuthenticationError("key"), False),
        (ccxt.BadRequest("what?"), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_a_question_is_asked_again_only_where_that_may_help(error: Exception, again: bool) -> None:
    assert read_again(error, ccxt) is again


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ccxt.RequestTimeout("x"), "no answer about balances within 10 s"),
        (ccxt.DDoSProtection("x"), "too many requests; wait before the next tick"),
        (ccxt.RateLimitExceeded("x"), "too many requests; wait before the next tick"),
        (ccxt.OnMaintenance("x"), "under maintenance, no balances"),
        (ccxt.InvalidNonce("x"), "the request's time is outside its window"),
        (ccxt.NetworkError("x"), "cannot be reached, no balances (x). Check the network and base_url"),
        (ccxt.PermissionDenied("x"), "(PermissionDenied: x). Check the API key, its rights"),
        (ccxt.BadRequest("x"), "refused to answer about balances (BadRequest: x)"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_person_is_told_what_happened_and_what_to_do(error: Exception, said: str) -> None:
    text = sentence("binance", "balances", error, ccxt, 10)
    assert text.startswith("binance: ")
    assert said in text


def test_what_is_told_holds_no_secret_and_stays_short() -> None:
    error = ccxt.NetworkError(
        "binance GET https://host/api?timestamp=1&signature=abc123 X-MBX-APIKEY: key456, secret=zzz789\n"
        + "w " * 200
    )
    text = scrubbed(error)
    assert len(text) == 160
    assert text.endswith("...")
    assert not any(part in text for part in ("abc123", "key456", "zzz789", "\n"))
