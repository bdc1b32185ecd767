"""The journal and what it adds up to, kept in step: whoever writes an event moves the state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from live_bridge.history import apply
from live_bridge.journal import Draft, Journal
from live_bridge.monitoring.catalogue import Incident
from live_bridge.state import BridgeState, OpenTick

__all__ = ["Book"]


class Book:
    """An open journal with its state.

    Parameters
    ----------
    journal : Journal
        Held under the lock.
    state : BridgeState
        What it adds up to.
    time : callable
        Exchange time, which events are written with.

    Attributes
    ----------
    incidents : list of Incident
        Those of this run, in their order; each is in the journal too.
    """

    def __init__(self, journal: Journal, state: BridgeState, time: Callable[[], datetime]) -> None:
        self.journal, self.state, self.time = journal, state, time
        self.incidents: list[Incident] = []

    def append(self, drafts: Sequence[Draft], *, tick: str | None = None) -> None:
        """Write events, all or none; they belong to the open tick unless another is named."""
        if not drafts:
            return
        name = self._tick() if tick is None else tick
        for event in self.journal.append(drafts, at=self.time(), tick=name):
            self.state = apply(self.state, event)

    def incident(self, code: str, detail: str, symbol: str = "") -> Draft:
        """Note an incident for the run's report, and return the event that records it."""
        found = Incident(code, detail, symbol)
        self.incidents.append(found)
        return Draft("INCIDENT", found.document())

    @property
    def open_tick(self) -> OpenTick | None:
        """The tick whose orders are not all settled."""
        return self.state.open_tick

    def _tick(self) -> str:
        return self.state.open_tick.tick if self.state.open_tick is not None else ""
