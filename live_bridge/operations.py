"""What a person tells the bridge beside its ticks: compare, halt, resume, sell everything."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lab.core.errors import ConfigError, DataError
from lab.strategies import load_portfolio
from live_bridge.bans import heeded
from live_bridge.book import Book
from live_bridge.config import LoadedConfig, load_config
from live_bridge.documents import order_document
from live_bridge.history import HALTED, load_state
from live_bridge.journal import Draft, Journal
from live_bridge.orders import Placing, Target, plan_orders
from live_bridge.permission import account_at, held_symbols, traded_symbols
from live_bridge.report import run_document
from live_bridge.runner import exclusive
from live_bridge.session import Connect, Session
from live_bridge.tick import close_tick

__all__ = ["flatten", "halt", "reconcile", "resume"]

_LONGEST_TICK_S = 60.0
_FLATTEN_LASTS = timedelta(hours=1)
_UNSOLD = (
    ", nothing was sold and nothing is halted: say 'live-bridge halt', which asks no exchange, and flatten "
    "again then"
)


def halt(
    config: Path, *, root: Path, by: str, reason: str, environment: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], int]:
    """Stop deciding and ordering until :func:`resume`; asks no exchange, so that it works when nothing does.

    Parameters
    ----------
    config, root : pathlib.Path
        ``bridge.yaml``, and the folder that holds ``data/``.
    by, reason : str
        Who, and why; both are kept.
    """
    loaded = _loaded(config, root, environment)
    return _told(loaded, "HALTED", by, reason, f"HALTED by {by}: {reason}")


def resume(
    config: Path, *, root: Path, by: str, reason: str, environment: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], int]:
    """Let the bridge decide and order again, and begin the breakers' day anew.

    Raises
    ------
    ConfigError
        If it is not halted.
    """
    loaded = _loaded(config, root, environment)
    return _told(loaded, "RESUMED", by, reason, f"RESUMED by {by}: {reason}")


def reconcile(
    config: Path,
    *,
    root: Path,
    live: bool = False,
    accept: bool = False,
    connect: Connect | None = None,
    environment: Mapping[str, str] | None = None,
    pause: Callable[[float], None] = time.sleep,
    local_now: Callable[[], datetime] | None = None,
) -> tuple[dict[str, Any], int]:
    """Settle what was sent and bring the ledger to what the account holds; orders nothing.

    Parameters
    ----------
    accept : bool
        A person's word that an account which shows nothing of what the journal holds is right.

    Raises
    ------
    ConfigError
        On paper, where there is nothing to compare with.
    """
    variables = os.environ if environment is None else environment
    loaded = load_config(config, root=root, environment=variables)
    if loaded.settings.mode != "live":
        raise ConfigError(f"{loaded.source}: mode: paper; a simulated account is what its journal says")
    clock = local_now or _now
    with exclusive(loaded.state), heeded(loaded.state, clock()):
        session = _session(loaded, root, live, connect, variables, pause, clock)
        with session.opened() as book:
            desk = session.desk(book)
            symbols = _symbols(session, book)
            told = desk.prepare(symbols, accept=accept)
            reasons = [f"RECONCILED {kind}: {what}" for kind, what in told.items() if what]
            document = _document(book, loaded, session, reasons or ["RECONCILED nothing differs"])
    return {**document, "reconciled": told}, 0


def flatten(
    config: Path,
    *,
    root: Path,
    by: str,
    reason: str,
    live: bool = False,
    connect: Connect | None = None,
    environment: Mapping[str, str] | None = None,
    pause: Callable[[float], None] = time.sleep,
    local_now: Callable[[], datetime] | None = None,
) -> tuple[dict[str, Any], int]:
    """Halt, cancel what is open, and sell all positions at market; what is too small to sell is named.

    Returns
    -------
    document : dict
        As a run's.
    code : int
        0, or 1 when something that could be sold is left.
    """
    variables = os.environ if environment is None else environment
    loaded = load_config(config, root=root, environment=variables)
    clock = local_now or _now
    with exclusive(loaded.state, seconds=_patience(loaded)), heeded(loaded.state, clock(), instead=_UNSOLD):
        session = _session(loaded, root, live, connect, variables, pause, clock)
        with session.opened() as book:
            if book.state.risk.mode != HALTED:
                body = {"by": by, "reason": f"flatten: {reason}"}
                text = f"by {by}, to sell everything: {reason}"
                book.append([Draft("HALTED", body), book.incident("HALTED", text)], tick="")
            desk = session.desk(book)
            desk.prepare(_symbols(session, book))
            if book.open_tick is not None:
                desk.drop("FLATTEN")
                close_tick(book, _symbols(session, book))
            _plan_exit(book, session, by)
            desk.act()
            left = held_symbols(book.state)
            close_tick(book, _symbols(session, book))
            document = _document(book, loaded, session, [f"FLATTENED by {by}: {reason}"])
    unsold = {entry["symbol"] for entry in document["skipped"]}
    return document, 1 if set(left) - unsold and not _only_dust(document) else 0


def _plan_exit(book: Book, session: Session, by: str) -> None:
    state, loaded, portfolio = book.state, session.loaded, session.portfolio
    symbols = list(held_symbols(state))
    rules, prices = session.market.rules(symbols), session.market.prices(symbols)
    account = account_at(state.with_marks(prices), symbols)
    tick = f"flatten-{session.now:%Y%m%dT%H%M%SZ}-{state.ticks + 1}"
    scope = (loaded.settings.account, portfolio.portfolio_id, tick, book.journal.head[1][:16])
    targets = [Target(s, 0.0, account.quantities[s], prices.get(s)) for s in symbols]
    costs = session.costs()
    plan = plan_orders(
        targets,
        rules,
        equity=account.equity,
        cash=account.cash,
        costs=costs,
        scope=scope,
        placing=Placing(max_slices=100),
    )
    body = {
        "now": session.now.isoformat(),
        "command": "flatten",
        "by": by,
        "mode": loaded.settings.mode,
        "marks": {symbol: str(price) for symbol, price in prices.items()},
        "equity": str(account.equity),
        "cash": str(account.cash),
        "risk": {"before": state.risk.document(), "after": state.risk.document()},
        "targets": [],
        "orders": [order_document(order) for order in plan.orders],
        "skipped": [
            {"symbol": s.symbol, "side": s.side, "quantity": str(s.quantity), "reason": s.reason}
            for s in plan.skipped
        ],
        "scope": list(scope),
        "valid_until": (session.now + _FLATTEN_LASTS).isoformat(),
    }
    book.append([Draft("PLANNED", body)], tick=tick)


def _only_dust(document: Mapping[str, Any]) -> bool:
    sold = {order["symbol"] for order in document["orders"] if order["status"] == "filled"}
    return all(position["symbol"] in sold for position in document["state"]["positions"])


def _loaded(config: Path, root: Path, environment: Mapping[str, str] | None) -> LoadedConfig:
    return load_config(config, root=root, environment=os.environ if environment is None else environment)


def _told(loaded: LoadedConfig, kind: str, by: str, reason: str, text: str) -> tuple[dict[str, Any], int]:
    if not by.strip() or not reason.strip():
        raise ConfigError(f"{kind}: who and why are kept; both --by and --reason are needed")
    if not loaded.state.is_file():
        raise DataError(f"{loaded.state}: no journal yet, so there is nothing to halt or resume")
    with exclusive(loaded.state, seconds=_patience(loaded)):
        portfolio = load_portfolio(loaded.portfolio)
        with Journal(
            loaded.state, account=loaded.settings.account, portfolio=portfolio.portfolio_id
        ) as journal:
            state = load_state(journal)
            if state is None:
                raise DataError(f"{loaded.state}: the journal is empty, there is nothing to halt or resume")
            # Exchange time stands where the last event left it: no exchange is asked.
            at = datetime.fromisoformat(state.at)
            book = Book(journal, state, lambda: at)
            halted = state.risk.mode == HALTED or bool(state.risk.layers.get("banned"))
            if kind == "RESUMED" and not halted:
                raise ConfigError(f"{loaded.state}: not halted, there is nothing to resume")
            drafts = [Draft(kind, {"by": by, "reason": reason, "local": datetime.now(UTC).isoformat()})]
            if kind == "HALTED":
                drafts.append(book.incident("HALTED", f"by {by}: {reason}"))
            book.append(drafts, tick="")
            document = run_document(
                journal,
                book.state,
                mode=loaded.settings.mode,
                acted=False,
                reasons=[text],
                incidents=[incident.document() for incident in book.incidents],
            )
    return document, 0


def _patience(loaded: LoadedConfig) -> float:
    """Return how long a person's word waits for a tick to end: it must not be lost to one."""
    return loaded.settings.orders.settle_s + _LONGEST_TICK_S


def _session(
    loaded: LoadedConfig,
    root: Path,
    live: bool,
    connect: Connect | None,
    environment: Mapping[str, str],
    pause: Callable[[float], None],
    local_now: Callable[[], datetime],
) -> Session:
    return Session(
        loaded,
        root=root,
        connect=connect,
        live=live,
        new_account=False,
        environment=environment,
        local_now=local_now,
        pause=pause,
    )


def _now() -> datetime:
    return datetime.now(UTC)


def _symbols(session: Session, book: Book) -> list[str]:
    traded = traded_symbols(session.portfolio, session.loaded.settings)
    return sorted({*traded, *held_symbols(book.state)})


def _document(book: Book, loaded: LoadedConfig, session: Session, reasons: list[str]) -> dict[str, Any]:
    document = run_document(
        book.journal,
        book.state,
        mode=loaded.settings.mode,
        acted=bool(reasons and reasons[0].startswith("FLATTENED")),
        reasons=[*session.reasons, *reasons],
        incidents=[incident.document() for incident in book.incidents],
    )
    return {**document, "now": session.now.isoformat().replace("+00:00", "Z")}
