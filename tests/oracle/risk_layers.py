"""All layers of risk in plain Python, one rule, one market and one instance at a time.

Nothing here is shared with the package. A rulebook is plain dictionaries; dates are dates; None keeps. 1e-9
(no order and no holding is smaller) and 1e-12 (what sums of weights are uncertain by) are part of the rules.
"""

from __future__ import annotations

import math
from typing import Any

from tests.oracle.risk import affordable, capped, small
from tests.oracle.risk_memory import Memory, Rulebook, Seen, strictest

__all__ = ["Account", "Rulebook", "Seen"]

NOBODY = "nobody"


class Account(Memory):
    """An account under a rulebook; `step` moves its memory on."""

    def step(self, seen: Seen) -> tuple[list[float | None], list[set[str]]]:
        if seen.day != self.day:
            self.day, self.day_start = seen.day, seen.equity
            self.mode = "HALTED" if self.mode == "HALTED" else "NORMAL"
        self.revalue(seen)
        actions = self.breakers(seen)
        stop, entry = self.account_mode(seen, actions)
        for market in range(self.markets):
            if not math.isnan(seen.trouble[market]) and seen.trouble[market] >= 3:
                self.banned.add(market)
        kept = {m for m, w in enumerate(seen.target) if math.isnan(w) or not seen.tradeable[m]}
        noted: dict[int, set[str]] = {}
        while True:
            wanted, why, cells, asked = self._pass(seen, kept, noted, actions, stop, entry)
            more = {
                m
                for m in range(self.markets)
                if m not in kept and wanted[m] is None and asked[m] < seen.weights[m]
            }
            if not more:
                break
            for market in more:
                kept.add(market)
                noted[market] = why[market]
        for market in range(self.markets):
            total = sum(row[market] for row in cells.values())
            if market not in kept and total > 0:
                for name in self.book.instances:
                    self.share[name][market] = cells[name][market] / total
        return affordable(wanted, seen.weights, self.book.figures, why), why

    def _pass(self, seen, kept, noted, actions, stop, entry):
        why: list[set[str]] = [set() for _ in range(self.markets)]
        cells, held = self._cells(seen, kept)
        before = [sum(row[m] for row in cells.values()) for m in range(self.markets)]
        self._cut(kept, cells, held, actions, why)
        asked: list[float] = []
        for market, target in enumerate(seen.target):
            if market in noted:
                asked.append(math.nan)
            elif why[market]:
                left = sum(row[market] for row in cells.values())
                weight = target * min(left / before[market], 1.0)
                now = seen.weights[market]
                asked.append(now if abs(weight - now) <= 1e-12 else weight)
            else:
                asked.append(target)
        wanted = capped(asked, seen.weights, seen.tradeable, self.book.figures, why)
        self._market_rules(seen, wanted, why, stop, entry)
        for market, weight in enumerate(wanted):
            if (
                weight is not None
                and weight > 0
                and small(market, weight, seen.weights, self.book.figures, why)
            ):
                wanted[market] = None
        for market, reasons in noted.items():
            why[market] = set(reasons)
        return wanted, why, cells, asked

    def _cells(self, seen: Seen, kept: set[int]):
        names = [*self.book.instances, NOBODY]
        cells = {name: [0.0] * self.markets for name in names}
        held = {name: [0.0] * self.markets for name in names}
        for market in range(self.markets):
            rest = seen.weights[market]
            for name in self.book.instances:
                held[name][market] = self.share[name][market] * seen.weights[market]
                rest -= held[name][market]
            held[NOBODY][market] = rest
            if market in kept:
                continue
            target = seen.target[market]
            own = {}
            for name in self.book.instances:
                part = seen.parts[name][market]
                own[name] = self.share[name][market] * target if math.isnan(part) else max(part, 0.0)
            total = sum(own.values())
            for name, part in own.items():
                cells[name][market] = part * max(target, 0.0) / total if total > target else part
            if total <= target and target - total > 1e-12:
                cells[NOBODY][market] = target - total
        return cells, held

    def _cut(self, kept, cells, held, actions, why) -> None:
        scopes = [(("instance", n), {n}) for n in self.book.instances]
        for family in self.book.families:
            members = {n for n, one in self.book.instances.items() if one["family"] == family}
            scopes.append((("family", family), members))
        for scope, members in scopes:
            self._stop(members, actions.get(scope, []), kept, cells, held, why)
            table = self.book.instances if scope[0] == "instance" else self.book.families
            self._count(members, table[scope[1]]["most"], kept, cells, held, why)
        for scope, members in scopes:
            table = self.book.instances if scope[0] == "instance" else self.book.families
            reason = f"{scope[0].upper()}_CAP"
            everywhere = set(range(self.markets))
            self._serve(members, everywhere, table[scope[1]]["cap"], reason, kept, cells, held, why)
        for kind in ("asset", "exchange", "currency"):
            for own, inside, cap in self.book.groups:
                if own == kind and cap < 1:
                    reason = f"{kind.upper()}_CAP"
                    self._serve(set(cells), inside, cap, reason, kept, cells, held, why)

    def _stop(self, members, tripped, kept, cells, held, why) -> None:
        action = strictest(tripped)
        reasons = {reason for own, reason in tripped if own == action}
        for name in members:
            for market in range(self.markets):
                now, part = held[name][market], cells[name][market]
                if not tripped or market in kept or part <= 0 or part <= now:
                    continue
                if action != "no_entries":
                    cells[name][market] = max(now, 0.0)
                    why[market] |= reasons
                elif now <= 1e-9:
                    cells[name][market] = 0.0
                    why[market] |= reasons | {"NO_ENTRY"}

    def _count(self, members, most, kept, cells, held, why) -> None:
        if most is None:
            return
        now = [sum(held[n][m] for n in members) for m in range(self.markets)]
        then = [sum(cells[n][m] for n in members) for m in range(self.markets)]
        for market in too_many(most, now, then, kept):
            why[market].add("POSITIONS")
            for name in members:
                cells[name][market] = 0.0

    def _serve(self, members, inside, cap, reason, kept, cells, held, why) -> None:
        room = cap - sum(held[n][m] for n in members for m in inside if m in kept)
        if sum(cells[n][m] for n in members for m in inside) <= room + 1e-12:
            return
        room = room if room > 1e-12 else 0.0
        last = math.inf
        ranks = sorted({self.book.instances[n]["priority"] if n != NOBODY else last for n in members})
        for rank in ranks:
            own = [
                n for n in members if (last if n == NOBODY else self.book.instances[n]["priority"]) == rank
            ]
            asked = sum(cells[n][m] for n in own for m in inside)
            if asked > room:
                for name in own:
                    for market in inside:
                        if cells[name][market] > 0:
                            cells[name][market] *= room / asked
                            why[market].add(reason)
            room = max(room - asked, 0.0)

    def _market_rules(self, seen: Seen, wanted, why, stop, entry) -> None:
        for market, weight in enumerate(wanted):
            now = seen.weights[market]
            code = seen.trouble[market]
            if market in self.banned:
                trouble = {"EXCHANGE_HEALTH", "HALTED"}
            elif code == 0:
                trouble = set()
            else:
                trouble = {"EXCHANGE_HEALTH"} if code == 2 else {"DATA"}
            for reasons in (stop, trouble):
                if reasons and wanted[market] is not None and weight > 0 and weight > now:
                    wanted[market] = None
                    why[market] |= reasons
            if entry and wanted[market] is not None and weight > 0 and now <= 1e-9:
                wanted[market] = None
                why[market] |= entry | {"NO_ENTRY"}
            if wanted[market] is not None and wanted[market] > now:
                self._size(seen, market, wanted, why)
        most = self.book.max_positions
        if most is not None:
            keeps = {m for m, w in enumerate(wanted) if w is None}
            then = [0.0 if w is None else w for w in wanted]
            for market in too_many(most, seen.weights, then, keeps):
                wanted[market] = None
                why[market].add("POSITIONS")

    def _size(self, seen: Seen, market, wanted, why) -> None:
        now, buy = seen.weights[market], wanted[market] - seen.weights[market]
        if self.book.trade_risk is not None:
            away = seen.volatility[market]
            away = 1.0 if math.isnan(away) or away < 0 else away
            if buy * away > self.book.trade_risk + 1e-12:
                buy = self.book.trade_risk / away
                why[market].add("TRADE_RISK")
                wanted[market] = now + buy
        if self.book.volume_share is not None:
            traded = seen.volume[market]
            most = self.book.volume_share * traded / seen.equity if traded > 0 and seen.equity > 0 else 0.0
            if buy > most + 1e-12:
                why[market].add("VOLUME")
                wanted[market] = now + most


def too_many(most: float, now: list[float], then: list[float], kept: set[int]) -> set[int]:
    """Return the entries to refuse: the largest go in first, of equal ones the earlier market."""
    stays = [m for m in range(len(now)) if now[m] > 1e-9 and (m in kept or then[m] > 1e-9)]
    entries = [m for m in range(len(now)) if m not in kept and now[m] <= 1e-9 and then[m] > 1e-9]
    for _ in range(max(int(most - len(stays)), 0)):
        best = None
        for market in entries:
            if best is None or then[market] > then[best] + 1e-12:
                best = market
        entries = [market for market in entries if market != best]
    return set(entries)


def layered_risk(
    book: Rulebook,
    capital: float,
    days: list[int],
    watch: list[list[list[float]]],
    parts: list[Any],
    lag: int,
) -> Any:
    """Return the row-loop risk step for the row-loop engine.

    `watch` has rows of volatilities, volumes and troubles, `parts` rows of each instance's, all as known at
    the close of each bar.
    """
    account: list[Account] = []

    def permit(bar, target, value, held, tradeable, marks):
        if not account:
            account.append(Account(book, len(target), capital))
        decided = bar - lag
        own = dict(zip(book.instances, parts[decided], strict=True))
        seen = Seen(target, value, held, tradeable, days[bar], marks, *watch[decided], own)
        permitted, _ = account[0].step(seen)
        return [math.nan if weight is None else weight for weight in permitted]

    return permit
