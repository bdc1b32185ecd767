"""How others lost money: an unclear order is sent again under its old id. The suite must catch it."""

from __future__ import annotations

from dataclasses import replace

from live_bridge.exchange import UnclearError
from live_bridge.journal import Draft
from live_bridge.sending import Sender
from live_bridge.state import Working

__all__ = ["NaiveSender"]

_TRIES = 3


class NaiveSender(Sender):
    """Believes that a client order id makes it safe to send an order again."""

    def settle_sent(self) -> None:
        """Send again whatever was sent before."""
        for working in self._pending():
            if working.status != "PLANNED":
                self._post(working)

    def _post(self, working: Working) -> None:
        order = working.order
        for _ in range(_TRIES):
            try:
                report = self.account.submit(order, sent_ms=self.clock.ask())
            except UnclearError:
                continue
            body = {
                "order": order.id,
                "answer": "ACCEPTED",
                "exchange_id": report.id,
                "status": "",
                "error": "",
            }
            self.book.append([Draft("ANSWERED", body)])
            self.settler.settle(replace(working, status="ACCEPTED"), first=report)
            return
        super()._post(working)
