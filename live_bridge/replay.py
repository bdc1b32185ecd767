"""Derive a past tick again from what it was made of, and compare the record byte for byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from lab.core.errors import ConfigError, DataError
from lab.core.hashing import canonical_json
from lab.core.timeframe import Timeframe
from lab.strategies import Portfolio
from live_bridge.bars import fetch_bars
from live_bridge.config import LoadedConfig
from live_bridge.decisions import decide_all, due_instances
from live_bridge.documents import read_rules
from live_bridge.history import apply
from live_bridge.inputs import RecordedSeries, read_candles
from live_bridge.journal import Event, Journal
from live_bridge.permission import held_symbols, traded_symbols
from live_bridge.planning import plan_tick
from live_bridge.reading import reading
from live_bridge.recorded import RecordedMarket
from live_bridge.series import fetch_series
from live_bridge.state import BridgeState

__all__ = ["replay"]

_ALWAYS: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
# Which received bars and values a plan was made from; they are compared through what they led to.
_REFERENCES: Final = "received"
_SERIES: Final = "series"


@dataclass(frozen=True, slots=True)
class _Recorded:
    """A tick as the journal has it: the hash before it, its decisions, its plan."""

    first: int
    head: str
    decided: Mapping[str, Mapping[str, Any]]
    planned: Mapping[str, Any]


def replay(
    config: Path, tick: str, *, root: Path, environment: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], int]:
    """Derive `tick` again and compare; nothing is asked or written.

    The state before the tick is folded from the events before it; bars, prices, rules and time are those
    recorded with it. The functions are the bridge's own.

    Parameters
    ----------
    config : pathlib.Path
        ``bridge.yaml``, as it was then.
    tick : str
        The tick's name, as ``live-bridge status`` and the journal show it.
    root : pathlib.Path
        Folder that holds ``data/``.
    environment : mapping of str to str, optional
        Profile and variables over the file; default: the process's.

    Returns
    -------
    document : dict
        ``tick, identical, compared`` (names of the records compared) and ``differences``, each with
        ``record``, ``key``, ``recorded`` and ``derived``.
    code : int
        0, or 1 when anything differs.

    Raises
    ------
    DataError
        If the journal has no such tick, or its chain is broken.
    ConfigError
        If configuration, portfolio or version are not those of the tick.
    """
    with reading(config, root=root, environment=environment) as (loaded, portfolio, journal):
        recorded = _recorded(journal, tick)
        _check_same(recorded.planned, loaded, portfolio)
        derived = _derive(journal, recorded, loaded, portfolio)
    documents = {**recorded.decided, "PLANNED": recorded.planned}
    differences = [
        difference
        for name in {**documents, **derived}
        for difference in _differences(name, documents.get(name, {}), derived.get(name, {}))
    ]
    document = {
        "tick": tick,
        "identical": not differences,
        "compared": sorted(documents),
        "differences": differences,
    }
    return document, 0 if not differences else 1


def _recorded(journal: Journal, tick: str) -> _Recorded:
    events = journal.events_of(tick)
    planned = next((event for event in events if event.kind == "PLANNED"), None)
    decided = [event for event in events if event.kind == "DECIDED"]
    if planned is None or not decided:
        raise DataError(f"{journal.path}: {_unknown(journal, tick, events)}")
    first = decided[0].number
    before = next(iter(journal.events(after=first - 2)))
    return _Recorded(
        first,
        before.hash,
        {f"DECIDED {event.body['instance']}": event.body for event in decided},
        planned.body,
    )


def _unknown(journal: Journal, tick: str, events: Sequence[Event]) -> str:
    if events:
        return f"{tick} is a person's command, which was derived from nothing"
    last = journal.last("PLANNED")
    known = f"; the last one is {last.tick}" if last else ""
    return f"no tick {tick}{known}"


def _check_same(planned: Mapping[str, Any], loaded: LoadedConfig, portfolio: Portfolio) -> None:
    for what, then, now in (
        ("configuration", planned["config_digest"], loaded.digest),
        ("portfolio and its instances", planned["portfolio_hash"], portfolio.config_hash),
    ):
        if then != now:
            raise ConfigError(
                f"{loaded.source}: the {what} of the tick had digest {then[:12]}, today's {now[:12]}; put "
                "the files of that time back (in another folder, with --root) to replay it"
            )


def _derive(
    journal: Journal, recorded: _Recorded, loaded: LoadedConfig, portfolio: Portfolio
) -> dict[str, Mapping[str, Any]]:
    planned = recorded.planned
    now = datetime.fromisoformat(planned["now"])
    state = _state_before(journal, recorded.first)
    rules = {symbol: read_rules(entry) for symbol, entry in planned["rules"].items()}
    prices = {symbol: Decimal(text) for symbol, text in planned["marks"].items()}
    market = RecordedMarket(now, rules, _bars(journal, planned[_REFERENCES]), prices)
    answers = fetch_bars(market, loaded, portfolio, now)
    due = due_instances(portfolio, state, now)
    known = fetch_series(
        RecordedSeries(journal.connection, planned.get(_SERIES, {})),
        portfolio,
        now,
        context=loaded.quality.context_bars,
    )
    found = decide_all(portfolio, due, answers, loaded, now, known)
    plan = plan_tick(
        loaded,
        portfolio,
        state,
        found,
        answers,
        rules,
        prices,
        symbols=sorted({*traded_symbols(portfolio, loaded.settings), *held_symbols(state)}),
        now=now,
        head=recorded.head,
        trouble=planned.get("trouble", 0.0),
    )
    documents: dict[str, Mapping[str, Any]] = {
        f"DECIDED {decision.instance.strategy_id}": decision.document() for decision in found.decisions
    }
    references = {key: planned[key] for key in (_REFERENCES, _SERIES) if key in planned}
    documents["PLANNED"] = {**plan.body, **references}
    return documents


def _state_before(journal: Journal, number: int) -> BridgeState:
    state = BridgeState()
    for event in journal.events():
        if event.number >= number:
            break
        state = apply(state, event)
    return state


def _bars(journal: Journal, received: Mapping[str, int]) -> dict[tuple[str, str], Any]:
    bars = {}
    for key, number in received.items():
        symbol, _, timeframe = key.partition(" ")
        bars[symbol, timeframe] = read_candles(
            journal.connection,
            symbol,
            Timeframe.parse(timeframe),
            start=_ALWAYS,
            end=_NEVER,
            number=number,
        )
    return bars


def _differences(name: str, recorded: Mapping[str, Any], derived: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"record": name, "key": key, "recorded": recorded.get(key), "derived": derived.get(key)}
        for key in sorted({*recorded, *derived})
        if canonical_json(recorded.get(key)) != canonical_json(derived.get(key))
    ]
