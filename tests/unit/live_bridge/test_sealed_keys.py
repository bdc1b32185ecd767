"""An encrypted key file opens with its passphrase, for its exchange, as it was written, or not at all."""

from __future__ import annotations

import json
import os
import pty
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.core.errors import ConfigError
from lab.core.hashing import digest
from live_bridge.cli import main
from live_bridge.keys import Keys, read_keys
from live_bridge.monitoring.redaction import Redactor
from live_bridge.sealed_keys import seal, write_sealed
from tests.oracle.canaries import KEY, PASSPHRASE, SECRET

FILE = "MNEMO_BINANCE_KEYS_FILE"
GIVEN = "MNEMO_KEYS_PASSPHRASE"
CHEAP = 2**14


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return seal(Keys(KEY, SECRET), exchange="binance", passphrase=PASSPHRASE, cost=CHEAP)


def refusal(path: Path, **environment: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_keys("binance", {FILE: str(path), **environment})
    text = str(caught.value)
    assert not any(word in text for word in (KEY, SECRET, PASSPHRASE))
    # Nothing to see for whoever prints the whole chain either.
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return text


def again(document: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A changed document whose checksum is right: only authentication can tell."""
    changed = {name: value for name, value in {**document, **changes}.items() if name != "checksum"}
    return changed | {"checksum": digest(changed)}


def private(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_file_opens_with_its_passphrase_and_shows_nothing(document: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "folder" / "keys.enc"
    write_sealed(path, document)
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    assert not any(word in text for word in (KEY, SECRET, PASSPHRASE))
    keys = read_keys("binance", {FILE: str(path), GIVEN: PASSPHRASE})
    assert (keys.key, keys.secret, keys.source) == (KEY, SECRET, "encrypted file")
    # Whatever this process writes from now on.
    assert Redactor().text(f"{KEY} {SECRET} {PASSPHRASE}") == "[redacted] [redacted] [redacted]"


def test_two_files_of_one_key_have_nothing_in_common(document: dict[str, Any]) -> None:
    other = seal(Keys(KEY, SECRET), exchange="binance", passphrase=PASSPHRASE, cost=CHEAP)
    assert other["sealed"] != document["sealed"]
    assert other["kdf"]["salt"] != document["kdf"]["salt"]
    assert other["cipher"]["nonce"] != document["cipher"]["nonce"]


def test_a_passphrase_comes_from_a_private_file_too(document: dict[str, Any], tmp_path: Path) -> None:
    path = private(tmp_path / "keys.enc", json.dumps(document))
    phrase = private(tmp_path / "phrase", PASSPHRASE + "\r\n")
    where = {FILE: str(path), f"{GIVEN}_FILE": str(phrase)}
    assert read_keys("binance", where) == Keys(KEY, SECRET)
    phrase.chmod(0o640)
    assert "mode 0640, others can read it" in refusal(path, **{f"{GIVEN}_FILE": str(phrase)})
    # systemd's own folder: nobody else may enter it, and what looks like a group's right is a mask.
    assert read_keys("binance", {**where, "CREDENTIALS_DIRECTORY": str(tmp_path)}) == Keys(KEY, SECRET)
    phrase.chmod(0o644)
    told = refusal(path, **{f"{GIVEN}_FILE": str(phrase), "CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert "mode 0644" in told


@pytest.mark.parametrize(
    ("text", "message"), [("", "one line"), ("\n", "one line"), (f"{PASSPHRASE}\nmore", "one line")]
)
def test_a_passphrase_file_holds_one_line(
    document: dict[str, Any], tmp_path: Path, text: str, message: str
) -> None:
    path = private(tmp_path / "keys.enc", json.dumps(document))
    assert message in refusal(path, **{f"{GIVEN}_FILE": str(private(tmp_path / "phrase", text))})


def test_each_way_not_to_open_says_which_it_is(document: dict[str, Any], tmp_path: Path) -> None:
    def told(changed: Any, passphrase: str = PASSPHRASE) -> str:
        text = changed if isinstance(changed, str) else json.dumps(changed)
        return refusal(private(tmp_path / "keys.enc", text), **{GIVEN: passphrase})

    sealed = document["sealed"]
    assert "does not open" in told(document, PASSPHRASE + "x")
    assert "is damaged" in told({**document, "sealed": sealed.replace(sealed[5], "A")})
    assert "is damaged" in told({key: document[key] for key in document if key != "checksum"})
    assert "nor is it whole" in told(json.dumps(document)[:200])
    assert "of another program" in told({**document, "format": "age-encryption.org/v1"})
    assert "version 2, this program reads 1" in told({**document, "version": 2})
    assert "holds keys of kraken; expected those of binance" in told(again(document, exchange="kraken"))
    path = private(tmp_path / "keys.enc", json.dumps(document))
    assert "expected its passphrase in MNEMO_KEYS_PASSPHRASE or" in refusal(path)
    path.chmod(0o604)
    assert "mode 0604" in refusal(path, **{GIVEN: PASSPHRASE})


@pytest.mark.parametrize(
    "change",
    [
        {"n": CHEAP * 2},  # another cost, so another key
        {"n": 2**30},  # all memory there is
        {"n": CHEAP + 1},
        {"n": "16384"},
        {"r": 9},
        {"name": "argon2id"},
        {"salt": "AAAA"},
        {"salt": "no base64"},
        {"salt": None},
    ],
)
def test_what_was_changed_with_its_checksum_does_not_open(
    document: dict[str, Any], tmp_path: Path, change: dict[str, Any]
) -> None:
    changed = again(document, kdf={**document["kdf"], **change})
    told = refusal(private(tmp_path / "keys.enc", json.dumps(changed)), **{GIVEN: PASSPHRASE})
    assert "is damaged" in told or "does not open" in told


@pytest.mark.parametrize("field", ["sealed", "cipher"])
def test_what_is_sealed_cannot_be_put_together_from_two_files(
    document: dict[str, Any], tmp_path: Path, field: str
) -> None:
    other = seal(Keys(KEY, SECRET), exchange="binance", passphrase=PASSPHRASE, cost=CHEAP)
    mixed = again(document, **{field: other[field]})
    path = private(tmp_path / "keys.enc", json.dumps(mixed))
    assert "does not open" in refusal(path, **{GIVEN: PASSPHRASE})


def test_a_short_passphrase_is_not_taken() -> None:
    with pytest.raises(ConfigError, match="shorter than 12 characters"):
        seal(Keys(KEY, SECRET), exchange="binance", passphrase="eleven char")


@pytest.mark.parametrize("text", ["api_key:\napi_secret: s\n", "api_key: ''\napi_secret: s\n", "- 1\n", ""])
def test_a_plain_file_without_values_is_refused(tmp_path: Path, text: str) -> None:
    assert "does not hold api_key and api_secret" in refusal(private(tmp_path / "keys.yaml", text))


@pytest.mark.integration
def test_the_command_asks_without_showing_and_never_replaces_unasked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "keys.enc"
    answers = [KEY, SECRET, PASSPHRASE, PASSPHRASE]
    arguments = ["keys", "encrypt", "--exchange", "binance", "--to", str(path)]
    shown, code = typed(arguments, answers)
    assert code == 0, shown
    assert not any(word in shown for word in (KEY, SECRET, PASSPHRASE))
    assert read_keys("binance", {FILE: str(path), GIVEN: PASSPHRASE}) == Keys(KEY, SECRET)
    before = path.read_bytes()
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert (ended.value.code, path.read_bytes()) == (2, before)
    assert "is there already" in capsys.readouterr().err


def typed(arguments: list[str], answers: list[str]) -> tuple[str, int]:
    """Run the command at a terminal, answer each question when it is asked, and return all that it showed."""
    pid, terminal = pty.fork()
    if pid == 0:
        for name in [name for name in os.environ if name.startswith("MNEMO_")]:
            del os.environ[name]
        os.execv(sys.executable, [sys.executable, "-m", "live_bridge", *arguments])
    shown, left = "", list(answers)
    while True:
        try:
            found = os.read(terminal, 4_096)
        except OSError:
            break
        if not found:
            break
        shown += found.decode()
        if left and shown.endswith("(not shown): "):
            os.write(terminal, left.pop(0).encode() + b"\n")
    _, status = os.waitpid(pid, 0)
    return shown, os.waitstatus_to_exitcode(status)


def test_the_command_takes_nothing_from_its_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["keys", "encrypt", "--exchange", "binance", "--to", "keys.enc", "--api-key", KEY])
    assert ended.value.code == 2
    assert KEY not in capsys.readouterr().err
