"""Point a CCXT class at another host: the lab's recipe, which downloads use too."""

from __future__ import annotations

from lab.data.venues import ccxt_options

__all__ = ["ccxt_options"]
