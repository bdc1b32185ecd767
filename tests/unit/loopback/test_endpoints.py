"""The recipe that points CCXT's class at another host."""

import ccxt
import pytest

from lab.core.errors import ConfigError
from lab.data.venues import ccxt_options


def urls(value):
    if isinstance(value, dict):
        return [url for each in value.values() for url in urls(each)]
    return [value]


def test_no_call_of_a_redirected_class_can_reach_the_real_exchange():
    redirected = ccxt.binance(ccxt_options("http://127.0.0.1:9/"))
    assert set(redirected.urls["api"]) == set(ccxt.binance().urls["api"])
    assert {url.split("/")[2] for url in urls(redirected.urls["api"])} == {"127.0.0.1:9"}


def test_only_the_host_changes():
    original = ccxt.binance().urls["api"]
    redirected = ccxt_options("https://other.example")["urls"]["api"]
    for section, url in original.items():
        assert redirected[section].split("/", 3)[3] == url.split("/", 3)[3]


@pytest.mark.parametrize("url", ["ftp://host", "host", "", "http://127.0.0.1/api", "http://example.org"])
def test_other_addresses_are_refused(url):
    with pytest.raises(ConfigError, match="base_url"):
        ccxt_options(url)
