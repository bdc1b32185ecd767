"""One run for all tests that only read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.report import ReportInput
from tests.oracle.report_run import write_run


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def report(run_folder: Path) -> ReportInput:
    return ReportInput.read(
        run_folder, {"run_id": "a" * 32, "tags": {"code_version": "1.0+abc", "seed": "9"}}
    )
