"""Every leak of the corpus is found as what it is, and no clean twin is blamed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from lab.core.panel import Panel
from lab.validation.causality import Certificate, certify
from tests.oracle.leaks import CORPUS, Leak, revised_panel
from tests.oracle.leaky_panels import make_panel
from tests.oracle.leaky_signals import last_close, rank_in_the_universe

SECONDS: list[float] = []


@pytest.fixture(scope="module", autouse=True)
def total_time(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\nleak corpus: {len(SECONDS)} certificates in {sum(SECONDS):.1f} s")


def timed(*arguments: object, **options: object) -> Certificate:
    start = time.perf_counter()
    certificate = certify(*arguments, **options)  # type: ignore[arg-type]
    SECONDS.append(time.perf_counter() - start)
    return certificate


def test_the_corpus_is_large_enough() -> None:
    assert len({leak.name for leak in CORPUS}) == len(CORPUS) >= 25


@pytest.mark.parametrize("leak", CORPUS, ids=lambda leak: leak.name)
def test_leak_is_found_as_what_it_is(leak: Leak) -> None:
    panel = make_panel(leak.holes)
    certificate = timed(leak.leaky, panel, None, lookback=leak.lookback, per_market=leak.per_market)
    assert [finding.kind for finding in certificate.findings] == [leak.kind]
    assert not certificate.ok
    (finding,) = certificate.findings
    assert finding.time == f"{np.datetime_as_string(panel.ts[finding.bar - panel.bar[0]], unit='m')}Z"
    assert finding.market in (*panel.markets, "")


@pytest.mark.parametrize("leak", CORPUS, ids=lambda leak: leak.name)
def test_clean_twin_is_not_blamed(leak: Leak) -> None:
    panel = make_panel(leak.holes)
    certificate = timed(leak.clean, panel, None, lookback=leak.clean_lookback, per_market=leak.per_market)
    assert certificate.findings == ()
    assert certificate.lookback_measured == leak.clean_lookback
    assert (certificate.mismatches, certificate.max_ulp) == (0, 0)
    assert certificate.bars_checked == len(panel) - leak.clean_lookback + 1


def test_revised_data_read_as_original_is_found() -> None:
    final = make_panel()
    certificate = timed(
        last_close, final, None, lookback=2, as_known=revised_panel(final, dict.fromkeys(range(40, 60), 1.02))
    )
    assert [finding.kind for finding in certificate.findings] == ["revision"]
    assert 40 <= certificate.findings[0].bar - final.bar[0] < 63
    assert timed(last_close, final, None, lookback=2, as_known=revised_panel(final, {})).ok


def test_universe_without_the_delisted_is_found() -> None:
    everything = make_panel()
    survivors = everything.select(everything.markets[:2])

    def known(bar: int) -> Panel:
        row = bar - int(everything.bar[0])
        return (everything if row < 90 else survivors).rows(0, row + 1)

    certificate = timed(rank_in_the_universe, survivors, None, lookback=1, as_known=known)
    assert [finding.kind for finding in certificate.findings] == ["revision"]
    delisted = {
        key: np.where(np.arange(150)[:, None] < 90, v, np.nan) for key, v in everything.fields.items()
    }
    full = {key: np.column_stack([everything[key][:, :2], delisted[key][:, 2:]]) for key in delisted}
    complete = replace(everything, fields=full)

    def complete_then(bar: int) -> Panel:
        return complete.rows(0, bar - int(complete.bar[0]) + 1)

    assert timed(rank_in_the_universe, complete, None, lookback=1, as_known=complete_then).ok
