"""Secrets are masked wherever they stand."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live_bridge.monitoring.redaction import MASK, Redactor, mask_all_logs

KEY = "canaryKEY0123456789abcdef"
SECRET = "canarySECRET9876543210"
ENVIRONMENT = {
    "MNEMO_BINANCE_API_KEY": KEY,
    "MNEMO_BINANCE_API_SECRET": SECRET,
    "MNEMO_ALERT_URLS": "tgram://bottokenbottoken/42",
    "MNEMO_ROOT": "/a/folder/that/is/shown",
    "HOME": "/home/somebody",
}

NESTED = st.recursive(
    st.sampled_from([KEY, SECRET, f"key={KEY}", f"{SECRET}.", "plain", "", 1, 2.5, None, True]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", KEY, "b"]), inner),
    max_leaves=8,
)


@given(NESTED)
def test_no_known_secret_survives_anywhere(value: object) -> None:
    text = json.dumps(Redactor.from_environment(ENVIRONMENT).value(value))
    assert KEY not in text
    assert SECRET not in text


def test_only_secrets_of_the_project_are_masked() -> None:
    redactor = Redactor.from_environment(ENVIRONMENT)
    assert redactor.text("at /a/folder/that/is/shown in /home/somebody") == (
        "at /a/folder/that/is/shown in /home/somebody"
    )
    assert redactor.text("tgram://bottokenbottoken/42 refused") == f"{MASK} refused"


def test_what_stands_where_secrets_stand_is_masked_without_knowing_it() -> None:
    redactor = Redactor()
    assert "9f8e7d" not in redactor.text("POST /order?timestamp=1&signature=9f8e7d")
    assert "abcd" not in redactor.text("{'X-MBX-APIKEY': 'abcd'}")
    assert redactor.value({"apiKey": "abcd", "api_secret": "efgh", "symbol": "BTC/USDT"}) == {
        "apiKey": MASK,
        "api_secret": MASK,
        "symbol": "BTC/USDT",
    }


def test_short_values_do_not_mask_words() -> None:
    assert Redactor(["abc"]).text("abc is a word") == "abc is a word"


@pytest.fixture
def library_log() -> Iterator[io.StringIO]:
    """What some library's logger prints, with everybody's records masked."""
    before = logging.getLogRecordFactory()
    mask_all_logs(Redactor([KEY]))
    stream = io.StringIO()
    logger = logging.getLogger("some.library")
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield stream
    logger.removeHandler(handler)
    logging.setLogRecordFactory(before)


def test_other_libraries_log_no_secrets_either(library_log: io.StringIO) -> None:
    logger = logging.getLogger("some.library")
    logger.debug("%s headers: %s", "GET", {"X-MBX-APIKEY": "unknown-one", "other": KEY})
    try:
        raise ValueError(f"signed with {KEY} at https://host/order?signature=abc123")
    except ValueError:
        logger.exception("it failed")
    text = library_log.getvalue()
    assert "GET headers" in text
    assert "it failed" in text
    assert "Traceback" in text
    assert not any(secret in text for secret in (KEY, "unknown-one", "abc123"))
