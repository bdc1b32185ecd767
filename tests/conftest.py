"""Rules that hold for every test: UTC, no telemetry, nobody's keys, and real data only where it is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

REAL_DATA_VARIABLE = "MNEMO_REAL_DATA"

# Before any library is imported. A user's settings, root folder and exchange keys never reach a test.
for _name in [name for name in os.environ if name.startswith("MNEMO_") and name != REAL_DATA_VARIABLE]:
    del os.environ[_name]
os.environ["TZ"] = "UTC"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
time.tzset()

hypothesis.settings.register_profile(
    "ci", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=2_000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def _real_data_folder() -> Path | None:
    value = os.environ.get(REAL_DATA_VARIABLE)
    if not value:
        return None
    folder = Path(value).expanduser().resolve()
    if not folder.is_dir():
        raise pytest.UsageError(f"{REAL_DATA_VARIABLE}={value} is not a folder; unset it to skip these tests")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if _real_data_folder() is not None:
        return
    skip = pytest.mark.skip(
        reason=f"needs recorded market data: set {REAL_DATA_VARIABLE} to a folder that has it"
    )
    for item in items:
        if item.get_closest_marker("real_data"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of recorded market data; a test that uses it carries the marker real_data too."""
    folder = _real_data_folder()
    if folder is None:
        pytest.skip(f"needs recorded market data: set {REAL_DATA_VARIABLE} to a folder that has it")
    return folder


TALLY = "tally"


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Tell what a sweep over many cases found: ``tally("kill -9", cases=300, failed=0, seed=7)``.

    The lines stand at the end of the test run's output, also with several processes.
    """

    def tell(name: str, *, cases: int, failed: int, seed: int | str, **more: object) -> None:
        rest = "".join(f", {key} {value}" for key, value in more.items())
        record_property(TALLY, f"{name}: cases {cases:,}, failed {failed:,}, seed {seed}{rest}")

    return tell


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the tallies of all tests."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    lines = {str(value) for report in reports for key, value in report.user_properties if key == TALLY}
    if lines:
        terminalreporter.section("cases")
        for line in sorted(lines):
            terminalreporter.write_line(line)
