"""The errors a user can meet, and the exit code each one maps to.

::

    MnemoError                      1  a check failed
    ├── WeightError                 1  a strategy returned weights that no portfolio can hold
    ├── ConfigError                 2  a file or option the user wrote is wrong
    ├── DataError                   3  bars are missing, broken or not what was asked for
    │   ├── FrameError              3  a frame does not have the columns, types or order it must have
    │   ├── UnknownMarketError      3  no stored bars carry that market's name
    │   └── InsufficientHistoryError 3 fewer bars than the declared lookback
    ├── VenueError                  4  the exchange refused, failed or answered nonsense
    ├── HaltedError                 5  risk halted trading; a person must resume it
    └── LockedError                75  another run holds the lock

Every message says what was found, what was expected and what to do. Each class also inherits the
built-in exception a caller would expect, so that library users need not know this module.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "ConfigError",
    "DataError",
    "FrameError",
    "HaltedError",
    "InsufficientHistoryError",
    "LockedError",
    "MnemoError",
    "UnknownMarketError",
    "VenueError",
    "WeightError",
]


class MnemoError(Exception):
    """Base of every error that is the user's to fix; the command line prints it without a traceback."""

    exit_code: ClassVar[int] = 1


class WeightError(MnemoError, ValueError):
    """Target weights are infinite, negative, above one, or sum to more than one."""


class ConfigError(MnemoError, ValueError):
    """A configuration file, option or name is wrong; nothing was run."""

    exit_code: ClassVar[int] = 2


class DataError(MnemoError, ValueError):
    """Market data is missing, unreadable or contradicts itself."""

    exit_code: ClassVar[int] = 3


class FrameError(DataError):
    """A frame lacks a column, has a wrong type, repeats a row or is off the timeframe's grid."""


class UnknownMarketError(DataError, LookupError):
    """No stored bars carry the market's name; the message lists the nearest names."""


class InsufficientHistoryError(DataError):
    """There are fewer bars than the strategy declared it needs."""


class VenueError(MnemoError, RuntimeError):
    """The exchange refused a request, failed, or gave an answer that makes no sense."""

    exit_code: ClassVar[int] = 4


class HaltedError(MnemoError, RuntimeError):
    """Trading is halted by risk; only a person's command leaves this state."""

    exit_code: ClassVar[int] = 5


class LockedError(MnemoError, RuntimeError):
    """Another run holds the lock; nothing was changed."""

    exit_code: ClassVar[int] = 75
