"""How the exchange answers reaches the risk step: entries stop, exits pass, and a past tick says so again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import ccxt
import pytest

from lab.core.errors import VenueError
from lab.core.settings import HealthSettings
from lab.strategies import Portfolio, load_portfolio
from live_bridge.bans import BannedError, heeded
from live_bridge.book import Book
from live_bridge.ccxt_exchange import CcxtExchange
from live_bridge.config import LoadedConfig, load_config
from live_bridge.desk import PaperDesk
from live_bridge.exchange_health import CallLog, exchange_health
from live_bridge.failures import answered_soundly
from live_bridge.journal import Journal
from live_bridge.opening import opened_state
from live_bridge.operations import flatten, reconcile, resume
from live_bridge.orders import Costing
from live_bridge.paper import Ledger
from live_bridge.recorded import RecordedMarket
from live_bridge.replay import replay
from live_bridge.tick import Outcome, Tick

MarketAt = Callable[..., RecordedMarket]
WELL_CALLS = ((True, 90.0),) * 10
FAILING = ((True, 90.0),) * 7 + ((False, 10.0),) * 3
SLOW = ((True, 5_001.0),) * 10


@dataclass(frozen=True, slots=True)
class Observing:
    """A recording whose calls are told."""

    market: RecordedMarket
    told: tuple[tuple[bool, float], ...] = ()
    banned: bool = False

    def calls(self) -> tuple[tuple[bool, float], ...]:
        return self.told

    def __getattr__(self, name: str) -> Any:
        return getattr(self.market, name)


@dataclass
class Client:
    """What is asked of CCXT's class for the time: answers and errors, in turn."""

    answers: list[Any]
    id: str = "binance"
    options: dict[str, Any] = field(default_factory=dict)
    last_response_headers: dict[str, str] = field(default_factory=lambda: {"Retry-After": "30"})

    def fetch_time(self) -> int:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return int(answer)

    def milliseconds(self) -> int:
        return 1_700_000_000_000


@pytest.fixture
def live(bridge: Path) -> Path:
    """The configuration in mode live, its portfolio with the shipped layers but room for whole positions."""
    for name in ("bridge", "trend"):
        path = bridge.parent / f"{name}.yaml"
        path.write_text(path.read_text().replace("mode: paper", "mode: live"))
    small = bridge.parent / "small.yaml"
    small.write_text(small.read_text().replace("max_exchange_pct: 1.0", "max_exchange_pct: 0.9"))
    return bridge


def ticked(config: Path, market: Any, *, holding: str = "0", banned: bool = False) -> tuple[Outcome, Any]:
    """One tick of a live configuration whose orders are simulated, and the plan it recorded."""
    loaded: LoadedConfig = load_config(config, root=config.parent)
    portfolio: Portfolio = load_portfolio(loaded.portfolio)
    now = market.now()
    with Journal(loaded.state, account="main", portfolio="small") as journal:
        state = opened_state(journal, loaded, portfolio, None, now)
        book = Book(journal, state, lambda: now)
        if Decimal(holding):
            book.state = replace(state, ledger=Ledger({"USDT": Decimal(1), "BTC": Decimal(holding)}))
        desk = PaperDesk(market, book, Costing.from_basis_points(0.0, 0.0))
        outcome = Tick(loaded, portfolio, book, market, desk, now, banned).run()
        planned = journal.last("PLANNED")
        assert planned is not None
        return outcome, planned.body


def test_calls_are_kept_with_outcome_and_milliseconds() -> None:
    ticks = iter([1.0, 1.25, 2.0, 2.5, 3.0, 3.125])
    log = CallLog(ticks.__next__)

    def refused() -> None:
        raise ccxt.InsufficientFunds("no")

    log.timed(lambda: None, answered=lambda _: False)
    with pytest.raises(ccxt.InsufficientFunds):
        log.timed(refused, answered=lambda _: False)
    with pytest.raises(ccxt.InsufficientFunds):
        log.timed(refused, answered=answered_soundly)
    assert log.calls() == ((True, 250.0), (False, 500.0), (True, 125.0))


def test_every_try_of_a_question_counts() -> None:
    exchange = CcxtExchange(Client([ccxt.ExchangeNotAvailable("503"), 1_700_000_000_000]))
    assert exchange.calls() == ()
    exchange.now()
    assert [answered for answered, _ in exchange.calls()] == [False, True]
    assert all(milliseconds >= 0.0 for _, milliseconds in exchange.calls())
    assert not exchange.banned


@pytest.mark.parametrize(
    ("error", "banned"),
    [
        (ccxt.DDoSProtection("binance 418 I'm a teapot {}"), True),
        (ccxt.DDoSProtection("binance 429 Too Many Requests {}"), False),
    ],
)
def test_a_ban_is_told_from_a_limit(tmp_path: Path, error: Exception, banned: bool) -> None:
    exchange = CcxtExchange(Client([error]))
    local = datetime(2024, 5, 1, tzinfo=UTC)
    with pytest.raises(BannedError), heeded(tmp_path / "main.sqlite", local):
        exchange.now()
    assert exchange.banned is banned
    assert exchange_health(exchange, HealthSettings()).code == (3.0 if banned else 2.0)
    # A ban is kept until a plan was told of it; a limit is forgotten with the first run that succeeds.
    later = local + timedelta(seconds=31)
    for planned, kept in ((False, banned), (True, banned), (True, False)):
        with heeded(tmp_path / "main.sqlite", later) as past:
            assert past.banned is kept
            past.told = planned


def test_an_exchange_that_is_well_changes_nothing(live: Path, market_at: MarketAt) -> None:
    outcome, plan = ticked(live, Observing(market_at(200), WELL_CALLS))
    assert any(order["side"] == "buy" for order in plan["orders"])
    assert "trouble" not in plan
    assert not any("EXCHANGE_HEALTH" in reason for reason in outcome.reasons)


@pytest.mark.parametrize(
    ("calls", "told"), [(FAILING, "3 of the last 10 calls failed"), (SLOW, "median 5001 ms")]
)
def test_failures_and_latency_stop_entries_and_the_tick_is_derived_again(
    live: Path, market_at: MarketAt, calls: Any, told: str
) -> None:
    outcome, plan = ticked(live, Observing(market_at(200), calls))
    assert plan["trouble"] == 2.0
    assert plan["orders"] == []
    assert any("EXCHANGE_HEALTH" in target["reasons"] for target in plan["targets"])
    assert any(told in reason for reason in outcome.reasons)
    document, code = replay(live, outcome.tick, root=live.parent)
    assert (code, document["differences"]) == (0, [])


def test_exits_pass_under_a_ban_which_is_remembered_until_a_person_resumes(
    live: Path, market_at: MarketAt
) -> None:
    _, plan = ticked(live, Observing(market_at(200)), holding="100", banned=True)
    assert [(order["side"], order["symbol"]) for order in plan["orders"]] == [("sell", "BTC/USDT")]
    assert plan["trouble"] == 3.0
    _, later = ticked(live, Observing(market_at(201), WELL_CALLS))
    assert "trouble" not in later
    stopped = [target for target in later["targets"] if "EXCHANGE_HEALTH" in target["reasons"]]
    assert {"HALTED"} <= {reason for target in stopped for reason in target["reasons"]}
    assert not any(order["side"] == "buy" for order in later["orders"])
    resume(live, root=live.parent, by="me", reason="asked the exchange")
    _, resumed = ticked(live, Observing(market_at(202), WELL_CALLS))
    assert resumed["risk"]["before"]["banned"] == []


def test_a_simulation_and_a_recording_are_well(bridge: Path, market_at: MarketAt) -> None:
    _, plan = ticked(bridge, Observing(market_at(200), FAILING, banned=True))
    assert "trouble" not in plan
    assert exchange_health(market_at(200), HealthSettings()).code == 0.0


def test_a_persons_commands_leave_a_banning_exchange_alone(live: Path) -> None:
    local = datetime(2024, 5, 1, tzinfo=UTC)
    state = live.parent / "data/live/main.sqlite"
    state.parent.mkdir(parents=True)
    with pytest.raises(BannedError), heeded(state, local):
        raise BannedError("binance: banned", 90.0, banned=True)

    def never(_: Any) -> RecordedMarket:
        raise AssertionError("asked under a ban")

    given: dict[str, Any] = {"root": live.parent, "live": True, "connect": never, "local_now": lambda: local}
    with pytest.raises(
        VenueError, match=r"until 2024-05-01 00:01:30Z; nothing was asked, nothing was sold"
    ) as caught:
        flatten(live, by="me", reason="out", **given)
    assert caught.value.exit_code == 4
    with pytest.raises(VenueError, match="until 2024-05-01 00:01:30Z; nothing was asked") as caught:
        reconcile(live, **given)
    assert caught.value.exit_code == 4
