"""The look through what a bridge leaves behind finds a key, wherever it stands."""

from __future__ import annotations

from pathlib import Path

from tests.oracle.canaries import KEY, PASSPHRASE, SECRET, Canaries


def test_a_key_and_a_secret_are_found_in_files_of_any_depth(tmp_path: Path) -> None:
    (tmp_path / "data" / "logs").mkdir(parents=True)
    (tmp_path / "data" / "logs" / "bridge.jsonl").write_text(f'{{"headers": "X-MBX-APIKEY: {KEY}"}}')
    (tmp_path / "data" / "main.sqlite").write_bytes(b"\x00\x01" + SECRET.encode() + b"\x00")
    (tmp_path / "data" / "alerts.json").write_text(f"MNEMO_KEYS_PASSPHRASE={PASSPHRASE}")
    (tmp_path / "data" / "clean").write_text("signature=[redacted]")
    canaries = Canaries()
    canaries.look_through([tmp_path])
    assert (canaries.texts, canaries.masked) == (4, 1)
    assert [found.partition(" in ")[2] for found in canaries.found] == [
        "alerts.json",
        "bridge.jsonl",
        "main.sqlite",
    ]
