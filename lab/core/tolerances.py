"""How far two numbers that should be equal may be apart, by name: each is said once, here."""

from __future__ import annotations

from typing import Final

__all__ = ["ENGINE_TOLERANCE"]

ENGINE_TOLERANCE: Final = 1e-9
"""Largest difference of equity, relative, between two engines that keep the same accounts: rounding."""
