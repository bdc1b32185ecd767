"""What a ledger says to lines that were changed, moved or removed, or are of another version."""

from __future__ import annotations

import hashlib
import json

import pytest

from lab.search.chain import GENESIS
from lab.search.ledger import LedgerError
from tests.oracle.search import IDENTITY, batch

FAMILY = "time_series_momentum"


def lines_of(ledger):
    return ledger.path.read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_deleted_line_is_detected(ledger, position):
    lines = lines_of(ledger)
    del lines[position]
    ledger.path.write_bytes(b"".join(lines))
    for read in (ledger.verify, lambda: ledger.judge(FAMILY, IDENTITY)):
        with pytest.raises(LedgerError, match="restore"):
            read()


@pytest.mark.parametrize("position", [0, 1, 2])
def test_an_edited_line_is_detected(ledger, position):
    lines = lines_of(ledger)
    document = json.loads(lines[position])
    document["sharpes"][0] += 0.5
    lines[position] = json.dumps(document, separators=(",", ":")).encode() + b"\n"
    ledger.path.write_bytes(b"".join(lines))
    with pytest.raises(LedgerError, match=rf"trials\.jsonl:{position + 1}: .*changed, moved or removed"):
        ledger.verify()


def test_reordered_lines_are_detected(ledger):
    lines = lines_of(ledger)
    lines[0], lines[1] = lines[1], lines[0]
    ledger.path.write_bytes(b"".join(lines))
    with pytest.raises(LedgerError, match=r"trials\.jsonl:1: "):
        ledger.verify()


def test_a_rewritten_end_is_refused_by_the_next_append(ledger):
    lines = lines_of(ledger)
    ledger.path.write_bytes(b"".join(lines[:-1]))
    with pytest.raises(LedgerError, match="last line is not the one recorded"):
        ledger.append(batch("g", [0.1]))
    ledger.path.unlink()
    with pytest.raises(LedgerError, match="0 lines found, 3 recorded"):
        ledger.judge(FAMILY, IDENTITY)


def test_a_removed_or_broken_head_is_detected(ledger):
    head = ledger.path.with_name("head.json")
    head.write_text("{")
    with pytest.raises(LedgerError, match="cannot be read"):
        ledger.verify()
    head.unlink()
    with pytest.raises(LedgerError, match="3 lines found, 0 recorded"):
        ledger.verify()


def rewritten(path, schema):
    """The same ledger with its lines' schema replaced, in a sound chain."""
    previous = GENESIS
    lines = []
    for line in path.read_text().splitlines():
        document = json.loads(line)
        del document["hash"]
        text = json.dumps({**document, "schema": schema}, separators=(",", ":"))
        previous = hashlib.sha256((previous + text).encode()).hexdigest()
        lines.append(text[:-1] + f',"hash":"{previous}"}}\n')
    path.write_text("".join(lines))
    path.with_name("head.json").write_text(json.dumps({"lines": len(lines), "head": previous}))


def test_lines_of_the_first_schema_are_read(ledger):
    expected = ledger.judge(FAMILY, IDENTITY)
    rewritten(ledger.path, 1)
    found = ledger.judge(FAMILY, IDENTITY)
    assert (found.n_trials, found.scaled_variance) == (expected.n_trials, expected.scaled_variance)
    ledger.append(batch("g", [0.1]))
    assert ledger.judge(FAMILY, IDENTITY).n_trials == expected.n_trials + 1


def test_lines_of_a_later_schema_are_refused_with_what_to_do(ledger):
    rewritten(ledger.path, 3)
    for read in (ledger.verify, lambda: ledger.judge(FAMILY, IDENTITY), lambda: list(ledger.batches())):
        with pytest.raises(LedgerError, match=r"schema 3, this version reads 1, 2; .*upgrade"):
            read()
