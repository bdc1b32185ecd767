"""The quality files of a root act on what strategies see, not on the marks alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lab.core.errors import ConfigError
from lab.data.demo import install
from lab.pipeline.inputs import load_inputs
from lab.pipeline.settings import in_force

CONFIG = Path(__file__).parents[3] / "research" / "strategies" / "demo_tsm_1d.yaml"


def test_a_policy_of_the_root_reaches_the_panel(tmp_path: Path) -> None:
    install(tmp_path)
    shipped = load_inputs(CONFIG, root=tmp_path)
    (tmp_path / "data" / "quality.yaml").write_text("spike_atr_multiple: 3.0\npolicies: {spike: pause}\n")
    paused = load_inputs(CONFIG, root=tmp_path)
    hidden = np.isnan(paused.panel["close"]) & ~np.isnan(shipped.panel["close"])
    assert hidden.any()
    assert (~np.isnan(paused.panel["received_close"][hidden])).all()
    assert shipped.data_hash != paused.data_hash


def test_settings_in_force_are_those_of_the_root(tmp_path: Path) -> None:
    shipped = in_force(None, root=tmp_path)["quality"]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "quality.yaml").write_text("atr_bars: 7\n")
    assert in_force(None, root=tmp_path)["quality"] == {**shipped, "atr_bars": 7}
    (tmp_path / "data" / "quality.yaml").write_text("atr_bar: 7\n")
    with pytest.raises(ConfigError, match="atr_bar"):
        in_force(None, root=tmp_path)
