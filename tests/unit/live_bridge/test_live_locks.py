"""Every lock of live mode refuses by itself, before anything is created or asked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lab.core.errors import ConfigError, DataError, VenueError
from lab.strategies import load_portfolio
from live_bridge.clock import check_plausible
from live_bridge.exchange import KeyRights
from live_bridge.keys import Keys, read_keys
from live_bridge.live_locks import KeyRefusedError, at_stage, check_host, check_rights
from live_bridge.monitoring.session import incidents_of, incidents_of_error
from live_bridge.recorded import RecordedMarket
from live_bridge.runner import run

MarketAt = Callable[..., RecordedMarket]
PROD = {"MNEMO_ENV": "prod"}


def make_live(bridge: Path, stage: str = "live") -> Path:
    bridge.write_text(bridge.read_text().replace("mode: paper", "mode: live"))
    trend = bridge.parent / "trend.yaml"
    trend.write_text(trend.read_text().replace("mode: paper", f"mode: {stage}"))
    return bridge


def never(_: Any) -> RecordedMarket:
    raise AssertionError("the exchange was reached through a closed lock")


@pytest.mark.parametrize(
    ("stage", "arguments", "message"),
    [
        ("live", {"environment": PROD}, "needs --live"),
        ("live", {"live": True, "environment": {}}, "needs MNEMO_ENV=prod in the environment, found nothing"),
        ("live", {"live": True, "environment": {"MNEMO_ENV": "dev"}}, "found dev"),
        ("live", {"live": True, "environment": {"MNEMO_ENV": "staging"}}, "found staging"),
        ("paper", {"live": True, "environment": PROD}, "no instance of .* is at mode: live"),
        ("backtest", {"live": True, "environment": PROD}, "trend is at stage backtest"),
    ],
)
def test_a_closed_lock_refuses(bridge: Path, stage: str, arguments: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(make_live(bridge, stage), root=bridge.parent, connect=never, new_account=True, **arguments)
    assert not (bridge.parent / "data/live/main.sqlite").exists()


def test_live_does_not_begin_a_journal_by_itself(bridge: Path) -> None:
    with pytest.raises(DataError, match="no journal, and mode: live does not begin one"):
        run(make_live(bridge), root=bridge.parent, connect=never, live=True, environment=PROD)
    state = bridge.parent / "data/live/main.sqlite"
    state.write_bytes(b"")
    with pytest.raises(DataError, match="no journal"):
        run(bridge, root=bridge.parent, connect=never, live=True, environment=PROD)
    assert state.read_bytes() == b""


def test_paper_with_live_on_the_command_line_is_a_contradiction(bridge: Path) -> None:
    with pytest.raises(ConfigError, match="mode: paper, and --live was given"):
        run(bridge, root=bridge.parent, connect=never, live=True, environment=PROD)


def test_without_keys_a_live_run_says_which_variables_it_misses(bridge: Path) -> None:
    with pytest.raises(ConfigError, match="MNEMO_BINANCE_API_KEY and MNEMO_BINANCE_API_SECRET"):
        run(make_live(bridge), root=bridge.parent, live=True, new_account=True, environment=PROD)


def test_a_key_that_may_withdraw_or_not_trade_is_refused() -> None:
    check = partial(check_rights, now=datetime(2024, 5, 1, tzinfo=UTC), max_age_days=90)
    assert check(KeyRights(withdraw=False, trade=True, ip_restricted=True)) == []
    (warning,) = check(KeyRights(withdraw=False, trade=True, ip_restricted=False))
    assert warning.startswith("KEY_UNRESTRICTED the API key works from any address")
    with pytest.raises(KeyRefusedError, match="may withdraw"):
        check(KeyRights(withdraw=True, trade=True, ip_restricted=True))
    with pytest.raises(KeyRefusedError, match="may not trade") as caught:
        check(KeyRights(withdraw=False, trade=False, ip_restricted=True))
    assert incidents_of_error(caught.value).code == "KEY_REFUSED"


@pytest.mark.parametrize(("days", "old"), [(89, False), (90, False), (91, True), (-1, False)])
def test_a_key_is_old_after_as_many_days_as_the_settings_say(days: int, old: bool) -> None:
    now = datetime(2024, 5, 1, tzinfo=UTC)
    created = int((now - timedelta(days=days)).timestamp() * 1_000)
    rights = KeyRights(withdraw=False, trade=True, ip_restricted=True, created_ms=created)
    told = check_rights(rights, now=now, max_age_days=90)
    assert [text.partition(" ")[0] for text in told] == (["KEY_OLD"] if old else [])
    document = {"reasons": told}
    assert [incident.code for incident in incidents_of(document)] == (["KEY_OLD"] if old else [])


def test_keys_outside_prod_reach_test_nets_and_this_machine_only() -> None:
    for url in ("http://127.0.0.1:8777", "https://testnet.binance.vision"):
        check_host(url, {"MNEMO_ENV": "dev"})
    check_host(None, PROD)
    with pytest.raises(ConfigError, match="the real exchange"):
        check_host(None, {})
    with pytest.raises(ConfigError, match=r"https://example\.org"):
        check_host("https://example.org", {"MNEMO_ENV": "staging"})
    with pytest.raises(ConfigError, match="expected dev, staging, prod"):
        check_host(None, {"MNEMO_ENV": "live"})


def test_keys_come_from_the_environment_or_a_file_of_ones_own(tmp_path: Path) -> None:
    named = {"MNEMO_BINANCE_API_KEY": "k-1", "MNEMO_BINANCE_API_SECRET": "s-1"}
    assert read_keys("binance", named) == Keys("k-1", "s-1")
    file = tmp_path / "keys.yaml"
    file.write_text("api_key: k-2\napi_secret: s-2\n")
    where = {"MNEMO_BINANCE_KEYS_FILE": str(file)}
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="mode 0644, others can read it; expected 0600"):
        read_keys("binance", where)
    file.chmod(0o600)
    keys = read_keys("binance", where)
    assert (keys.key, keys.secret) == ("k-2", "s-2")
    assert "k-2" not in repr(keys)
    assert "s-2" not in repr(keys)
    file.write_text("api_key: [canary\n")
    with pytest.raises(ConfigError, match="does not hold api_key and api_secret") as caught:
        read_keys("binance", where)
    assert "canary" not in str(caught.value)


def test_instances_at_other_stages_leave_the_live_portfolio_with_their_shares(bridge: Path) -> None:
    folder = bridge.parent
    text = (folder / "trend.yaml").read_text()
    (folder / "second.yaml").write_text(text.replace("trend", "second").replace("mode: paper", "mode: live"))
    portfolio_file = folder / "small.yaml"
    portfolio_file.write_text(
        portfolio_file.read_text().replace(
            "- {config: trend.yaml, allocation: 1.0}",
            "- {config: trend.yaml, allocation: 0.7}\n  - {config: second.yaml, allocation: 0.3}",
        )
    )
    whole = load_portfolio(portfolio_file)
    live = at_stage(whole, "live")
    assert live is not None
    assert [one.strategy_id for one in live.instances] == ["second"]
    assert live.allocations == (0.3,)
    assert live.shares == (0.3,)
    assert at_stage(whole, "backtest") is None


@pytest.mark.parametrize("year", [1971, 2099])
def test_an_exchange_clock_that_is_wrong_by_far_is_refused(
    bridge: Path, market_at: MarketAt, year: int
) -> None:
    market = market_at(400)
    wrong = RecordedMarket(datetime(year, 1, 1, tzinfo=UTC), market.listed, market.bars, market.last)
    with pytest.raises(VenueError, match=f"the exchange's clock says {year}-01-01"):
        run(bridge, root=bridge.parent, connect=lambda _: wrong)
    assert not (bridge.parent / "data/live/main.sqlite").exists()


def test_replayed_history_is_plausible_and_the_future_is_not() -> None:
    local = datetime(2024, 5, 1, tzinfo=UTC)
    check_plausible(datetime(2014, 1, 1, tzinfo=UTC), local)
    check_plausible(local + timedelta(hours=23), local)
    with pytest.raises(VenueError, match="wrong by far"):
        check_plausible(local + timedelta(hours=25), local)
