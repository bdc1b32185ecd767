"""How a journal begins, changes between paper and live, and notes that its configuration changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from lab.core.errors import ConfigError, DataError
from lab.strategies import Portfolio
from live_bridge.backup import restored_since
from live_bridge.book import Book
from live_bridge.clock import milliseconds
from live_bridge.config import LoadedConfig
from live_bridge.documents import RiskMemory
from live_bridge.exchange import Exchange, Holdings
from live_bridge.history import load_state
from live_bridge.journal import Draft, Journal
from live_bridge.order_ids import own_prefix
from live_bridge.paper import Ledger
from live_bridge.permission import held_symbols, traded_symbols
from live_bridge.state import BridgeState

__all__ = ["note_configuration", "note_restored", "opened_state", "require_journal", "set_mode"]


def require_journal(loaded: LoadedConfig, *, new_account: bool) -> None:
    """Refuse to begin a live journal unless a person says so: a lost one looks the same as a first one.

    Raises
    ------
    DataError
        Before anything is created.
    """
    if loaded.settings.mode == "live" and not new_account and not _has_content(loaded):
        raise DataError(
            f"{loaded.state}: no journal, and mode: live does not begin one by itself. Restore a backup "
            "('live-bridge restore'), or, if this portfolio never traded on this account, say --new-account"
        )


def opened_state(
    journal: Journal, loaded: LoadedConfig, portfolio: Portfolio, account: Exchange | None, at: datetime
) -> BridgeState:
    """Return the state the journal ends in; an empty one is opened.

    Parameters
    ----------
    journal, loaded, portfolio
        The journal is held under the lock.
    account : Exchange or None
        The live account; None on paper.
    at : datetime
        Exchange time.
    """
    found = load_state(journal)
    if found is None:
        state = _first(loaded, portfolio, account, BridgeState(), at)
        journal.append([Draft("OPENED", {"mode": state.mode, "state": state.document()})], at=at)
        return replace(state, at=at.isoformat())
    if found.currency != portfolio.reference_currency:
        raise ConfigError(
            f"{loaded.state}: the journal counts in {found.currency}, the portfolio in "
            f"{portfolio.reference_currency}; set reference_currency back, or start a new journal (state: …)"
        )
    return found


def set_mode(
    book: Book, loaded: LoadedConfig, portfolio: Portfolio, account: Exchange | None, at: datetime
) -> str:
    """Record that the mode changed, with the account it begins from; return what to tell, or nothing.

    Raises
    ------
    ConfigError
        If orders of the mode before are not settled yet.
    """
    before, mode = book.state.mode, loaded.settings.mode
    if before == mode:
        return ""
    tick = book.open_tick
    if tick is not None and before == "live":
        raise ConfigError(
            f"{loaded.state}: {tick.tick} of mode: live is not settled; run once more with mode: live, "
            "then change"
        )
    state = _first(loaded, portfolio, account, book.state, at)
    body = {"before": before, "after": mode, "state": state.document()}
    text = (
        f"from {before} to {mode}; the account begins with {state.ledger[state.currency]:f} {state.currency}"
    )
    book.append([Draft("MODE_CHANGED", body), book.incident("MODE_CHANGED", text)], tick="")
    return f"MODE_CHANGED {text}"


def note_restored(book: Book) -> str:
    """Record that the journal was put back from a copy, if so; return what to tell, or nothing."""
    witness = restored_since(book.journal)
    if witness is None:
        return ""
    last = book.journal.last("RESTORED")
    if last is not None and last.body["witness"] == witness.hash:
        return ""
    text = (
        f"the journal ends at event {book.journal.head[0]}, a later one ended at {witness.number}: it was "
        "put back from a copy; what happened since is taken from the exchange"
    )
    # The event is part of the chain, and the chain's head part of every order id: none is used again.
    body = {"number": witness.number, "witness": witness.hash}
    book.append([Draft("RESTORED", body), book.incident("RESTORED_STATE", text)], tick="")
    return f"RESTORED_STATE {text}"


def note_configuration(book: Book, loaded: LoadedConfig, portfolio: Portfolio) -> str:
    """Record which settings changed since the last run, from what to what; return what to tell, or nothing.

    Raises
    ------
    ConfigError
        If a market that is held, or has orders that are not settled, would trade as another symbol.
    """
    settings = _settings(loaded, portfolio)
    last = book.journal.last("CONFIG_CHANGED")
    before = {} if last is None else last.body["settings"]
    if settings == before:
        return ""
    _refuse_moved_holdings(before.get("symbols", {}), settings["symbols"], book.state)
    old, new = dict(_leaves(before)), dict(_leaves(settings))
    changed = {
        key: [old.get(key), new.get(key)]
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key) and last is not None
    }
    drafts = [Draft("CONFIG_CHANGED", {"settings": settings, "changed": changed})]
    if not changed:
        book.append(drafts, tick="")
        return ""
    text = "; ".join(f"{key}: {pair[0]!r} -> {pair[1]!r}" for key, pair in list(changed.items())[:10])
    book.append([*drafts, book.incident("CONFIG_CHANGED", text)], tick="")
    return f"CONFIG_CHANGED {text}"


def _has_content(loaded: LoadedConfig) -> bool:
    return loaded.state.is_file() and loaded.state.stat().st_size > 0


def _first(
    loaded: LoadedConfig, portfolio: Portfolio, account: Exchange | None, before: BridgeState, at: datetime
) -> BridgeState:
    """Return the state of an account that begins now, with the decisions made so far."""
    currency, capital = portfolio.reference_currency, Decimal(str(portfolio.capital))
    fresh = replace(
        before,
        currency=currency,
        mode=loaded.settings.mode,
        ledger=Ledger({currency: capital}),
        foreign={},
        cursors={},
        risk=RiskMemory(),
        opened_ms=milliseconds(at),
        open_tick=None,
        at=at.isoformat(),
    )
    if account is None:
        return fresh
    symbols = traded_symbols(portfolio, loaded.settings)
    account.rules(symbols)
    if not before.currency:
        prefix = own_prefix(loaded.settings.account, portfolio.portfolio_id)
        _refuse_own_orders(account, symbols, prefix)
    return _shared_out(fresh, account.balances(), symbols, capital, adopt=loaded.settings.adopt)


def _shared_out(
    state: BridgeState, holdings: Holdings, symbols: Sequence[str], capital: Decimal, *, adopt: bool
) -> BridgeState:
    """Return the state with the account's holdings divided into the portfolio's and what lies beside it."""
    names = {part for symbol in symbols for part in symbol.split("/")}
    held = {name: holdings.total.get(name, Decimal(0)) for name in sorted(names)}
    cash = held[state.currency]
    own = held if adopt else {state.currency: min(cash, capital)}
    ledger = Ledger({name: amount for name, amount in own.items() if amount})
    beside = {name: amount - ledger[name] for name, amount in held.items()}
    return replace(state, ledger=ledger, foreign={name: amount for name, amount in beside.items() if amount})


def _refuse_own_orders(account: Exchange, symbols: Sequence[str], prefix: str) -> None:
    for symbol in symbols:
        # The last ones, however long ago: a journal is missed late where the portfolio trades seldom.
        orders = (*account.orders(symbol), *account.open_orders(symbol))
        own = [report.client_id for report in orders if report.client_id.startswith(prefix)]
        if own:
            raise DataError(
                f"{symbol}: the exchange has orders of this portfolio ({own[0]}), and the journal is empty: "
                "it was lost. Restore a backup, or give the account or portfolio another name"
            )


def _settings(loaded: LoadedConfig, portfolio: Portfolio) -> dict[str, Any]:
    return {
        "bridge": loaded.settings.model_dump(mode="json"),
        "portfolio": portfolio.config.model_dump(mode="json"),
        "instances": {
            one.strategy_id: {
                "version": one.config.version,
                "mode": one.config.mode,
                "hash": one.config_hash,
                "risk": one.risk.model_dump(mode="json"),
                "parameters": one.params.model_dump(mode="json"),
            }
            for one in portfolio.instances
        },
        "quality": loaded.quality.model_dump(mode="json"),
        "symbols": {market: loaded.settings.symbol(market) for market in portfolio.markets},
    }


def _leaves(value: Any, path: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [
            leaf
            for key, inner in value.items()
            for leaf in _leaves(inner, f"{path}.{key}" if path else str(key))
        ]
    return [(path, value)]


def _refuse_moved_holdings(before: Mapping[str, str], after: Mapping[str, str], state: BridgeState) -> None:
    pending = () if state.open_tick is None else state.open_tick.pending
    held = {*held_symbols(state), *(working.order.symbol for working in pending)}
    for market, symbol in before.items():
        moved = after.get(market)
        if moved is not None and moved != symbol and symbol in held:
            raise ConfigError(
                f"market_map: {market} traded as {symbol}, which is held or ordered, and would now trade as "
                f"{moved}; sell it first ('live-bridge flatten'), or set the map back"
            )
