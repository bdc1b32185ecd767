"""What is sent, when, and to whom."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lab.core.errors import ConfigError
from live_bridge.monitoring.alerts import due, message, remembered, sender, store
from live_bridge.monitoring.catalogue import Incident, Severity

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
LOST = Incident("PHANTOM_POSITION", "0.5 BTC are gone", "BTC/USDT")


def sent_codes(incidents: list[Incident], memory: dict, at: datetime) -> tuple[list[str], dict]:
    sending, after = due(incidents, memory, now=at, least=Severity.WARNING, repeat=6 * HOUR)
    return [incident.code for incident, _ in sending], after


def test_a_lasting_incident_is_sent_once_in_six_hours() -> None:
    memory: dict = {}
    times = []
    for minute in range(0, 24 * 60, 5):
        codes, memory = sent_codes([LOST], memory, NOON + timedelta(minutes=minute))
        times += [minute] * len(codes)
    assert times == [0, 360, 720, 1080]


def test_the_next_message_counts_what_was_held_back() -> None:
    _, memory = sent_codes([LOST], {}, NOON)
    for hour in (1, 2, 3):
        _, memory = sent_codes([LOST], memory, NOON + hour * HOUR)
    [(_, held_back)], _ = due([LOST], memory, now=NOON + 7 * HOUR, least=Severity.WARNING, repeat=6 * HOUR)
    assert held_back == 3
    assert "3 more times" in message(LOST, held_back, who="main/core")[1]


def test_another_market_is_another_incident_and_twice_in_a_run_is_once() -> None:
    other = Incident("PHANTOM_POSITION", "gone too", "ETH/USDT")
    codes, _ = sent_codes([LOST, other, LOST], {}, NOON)
    assert codes == ["PHANTOM_POSITION", "PHANTOM_POSITION"]


def test_what_is_below_the_threshold_is_not_sent() -> None:
    assert sent_codes([Incident("LOCKED", "another run")], {}, NOON)[0] == []


def test_a_clock_set_back_does_not_silence() -> None:
    _, memory = sent_codes([LOST], {}, NOON)
    assert sent_codes([LOST], memory, NOON - 24 * HOUR)[0] == ["PHANTOM_POSITION"]


def test_memory_survives_in_its_file_and_damage_only_forgets(tmp_path: Path) -> None:
    _, memory = sent_codes([LOST], {}, NOON)
    path = tmp_path / "alerts.json"
    store(path, memory)
    assert remembered(path) == memory
    for damage in ("", "[]", "{", '{"x": 1}', '{"x": {"sent": "no time"}}'):
        path.write_text(damage)
        assert remembered(path) == {}
    assert remembered(tmp_path / "missing.json") == {}


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("nonsense", "not understood"),
        ("json://collector.example.com/path", "unencrypted"),
        ("mailto://user:password@example.com", "unencrypted"),
    ],
)
def test_addresses_that_cannot_be_used_are_refused_without_quoting_them(url: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text) as caught:
        sender([url], timeout=1.0)
    assert "example.com" not in str(caught.value)
    assert "password" not in str(caught.value)


def test_plain_http_is_for_this_machine_only() -> None:
    assert callable(sender(["json://127.0.0.1:9/x"], timeout=1.0))
    assert callable(sender(["jsons://collector.example.com/x"], timeout=1.0))


def test_incidents_outside_the_catalogue_cannot_be_made() -> None:
    with pytest.raises(KeyError):
        Incident("SOMETHING_NEW", "nobody wrote a runbook entry")
