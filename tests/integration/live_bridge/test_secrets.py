"""Canary key, secret and passphrase appear nowhere: whatever is written, whatever fails, at debug too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from lab.data import demo
from tests.oracle.bridge_harness import KEYS, control, exchange, write_configs
from tests.oracle.canaries import KEY, PASSPHRASE, SECRET

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("live_bridge")]

# The bridge with every library's logger at level debug on stderr.
LOUD = (
    "import logging, sys; logging.basicConfig(level=logging.DEBUG); "
    "from live_bridge.cli import main; main(sys.argv[1:])"
)
FAULTS = (
    None,
    {"method": "GET", "path": "/api/v3/account", "kind": "garbage"},
    {"method": "POST", "path": "/api/v3/order", "kind": "status", "status": 401, "code": -2015},
    {"method": "POST", "path": "/api/v3/order", "kind": "truncated", "when": "after"},
    {"method": "GET", "path": "/api/v3/account", "kind": "drop"},
    {"method": "GET", "path": "/sapi/*", "kind": "status", "status": 418, "retry_after": 60},
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bars")
    demo.install(folder)
    return folder


@pytest.mark.parametrize(
    "source",
    [
        "environment",
        pytest.param("file", marks=pytest.mark.slow),
        pytest.param("encrypted file", marks=pytest.mark.slow),
    ],
)
def test_keys_are_written_nowhere(
    source: str, store: Path, tmp_path: Path, tally: Callable[..., None]
) -> None:
    printed = []
    codes = set()
    # Each run is a cold start; here the first of them, elsewhere all.
    whole = source != "environment"
    looks = (
        (["status"], ["health"], ["keys", "check"], ["reconcile", "--live"])
        if whole
        else (["reconcile", "--live"],)
    )
    with exchange(store) as url:
        config = write_configs(tmp_path, url, settle=2.0)
        keys = _keys(source, tmp_path / "private")
        for number, fault in enumerate(FAULTS if whole else FAULTS[:3]):
            control(url, "clock", at=f"2018-06-{number + 1:02d}T00:00:01Z")
            control(url, "fault", clear=True, faults=[fault] if fault else [])
            command = ["run", "--live", "--new-account", "--config", str(config), "--root", str(tmp_path)]
            done = _loud([*command, "--json"], keys)
            if fault is None:
                # However loud it is, standard output is one document.
                assert json.loads(done.stdout)["mode"] == "live"
            printed.append(done.stdout + done.stderr)
            codes.add(done.returncode)
        for command in looks:
            done = _loud([*command, "--config", str(config), "--root", str(tmp_path)], keys)
            printed.append(done.stdout + done.stderr)
        wrong = _loud(
            ["run", "--live", "--config", str(config), "--root", str(tmp_path)], keys | {"MNEMO_ENV": "x"}
        )
        printed.append(wrong.stdout + wrong.stderr)
        if source == "encrypted file":
            printed += _refusals(config, tmp_path / "private", keys)
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name != "private"]
    texts = [text.encode() for text in printed] + [path.read_bytes() for path in files]
    found = sum(text.count(word.encode()) for text in texts for word in (KEY, SECRET, PASSPHRASE))
    tally(f"canary secrets, keys from the {source}", cases=len(texts), failed=found, seed="none")
    assert found == 0
    # It was loud, keys were used, things went wrong, and there was something to look through.
    assert all("DEBUG" in text for text in printed[:2])
    assert any("[redacted]" in text for text in printed)
    assert {0, 4} <= codes
    assert {"main.sqlite", "bridge.jsonl", "incidents.jsonl"} <= {path.name for path in files}


def _keys(source: str, folder: Path) -> dict[str, str]:
    if source == "environment":
        return KEYS
    folder.mkdir()
    path = folder / "keys"
    environment = {"MNEMO_ENV": "prod", "MNEMO_BINANCE_KEYS_FILE": str(path)}
    if source == "file":
        _private(path, yaml.safe_dump({"api_key": KEY, "api_secret": SECRET}))
        return environment
    phrase = folder / "phrase"
    _private(phrase, PASSPHRASE + "\n")
    given = {"MNEMO_KEYS_PASSPHRASE_FILE": str(phrase)}
    made = _loud(["keys", "encrypt", "--exchange", "binance", "--to", str(path)], KEYS | given)
    assert made.returncode == 0
    assert not any(word in made.stdout + made.stderr for word in (KEY, SECRET, PASSPHRASE))
    return environment | given


def _private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def _refusals(config: Path, folder: Path, keys: dict[str, str]) -> list[str]:
    """What is printed of a damaged file, and of one that another passphrase was made for."""
    whole = json.loads((folder / "keys").read_text())
    _private(folder / "damaged", json.dumps({**whole, "exchange": "kraken"}))
    _private(folder / "other", PASSPHRASE[:-1])
    printed = []
    for change in (
        {"MNEMO_BINANCE_KEYS_FILE": str(folder / "damaged"), "MNEMO_KEYS_PASSPHRASE": PASSPHRASE},
        {"MNEMO_KEYS_PASSPHRASE_FILE": str(folder / "other")},
    ):
        done = _loud(["keys", "check", "--config", str(config), "--root", str(config.parent)], keys | change)
        assert done.returncode == 2
        printed.append(done.stdout + done.stderr)
    return printed


def _loud(arguments: list[str], keys: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", LOUD, *arguments]
    environment = {**os.environ, **keys}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
