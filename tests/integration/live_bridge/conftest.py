"""An exchange with the bundled bars, and a live bridge of two instances pointed at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.data import demo
from tests.oracle.bridge_harness import control, exchange, write_configs


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("store")
    demo.install(root)
    with exchange(root) as address:
        yield address


@pytest.fixture
def config(tmp_path: Path, url: str) -> Path:
    control(url, "reset")
    control(url, "venue", levels=1, level_quantity=None, fee_asset="received")
    return write_configs(tmp_path, url)
