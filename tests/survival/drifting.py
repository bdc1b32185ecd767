"""The ways in which account and journal come to differ."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.oracle.bridge_faults import balances
from tests.oracle.bridge_process import dying_at
from tests.oracle.live_account import account
from tests.survival.stage import Stage

__all__ = ["COINS", "KINDS", "Met", "Scene"]

COINS = ("BTC", "ETH", "LTC")
RESTING = "type: limit, limit_offset_bps: 50, limit_timeout_s: {seconds}, replacements: 1"
# How many waits pass before the exchange acts on an order that rests.
_WAITS = 2


@dataclass(frozen=True, slots=True)
class Met:
    """What the journal must name, and how many orders were placed behind its back."""

    events: tuple[str, ...]
    orphans: int = 0


@dataclass(frozen=True, slots=True)
class Scene:
    """A case before anything went wrong."""

    stage: Stage
    root: Path
    draw: random.Random
    adopt: bool

    def tick(self, **options: Any) -> None:
        """Run a tick that must end well."""
        ended = self.stage.run(self.stage.tick(self.root, **options))
        assert ended.code == 0, ended.error

    def configure(self, **options: Any) -> None:
        """Write the bridge's files."""
        self.stage.configure(**options)
        if not self.adopt:
            path = self.stage.config
            path.write_text(path.read_text().replace("adopt: true", "adopt: false"))

    def held(self) -> dict[str, Decimal]:
        """Return the coins that the account holds."""
        return {
            name: total for name, total in balances(self.stage.state()).items() if name in COINS and total
        }

    def own(self) -> list[str]:
        """Return those that are the portfolio's: without `adopt` what was there at the start is not."""
        return sorted(name for name in self.held() if self.adopt or name != "BTC")


def orphan(scene: Scene) -> Met:
    """Place orders under the portfolio's prefix, and forget them: some filled, one resting."""
    scene.tick()
    coin, rests = scene.draw.choice(scene.own()), scene.draw.random() < 0.5
    shares = [scene.draw.uniform(0.1, 0.3) for _ in range(scene.draw.randint(1, 3))]
    placed = scene.stage.run(lambda: _forgotten(scene.stage.config, f"{coin}/USD", shares, rests=rests))
    assert placed.code == 0, placed.error
    for resting in _open(scene.stage):
        _act(scene.stage, resting, "fill", 0.5)
    return Met(("RECOVERED_ORPHAN",), len(shares))


def phantom(scene: Scene) -> Met:
    """Take away a part of one coin, or all of it."""
    scene.tick()
    coin = scene.draw.choice(scene.own())
    share = scene.draw.choice((Decimal(1), Decimal(str(round(scene.draw.uniform(0.3, 0.9), 3)))))
    gone = (scene.held()[coin] * share).quantize(Decimal("1e-8"))
    scene.stage.control("balances", add={coin: f"{-gone:f}"})
    return Met(("PHANTOM",))


def foreign(scene: Scene) -> Met:
    """Let coins come in that nobody ordered; some leave again."""
    scene.tick()
    coin, amount = scene.draw.choice((*COINS, "USD")), round(scene.draw.uniform(1, 50), 8)
    scene.stage.control("balances", add={coin: f"{amount:.8f}"})
    scene.tick()
    scene.stage.control("balances", add={coin: f"-{amount / 2:.8f}"})
    return Met(("FOREIGN or ADOPTED",))


def partial(scene: Scene) -> Met:
    """Fill a part of an order that rests; it is cancelled and replaced."""
    scene.configure(orders=RESTING.format(seconds=3), settle=300.0)
    scene.tick(pause=_acting(scene.stage, [("fill", scene.draw.uniform(0.2, 0.8))]))
    return Met(("SETTLED CANCELED",))


def expired(scene: Scene) -> Met:
    """Let market orders meet a book too thin for them, or a part-filled order that rests expire."""
    if scene.draw.random() < 0.5:
        quantity = f"{scene.draw.uniform(0.02, 0.2):.3f}"
        scene.stage.control("venue", levels=scene.draw.randint(1, 3), level_quantity=quantity)
        scene.tick()
        scene.stage.control("venue", levels=1, level_quantity=None)
    else:
        scene.configure(orders=RESTING.format(seconds=1_000), settle=300.0)
        scene.tick(
            pause=_acting(scene.stage, [("fill", scene.draw.uniform(0.2, 0.8)), ("expire", 0.0)], every=True)
        )
    return Met(("INCIDENT EXPIRED_WITH_FILLS",))


def cancelled(scene: Scene) -> Met:
    """Let the exchange cancel orders that rest, some after a part of them was filled."""
    scene.configure(orders=RESTING.format(seconds=1_000), settle=300.0)
    acts: list[tuple[str, float]] = [("cancel", 0.0)]
    if scene.draw.random() < 0.5:
        acts.insert(0, ("fill", scene.draw.uniform(0.2, 0.8)))
    scene.tick(pause=_acting(scene.stage, acts, every=True))
    return Met(("INCIDENT EXTERNAL_CANCEL",))


def missing(scene: Scene) -> Met:
    """Lose an order on its way, or the process that had just written that it sends it."""
    nth = scene.draw.randint(1, 2)
    if scene.draw.random() < 0.5:
        lost = {"kind": "drop", "when": "before", "method": "POST", "path": "/api/v3/order", "nth": nth}
        scene.stage.control("fault", faults=[lost])
    else:
        doomed = dying_at(scene.stage.tick(scene.root), "before POST /api/v3/order", nth)
        assert scene.stage.run(doomed).code == -9
    scene.tick()
    scene.stage.control("fault", clear=True)
    return Met(("SETTLED NOT_PLACED",))


def dust(scene: Scene) -> Met:
    """Let balances drift by less than any order could move, up and down."""
    scene.tick()
    held = scene.held()
    for _ in range(scene.draw.randint(2, 4)):
        coin = scene.draw.choice(sorted(held))
        amount = scene.draw.randint(2, 5_000) * scene.draw.choice((1, -1))
        scene.stage.control("balances", add={coin: f"{Decimal(amount).scaleb(-8):f}"})
    scene.stage.control("balances", add={"USD": "0.00000003"})
    return Met(("FOREIGN or ADOPTED",))


KINDS: dict[str, Callable[[Scene], Met]] = {
    "orphan": orphan,
    "phantom": phantom,
    "foreign": foreign,
    "partial": partial,
    "expired with fills": expired,
    "cancelled by the exchange": cancelled,
    "missing order": missing,
    "dust": dust,
}


def _open(stage: Stage) -> list[dict[str, Any]]:
    state = stage.state()
    return [order for order in state["orders"] if order["orderId"] in set(state["open_orders"])]


def _act(stage: Stage, order: dict[str, Any], action: str, share: float) -> None:
    """Let the exchange act on an order that rests; `share` of its quantity is filled."""
    more = {}
    if action == "fill":
        quantity = Decimal(order["origQty"]) * Decimal(str(round(share, 3)))
        more = {"quantity": f"{max(quantity.quantize(Decimal('0.001')), Decimal('0.001')):f}"}
    stage.control("order", order_id=order["orderId"], action=action, **more)


def _acting(
    stage: Stage, acts: Sequence[tuple[str, float]], *, every: bool = False
) -> Callable[[float], None]:
    """Return a wait during which the exchange acts on what rests: on the first order, or on every one."""
    done: set[int] = set()
    waits = Counter[int]()

    def pause(_: float) -> None:
        for order in _open(stage):
            number = order["orderId"]
            waits[number] += 1
            if number not in done and waits[number] >= _WAITS and (every or not done):
                done.add(number)
                for action, share in acts:
                    _act(stage, order, action, share)

    return pause


def _forgotten(
    config: Path, symbol: str, shares: Sequence[float], *, rests: bool
) -> tuple[dict[str, Any], int]:
    """Sell shares of what is held under the portfolio's prefix, and tell nobody; the last may rest."""
    from live_bridge.exchange import Order
    from live_bridge.order_ids import own_prefix

    seller = account(config)
    rules, price = seller.rules([symbol])[symbol], seller.prices([symbol])[symbol]
    total = seller.balances().total[symbol.partition("/")[0]]
    for number, share in enumerate(shares):
        quantity = (total * Decimal(str(share))) // rules.step * rules.step
        order = Order(f"{own_prefix('main', 'trio')}lost{number}", symbol, "sell", quantity, price)
        if rests and number == len(shares) - 1:
            order = replace(order, kind="limit", limit=price * 3 / 2 // rules.tick * rules.tick)
        seller.submit(order, sent_ms=seller.server_time_ms())
    return {}, 0
