"""What a search may propose for a parameter."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lab.core.errors import ConfigError

__all__ = ["Choice", "Dimension", "Range"]

Number = int | float


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Integers when both ends and the step are integers (the step is then 1 by default), floats otherwise.

    Parameters
    ----------
    low, high : int or float
        Ends; `low` is not above `high`.
    step : int or float, optional
        Distance between neighbouring values; `high` is a whole number of steps from `low`. Without one, a
        float range is continuous.
    log : bool
        Whether a sampler should draw uniformly in the logarithm; excludes a step and ends at or below 0.

    Examples
    --------
    >>> Range(20, 60, step=20).values()
    (20, 40, 60)
    >>> Range(0.0, 1.0).is_integer
    False
    """

    low: Number
    high: Number
    step: Number | None = None
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ConfigError(f"range {self.low} to {self.high}: expected the lower end first")
        if self.step is not None and not self.step > 0:
            raise ConfigError(f"range {self.low} to {self.high}: step {self.step}, expected above 0")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ConfigError(
                f"range {self.low} to {self.high}: log needs ends above 0 and no step; found step {self.step}"
            )
        if self.step is not None:
            steps = (self.high - self.low) / self.step
            if not math.isclose(steps, round(steps), abs_tol=1e-9):
                raise ConfigError(
                    f"range {self.low} to {self.high}: not a whole number of steps of {self.step}"
                )

    @property
    def is_integer(self) -> bool:
        """Whether every value is an integer."""
        return all(isinstance(part, int) for part in (self.low, self.high, self.step or 1))

    def values(self) -> tuple[Number, ...]:
        """Return every value in ascending order.

        Raises
        ------
        ConfigError
            If the range is continuous.
        """
        step = 1 if self.step is None and self.is_integer else self.step
        if step is None:
            raise ConfigError(f"range {self.low} to {self.high} is continuous; give it a step to list values")
        steps = round((self.high - self.low) / step)
        return tuple(self.low + index * step for index in range(steps + 1))


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few numbers.

    Examples
    --------
    >>> Choice((1, 7, 30)).values()
    (1, 7, 30)
    """

    options: tuple[Number, ...]

    def __post_init__(self) -> None:
        if not self.options or len(set(self.options)) != len(self.options):
            raise ConfigError(f"choice {self.options}: expected at least one option, each once")

    def values(self) -> tuple[Number, ...]:
        """Return the options in their order."""
        return self.options


Dimension = Range | Choice
