"""Keys of stored features: what a feature is, and the code that computes it."""

from __future__ import annotations

import pytest

from lab.core.timeframe import Timeframe
from lab.features import definitions, ema, mean, total, volatility
from lab.features.code import code_digest, reached_functions
from lab.features.definition import Bars, Definition
from lab.features.table import Table

HOUR = Timeframe.parse("1h")
FEATURES = (mean("close", 20), volatility(10), total("volume", 24), ema("close", 2))


def test_key_holds_parameters_version_timeframe_and_code() -> None:
    names = {
        Table.of([feature], timeframe).name
        for feature in (*FEATURES, mean("close", 21), mean("close", 20, min_valid=0.5))
        for timeframe in (HOUR, Timeframe.parse("1d"))
    }
    assert len(names) == 12
    assert Table.of(FEATURES, HOUR).name == Table.of(FEATURES[::-1], HOUR, ["x:A/USDT"]).name


def test_code_digest_reaches_kernels_and_their_helpers() -> None:
    reached = reached_functions(definitions()["volatility"])
    assert "lab.features.kernels.changes.log_changes" in reached
    kernels = [name for name in reached if name.startswith("lab.features.kernels.")]
    assert len({name.split(".")[3] for name in kernels}) > 1
    assert "lab.features.definition.least_valid" in reached


def test_code_digest_sees_meaning_not_layout() -> None:
    def plain(feature, bars: Bars):  # type: ignore[no-untyped-def]
        return bars.columns[0] * 2.0

    first = _digest_of(plain)

    def plain(feature, bars: Bars):  # type: ignore[no-untyped-def]
        """Say the same with words."""
        # and a comment
        return (bars.columns[0]
                * 2.0)  # fmt: skip

    second = _digest_of(plain)

    def plain(feature, bars: Bars):  # type: ignore[no-untyped-def]
        return bars.columns[0] * 2.5

    assert first == second
    assert _digest_of(plain) != first


def _digest_of(evaluate: object) -> str:
    return code_digest(
        Definition("probe", "1", lambda _: ("close",), lambda _: 1, evaluate)  # type: ignore[arg-type]
    )


def test_code_digest_sees_constants_of_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    from lab.features import windows

    before = code_digest(definitions()["ema"])
    monkeypatch.setattr(windows, "MEMORY_SPANS", 12)
    code_digest.cache_clear()
    assert code_digest(definitions()["ema"]) != before
    monkeypatch.undo()
    code_digest.cache_clear()
    assert code_digest(definitions()["ema"]) == before
