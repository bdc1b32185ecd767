"""What an exchange's error means: for a question whether to ask again, for an order what may have happened.

Definite answers to an order are exactly CCXT's InsufficientFunds, InvalidOrder, BadRequest, MarketClosed,
PermissionDenied, AuthenticationError, InvalidNonce and DDoSProtection (a rate limit or a ban) with their
children. All else is ambiguous: the order may be on the book. One child is not taken at its word: a duplicate
id means that an order of that id is there.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal

from lab.data.venues import errors

__all__ = ["answered_soundly", "order_verdict", "read_again", "says_banned", "scrubbed", "sentence"]

Verdict = Literal["skip", "retry", "wait", "halt", "ask"]

_MAX_DETAIL: Final = 160


def order_verdict(error: Exception, known: Any) -> Verdict:
    """Return what an error in answer to an order's POST means.

    Parameters
    ----------
    error : Exception
        As CCXT raised it.
    known : module
        CCXT's exceptions.

    Returns
    -------
    str
        ``skip``: not taken, and would not be again. ``retry``: not taken for its time stamp. ``wait``: not
        taken, too many requests. ``halt``: not taken, the key may not trade. ``ask``: nobody knows.
    """
    if isinstance(error, known.DuplicateOrderId) or "duplicate order" in str(error).lower():
        return "ask"
    if isinstance(error, (known.AuthenticationError, known.PermissionDenied)):
        return "halt"
    if isinstance(error, known.InvalidNonce):
        return "retry"
    if isinstance(error, (known.DDoSProtection, known.RateLimitExceeded)):
        return "wait"
    refused = (known.InsufficientFunds, known.InvalidOrder, known.BadRequest, known.MarketClosed)
    return "skip" if isinstance(error, refused) else "ask"


def answered_soundly(error: Exception) -> bool:
    """Return whether an error is what an exchange that is well answers: it refuses this one thing."""
    known = errors()
    return isinstance(error, known.BaseError) and order_verdict(error, known) == "skip"


def says_banned(error: Exception) -> bool:
    """Return whether the exchange answered 418: banned, where 429 only asks for fewer requests."""
    return isinstance(error, errors().DDoSProtection) and re.search(r"\s418\s", str(error)) is not None


def read_again(error: Exception, known: Any) -> bool:
    """Return whether a question that failed so may be asked again at once.

    Not after a time-out, which took its time already, nor when the exchange asks for fewer requests.
    """
    if isinstance(error, (known.RequestTimeout, known.DDoSProtection, known.RateLimitExceeded)):
        return False
    return isinstance(error, (known.NetworkError, known.BadResponse))


def sentence(exchange: str, what: str, error: Exception, known: Any, seconds: int) -> str:
    """Return what to tell a person of a question that was not answered."""
    if isinstance(error, known.RequestTimeout):
        return f"{exchange}: no answer about {what} within {seconds} s; the next tick tries again"
    if isinstance(error, (known.DDoSProtection, known.RateLimitExceeded)):
        return f"{exchange}: refused to answer about {what}, too many requests; wait before the next tick"
    if isinstance(error, known.OnMaintenance):
        return f"{exchange}: under maintenance, no {what}; the next tick tries again"
    if isinstance(error, known.InvalidNonce):
        return f"{exchange}: refused to answer about {what}: the request's time is outside its window"
    if isinstance(error, known.NetworkError):
        return f"{exchange}: cannot be reached, no {what} ({scrubbed(error)}). Check the network and base_url"
    if isinstance(error, known.AuthenticationError):
        return (
            f"{exchange}: refused to answer about {what} ({type(error).__name__}: {scrubbed(error)}). "
            "Check the API key, its rights and its IP restriction"
        )
    return f"{exchange}: refused to answer about {what} ({type(error).__name__}: {scrubbed(error)})"


def scrubbed(error: Exception) -> str:
    """Return an error's text without anything behind a question mark, where signed requests keep secrets."""
    text = re.sub(r"\?\S*", "", " ".join(str(error).split()))
    text = re.sub(r"(?i)(signature|apikey|api-key|secret|x-mbx-apikey)\W+\S+", r"\1 ***", text)
    return text if len(text) <= _MAX_DETAIL else text[: _MAX_DETAIL - 3] + "..."
