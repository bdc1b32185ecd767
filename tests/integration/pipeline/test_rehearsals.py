"""The real bridge over history: its books against the backtest's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab.core.errors import ConfigError, DataError
from lab.data import demo
from lab.pipeline.rehearsal import Mode, rehearse

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("rehearsals")]

PORTFOLIO = Path(__file__).parents[3] / "research" / "portfolios" / "demo.yaml"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rehearsal")
    demo.install(folder)
    return folder


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize("mode", ["paper", "live"])
def test_without_rounding_the_bridge_is_its_backtest(
    root: Path, mode: Mode, tally: Callable[..., None]
) -> None:
    start, end = day("2018-11-10"), day("2018-11-21")
    found = rehearse(PORTFOLIO, root=root, start=start, end=end, mode=mode, exact=True)
    tally(
        f"rehearsed ticks, {mode}, exact",
        cases=found["ticks"],
        failed=found["failed"],
        seed="none",
        mismatches=found["mismatches"],
        equity_difference=f"{found['equity_difference']:.1e}",
    )
    assert found["failed"] == found["mismatches"] == 0
    assert found["ticks"] == 12
    # Otherwise nothing was compared.
    assert found["orders"] == found["orders_backtest"] > 0
    assert found["equity_difference"] < 1e-9


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("exact", [True, False], ids=["exact", "rounded"])
@pytest.mark.parametrize("mode", ["paper", "live"])
def test_two_years_with_a_crash(root: Path, mode: Mode, exact: bool, tally: Callable[..., None]) -> None:
    start, end = day("2018-03-01"), day("2019-07-31")
    found = rehearse(PORTFOLIO, root=root, start=start, end=end, mode=mode, exact=exact)
    tally(
        f"rehearsed ticks, two years, {mode}, {'exact' if exact else 'rounded'}",
        cases=found["ticks"],
        failed=found["failed"],
        seed="none",
        mismatches=found["mismatches"],
        equity_difference=f"{found['equity_difference']:.1e}",
        residual=f"{found['residual']:.1e}",
    )
    assert found["ticks"] >= 500
    assert found["failed"] == found["mismatches"] == 0
    # A hole of twelve days in March 2019; just after a close, one bar behind is ordinary.
    assert found["without_bars"] == 11
    assert found["residual"] < 1e-9
    if exact:
        assert found["equity_difference"] < 1e-9
    else:
        assert 0 < found["equity_difference"] < 1e-3


@pytest.mark.parametrize(
    ("start", "end", "error", "text"),
    [
        ("2018-11-10T03:00", "2018-11-12", ConfigError, "not the opening time"),
        ("2018-11-12", "2018-11-10", ConfigError, "before --from"),
        ("2019-12-30", "2021-01-05", DataError, "stored bars reach from"),
    ],
    ids=["off the grid", "backwards", "beyond the last bar"],
)
def test_times_that_cannot_be_rehearsed(
    root: Path, start: str, end: str, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        rehearse(PORTFOLIO, root=root, start=day(start), end=day(end))
