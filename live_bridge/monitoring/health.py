"""Is the bridge well? Checks of exchange, clock, data, disk and journal, as found against expected."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import polars as pl

from lab.core.errors import MnemoError
from lab.data.discovery import MAX_AGE, known_discovery
from lab.strategies import Portfolio, load_portfolio
from live_bridge.backup import restored_since
from live_bridge.config import LoadedConfig
from live_bridge.exchange import MarketData
from live_bridge.history import check_history, load_state
from live_bridge.journal import Journal
from live_bridge.series import StoredSeries, fetch_series
from live_bridge.state import BridgeState
from live_bridge.switches import require_discovery

__all__ = ["Check", "check_health", "health_document"]

CLOCK_SECONDS: Final = 2.0
DISK_FREE: Final = 0.10
# A tick may come this much after its bar's close, beside one bar of the timeframe.
GRACE: Final = timedelta(minutes=10)
_MODES: Final = ("NORMAL", "REDUCE_ONLY", "HALTED")


@dataclass(frozen=True, slots=True)
class Check:
    """One look: what was found, what was expected, and whether that is well."""

    name: str
    ok: bool
    found: str
    expected: str


def check_health(
    loaded: LoadedConfig, *, connect: Callable[[], MarketData], local_now: Callable[[], datetime]
) -> list[Check]:
    """Look at everything a tick depends on; nothing is written and nothing raised.

    Parameters
    ----------
    loaded : LoadedConfig
    connect : callable
        Makes the exchange.
    local_now : callable
        This machine's time, UTC.
    """
    exchange, now = _exchange(connect, local_now)
    checks = [*exchange, _disk(loaded.state), _folder(loaded.state)]
    try:
        portfolio = load_portfolio(loaded.portfolio)
    except MnemoError as error:
        return [*checks, Check("portfolio", False, str(error), "a portfolio that loads")]
    checks += _journal(loaded, portfolio, now or local_now())
    checks += _discovery(loaded, portfolio, now or local_now())
    checks += _series(loaded, portfolio, now or local_now())
    return checks


def health_document(checks: list[Check]) -> dict[str, Any]:
    """Return the document of ``live-bridge health --json``: ``healthy`` and ``checks[]``."""
    return {"healthy": all(check.ok for check in checks), "checks": [asdict(check) for check in checks]}


def _exchange(
    connect: Callable[[], MarketData], local_now: Callable[[], datetime]
) -> tuple[list[Check], datetime | None]:
    try:
        before = local_now()
        now = connect().now()
        after = local_now()
    except MnemoError as error:
        return [Check("exchange", False, str(error), "an answer")], None
    seconds = (after - before).total_seconds()
    # The answer was made somewhere between the two looks at the local clock.
    skew = max((before - now).total_seconds(), (now - after).total_seconds(), 0.0)
    return [
        Check("exchange", True, f"answered in {seconds:.2f} s", "an answer"),
        Check("clock", skew <= CLOCK_SECONDS, f"{skew:.2f} s apart", f"at most {CLOCK_SECONDS:g} s"),
    ], now


def _disk(state: Path) -> Check:
    folder = next(parent for parent in state.parents if parent.exists())
    usage = shutil.disk_usage(folder)
    free = usage.free / usage.total
    return Check("disk", free >= DISK_FREE, f"{free:.0%} free", f"at least {DISK_FREE:.0%}")


def _folder(state: Path) -> Check:
    folder = next(parent for parent in state.parents if parent.exists())
    writable = os.access(folder, os.W_OK)
    return Check("state folder", writable, "writable" if writable else "not writable", "writable")


def _journal(loaded: LoadedConfig, portfolio: Portfolio, now: datetime) -> Iterator[Check]:
    if not loaded.state.is_file():
        yield Check("journal", False, "none yet", "a journal; 'live-bridge run' starts one")
        return
    try:
        with Journal(
            loaded.state, account=loaded.settings.account, portfolio=portfolio.portfolio_id
        ) as journal:
            events = check_history(journal)
            state = load_state(journal)
            witness = restored_since(journal)
    except MnemoError as error:
        yield Check("journal", False, str(error), "an unbroken chain")
        return
    yield Check("journal", True, f"{events} events, chain intact", "an unbroken chain")
    found = "in its place" if witness is None else f"ends before event {witness.number}, seen earlier"
    yield Check("journal age", witness is None, found, "not older than what was seen before")
    if state is not None:
        yield from _state(state, portfolio, now)


def _state(state: BridgeState, portfolio: Portfolio, now: datetime) -> Iterator[Check]:
    mode = _MODES[state.risk.mode]
    yield Check("risk mode", mode == "NORMAL", mode, "NORMAL")
    open_tick = state.open_tick
    found = "none" if open_tick is None else f"{open_tick.tick} with {len(open_tick.pending)} orders"
    yield Check("unfinished tick", open_tick is None, found, "none; the next run settles it")
    for instance in portfolio.instances:
        allowed = instance.timeframe.duration + GRACE
        decided = state.decided.get(instance.strategy_id)
        if decided is None:
            yield Check(f"data of {instance.strategy_id}", False, "never decided", "a decision")
            continue
        age = now - decided.closed
        yield Check(
            f"data of {instance.strategy_id}",
            age <= allowed,
            f"last bar closed {_words(age)} ago",
            f"at most {_words(allowed)}",
        )


def _discovery(loaded: LoadedConfig, portfolio: Portfolio, now: datetime) -> Iterator[Check]:
    if loaded.settings.mode != "live":
        return
    expected = f"one of the last {MAX_AGE} that lists what is traded"
    try:
        require_discovery(loaded.root, portfolio, loaded.settings, now)
    except MnemoError as error:
        yield Check("discovery", False, str(error), expected)
        return
    found = known_discovery(loaded.root, loaded.settings.exchange.id, now)
    text = "none needed on this machine" if found is None else f"of {found.visit.time:%Y-%m-%d %H:%M}Z"
    yield Check("discovery", True, text, expected)


def _series(loaded: LoadedConfig, portfolio: Portfolio, now: datetime) -> Iterator[Check]:
    answers = fetch_series(StoredSeries(loaded.root), portfolio, now, context=loaded.quality.context_bars)
    for instance in portfolio.instances:
        for config in instance.config.series:
            answer, name = answers[config.name], f"series {config.name} of {instance.strategy_id}"
            expected = f"a value of at most {config.max_age_days:g} days ago"
            if instance.strategy_id in answer.problems:
                yield Check(name, False, answer.problems[instance.strategy_id], expected)
                continue
            newest = answer.rows.group_by("subject").agg(pl.col("ts").max())["ts"].min()
            fresh = isinstance(newest, datetime) and now - newest <= timedelta(days=config.max_age_days)
            found = f"newest of {newest:%Y-%m-%d %H:%M}Z" if isinstance(newest, datetime) else "none so young"
            yield Check(name, fresh, found, expected)


def _words(age: timedelta) -> str:
    minutes = int(age.total_seconds() // 60)
    days, rest = divmod(minutes, 1_440)
    return f"{days} d {rest // 60} h {rest % 60} min" if days else f"{rest // 60} h {rest % 60} min"
