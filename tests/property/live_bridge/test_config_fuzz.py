"""Files a user writes, damaged in every way: each is valid or refused with its place, never a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lab.core.errors import ConfigError
from tests.survival import damaged_keys
from tests.survival.damaged_files import KINDS, counted


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("cases", [150, pytest.param(2_000, marks=pytest.mark.slow)], ids=["short", "long"])
def test_damaged_files_are_valid_or_refused(
    kind: str, cases: int, tmp_path: Path, tally: Callable[..., None]
) -> None:
    found = counted(kind, tmp_path, cases=cases, seed=7)
    names = ("cases", "failed", "seed", "refused")
    tally(found["what"], **{name: found[name] for name in names}, canaries=found["canaries"]["found"])
    assert found["failures"] == {}
    assert found["canaries"]["found"] == 0
    assert 0 < found["refused"] < cases


@pytest.mark.parametrize("kind", damaged_keys.KINDS)
@pytest.mark.parametrize("cases", [60, pytest.param(2_000, marks=pytest.mark.slow)], ids=["short", "long"])
def test_damaged_keys_open_as_they_were_or_are_refused(
    kind: str, cases: int, tmp_path: Path, tally: Callable[..., None]
) -> None:
    found = damaged_keys.counted(kind, tmp_path, cases=cases, seed=7)
    names = ("cases", "failed", "seed", "refused")
    tally(found["what"], **{name: found[name] for name in names}, canaries=found["canaries"]["found"])
    assert found["failures"] == {}
    assert found["canaries"]["found"] == 0
    assert 0 < found["refused"] < cases


def test_the_undamaged_ones_are_valid(tmp_path: Path) -> None:
    for text, read in KINDS.values():
        read(text, tmp_path)


@pytest.mark.parametrize(
    ("kind", "old", "new", "key"),
    [
        ("bridge", "recv_window_ms: 5000", "recv_window_ms: 5", "recv_window_ms"),
        ("bridge", "portfolio: core.yaml", f"portfolio: {'x' * 300}", "portfolio"),
        ("bridge", "state: data/live/main.sqlite", 'state: "a\\0b"', "state"),
        ("bridge", "alert_from: CRITICAL", "alert_from: LOUD", "monitoring.alert_from"),
        ("instance", "max_position_pct: 0.3", "max_position_pct: 30", "risk.max_position_pct"),
        ("instance", "preset: base", "preset: free", "costs.preset"),
        ("portfolio", "allocation: 1.0", "allocation: 7", "instances.0.allocation"),
    ],
)
def test_a_refusal_names_file_line_and_key(kind: str, old: str, new: str, key: str, tmp_path: Path) -> None:
    text, read = KINDS[kind]
    line = next(number for number, row in enumerate(text.splitlines(), start=1) if old in row)
    with pytest.raises(ConfigError) as caught:
        read(text.replace(old, new), tmp_path)
    assert f"file.yaml:{line}: {key}: " in str(caught.value)
