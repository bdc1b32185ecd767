"""The shell of a tick: lock, load, connect, recover, run, report. I/O is here, decisions are not."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from feature_store.errors import StoreError
from lab.core.errors import DataError, HaltedError, LockedError
from lab.strategies import load_portfolio
from live_bridge.bans import heeded
from live_bridge.book import Book
from live_bridge.config import LoadedConfig, load_config
from live_bridge.history import check_history, load_state
from live_bridge.journal import Journal
from live_bridge.report import run_document
from live_bridge.session import Connect, Session, through_ccxt
from live_bridge.simulating import simulate_beside
from live_bridge.status_report import status_document
from live_bridge.tick import Outcome, Tick

__all__ = ["Connect", "exclusive", "run", "status", "through_ccxt"]


def run(
    config: Path,
    *,
    root: Path,
    connect: Connect | None = None,
    live: bool = False,
    new_account: bool = False,
    environment: Mapping[str, str] | None = None,
    local_now: Callable[[], datetime] | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> tuple[dict[str, Any], int]:
    """Run one tick.

    Parameters
    ----------
    config : pathlib.Path
        ``bridge.yaml``.
    root : pathlib.Path
        Folder that holds ``data/``.
    connect : callable, optional
        Makes the exchange; default: through CCXT, as the configuration says.
    live : bool
        Whether ``--live`` was given.
    new_account : bool
        A person's word that a live journal may begin.
    environment : mapping of str to str, optional
        Where ``MNEMO_ENV`` and keys come from; default: the process's.
    local_now : callable, optional
        This machine's time, which the exchange's is compared with.
    pause : callable
        Waits for some seconds.

    Returns
    -------
    document : dict
        See :func:`live_bridge.report.run_document`; with ``now`` and ``seconds`` by phase, and, in a live
        bridge with instances at stage paper, the simulation of those under ``paper``.
    code : int
        0; 3 when an instance could not decide because the exchange's bars are at least two bars behind, or
        when instances were skipped for their data and nothing was done; 5 while halted.

    Raises
    ------
    MnemoError
        Of the class that names the exit code. What the journal holds by then is complete and consistent.
    """
    started = time.perf_counter()
    variables = os.environ if environment is None else environment
    loaded = load_config(config, root=root, environment=variables)
    clock = local_now or (lambda: datetime.now(UTC))
    with exclusive(loaded.state), heeded(loaded.state, clock()) as past:
        session = Session(
            loaded,
            root=root,
            connect=connect,
            live=live,
            new_account=new_account,
            environment=variables,
            local_now=clock,
            pause=pause,
        )
        ready = time.perf_counter()
        with session.opened() as book:
            opened = time.perf_counter()
            desk = session.desk(book)
            tick = Tick(loaded, session.portfolio, book, session.market, desk, session.now, past.banned)
            outcome = tick.run()
            past.told = outcome.planned
            document = _document(loaded, session, book, outcome)
        if session.beside is not None:
            document["paper"] = simulate_beside(loaded, session.beside, session.market, session.now)
    phases = {"load": ready - started, "journal": opened - ready, **outcome.seconds}
    document["seconds"] = {name: round(seconds, 4) for name, seconds in phases.items()}
    return document, _exit_code(outcome)


def _document(loaded: LoadedConfig, session: Session, book: Book, outcome: Outcome) -> dict[str, Any]:
    document = run_document(
        book.journal,
        book.state,
        mode=loaded.settings.mode,
        acted=outcome.acted,
        reasons=[*session.reasons, *outcome.reasons],
        incidents=[incident.document() for incident in book.incidents],
    )
    return {**document, "now": session.now.isoformat().replace("+00:00", "Z")}


def _exit_code(outcome: Outcome) -> int:
    if outcome.halted:
        return HaltedError.exit_code
    late = any(waiting.behind > 1 for waiting in outcome.waiting)
    idle = bool(outcome.skipped) and not outcome.acted
    return DataError.exit_code if late or idle else 0


def status(config: Path, *, root: Path, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Read the journal, check all of it, and return what it adds up to; nothing is asked or written.

    Raises
    ------
    DataError
        If there is no journal yet, or its chain is broken.
    """
    variables = os.environ if environment is None else environment
    loaded = load_config(config, root=root, environment=variables)
    if not loaded.state.is_file():
        raise DataError(f"{loaded.state}: no journal yet; 'live-bridge run --config {config}' starts it")
    portfolio = load_portfolio(loaded.portfolio)
    with Journal(loaded.state, account=loaded.settings.account, portfolio=portfolio.portfolio_id) as journal:
        checked = check_history(journal)
        state = load_state(journal)
        if state is None:
            raise DataError(
                f"{loaded.state}: the journal is empty; 'live-bridge run --config {config}' fills it"
            )
        return status_document(journal, state, events=checked)


@contextmanager
def exclusive(state: Path, *, seconds: float = 0.0) -> Iterator[None]:
    """Hold the lock of a journal, or raise LockedError: at once, or after waiting for some seconds."""
    lock = FileLock(state.with_name(state.name + ".lock"), timeout=seconds)
    try:
        state.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise LockedError(
            f"{state}: another run holds the lock; it acts on this bar, this run does nothing"
        ) from None
    except OSError as error:
        raise StoreError(
            f"{state}: cannot be locked ({error.strerror or error}); check that the folder can be written"
        ) from None
    try:
        yield
    finally:
        lock.release()
