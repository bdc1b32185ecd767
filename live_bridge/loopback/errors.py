"""Binance's refusals: error code, message and HTTP status."""

from __future__ import annotations

__all__ = ["RefusedError"]


class RefusedError(Exception):
    """The exchange refuses a request; the state is as before it.

    Parameters
    ----------
    code : int
        Binance's error code, negative.
    message : str
        Binance's text for it, which CCXT matches.
    status : int
        HTTP status.
    """

    def __init__(self, code: int, message: str, *, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status

    @classmethod
    def filter_failure(cls, name: str) -> RefusedError:
        """Return the refusal of an order that fails the symbol's filter `name`."""
        return cls(-1013, f"Filter failure: {name}")

    @classmethod
    def missing(cls, parameter: str) -> RefusedError:
        """Return the refusal of a request that lacks a parameter."""
        return cls(-1102, f"Mandatory parameter '{parameter}' was not sent, was empty/null, or malformed.")
