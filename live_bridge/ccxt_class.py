"""Load one exchange class of CCXT without the hundred others: the lab's way, which downloads use too."""

from __future__ import annotations

from lab.data.venues import errors, exchange_class

__all__ = ["errors", "exchange_class"]
