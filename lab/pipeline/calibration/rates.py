"""A rate that was counted, and how far the true one may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

__all__ = ["Rate"]

_CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Rate:
    """So many of so many.

    Parameters
    ----------
    count, total : int

    References
    ----------
    .. [1] Clopper, Pearson (1934), The use of confidence or fiducial limits illustrated in the case of the
       binomial. Exact: each bound alone holds with at least 95 %.

    Examples
    --------
    >>> rate = Rate(0, 400)
    >>> rate.share, rate.lower, round(rate.upper, 5)
    (0.0, 0.0, 0.00746)
    """

    count: int
    total: int

    @property
    def share(self) -> float:
        """The rate as counted."""
        return self.count / self.total

    @property
    def lower(self) -> float:
        """What the true rate is above, with 95 % confidence."""
        from scipy.stats import beta

        if self.count == 0:
            return 0.0
        return float(beta.ppf(1.0 - _CONFIDENCE, self.count, self.total - self.count + 1))

    @property
    def upper(self) -> float:
        """What the true rate is below, with 95 % confidence."""
        from scipy.stats import beta

        if self.count == self.total:
            return 1.0
        return float(beta.ppf(_CONFIDENCE, self.count + 1, self.total - self.count))

    def document(self) -> dict[str, Any]:
        """Return the rate as JSON values."""
        return {
            "count": self.count,
            "worlds": self.total,
            "rate": self.share,
            "lower_95": self.lower,
            "upper_95": self.upper,
        }
