"""Runbook, alert rules, dashboards and the table of metrics name the same things."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import live_bridge
from lab.core import errors
from live_bridge.monitoring.catalogue import INCIDENTS
from live_bridge.monitoring.metrics import METRICS, RunFacts, exposition

FOLDER = Path(live_bridge.__file__).parent
RUNBOOK = (FOLDER / "OPERATIONS_RUNBOOK.md").read_text(encoding="utf-8")
RULES = FOLDER / "deploy" / "alerts.rules.yml"
DASHBOARDS = sorted((FOLDER / "deploy" / "grafana").glob("*.json"))
PARTS = ("**Symptom:**", "**Command:**", "**Check:**", "**Escalation:**")


def entries() -> dict[str, str]:
    parts = re.split(r"^### (\S+)$", RUNBOOK, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rules() -> list[dict[str, Any]]:
    [group] = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


@pytest.mark.parametrize("code", sorted(INCIDENTS))
def test_every_incident_has_an_entry_with_its_severity(code: str) -> None:
    entry = entries()[code]
    assert entry.strip().startswith(INCIDENTS[code].name)
    assert all(part in entry for part in PARTS)


def test_every_rule_has_an_entry_that_its_annotation_points_to() -> None:
    for rule in rules():
        entry = entries()[rule["alert"]]
        assert all(part in entry for part in PARTS)
        assert rule["annotations"]["runbook"].endswith(f"#{rule['alert'].lower()}")
        assert entry.strip().startswith(rule["labels"]["severity"].upper())


def test_no_entry_is_about_nothing() -> None:
    assert set(entries()) == set(INCIDENTS) | {rule["alert"] for rule in rules()}


def test_every_exit_code_is_explained() -> None:
    codes = {
        cls.exit_code
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, errors.MnemoError)
    }
    listed = {int(number) for number in re.findall(r"^\| (\d+) \|", RUNBOOK, flags=re.MULTILINE)}
    assert codes | {0} == listed


def test_rules_and_dashboards_use_metrics_that_exist() -> None:
    texts = [rule["expr"] for rule in rules()] + [path.read_text(encoding="utf-8") for path in DASHBOARDS]
    used = {name for text in texts for name in re.findall(r"mnemo_bridge_[a-z_]+", text)}
    assert used <= set(METRICS)
    # What nobody looks at is not worth writing.
    assert used == set(METRICS)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_dashboards_are_whole(path: Path) -> None:
    dashboard = json.loads(path.read_text(encoding="utf-8"))
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert all(target["expr"] for target in panel["targets"])
    corners = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]]
    assert len(set(corners)) == len(corners)


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool (Debian package prometheus) is not installed"
)
def test_promtool_accepts_rules_and_metrics(tmp_path: Path) -> None:
    subprocess.run(["promtool", "check", "rules", str(RULES)], check=True, capture_output=True)
    document = {
        "now": "2024-05-01T00:00:01Z",
        "bar": "2024-04-30T00:00:00Z",
        "seconds": {"plan": 0.5},
        "limits": [{"limit": 'a "quoted" limit', "fraction": 0.72}],
        "orders": [{"side": "buy", "quantity": 1.0, "price": 100.0, "fill_price": 100.1, "status": "filled"}],
        "state": {
            "equity": 100.0,
            "cash": 50.0,
            "currency": "USDT",
            "mode": "NORMAL",
            "positions": [{"symbol": "BTC/USDT", "weight": 0.5, "quantity": 0.1}],
        },
    }
    journal = {
        "events": 3,
        "fills": 1,
        "fees": {"BNB": 0.1},
        "peak": 110.0,
        "day_start": 99.0,
        "closed": {"trend": "2024-05-01T00:00:00+00:00"},
    }
    facts = RunFacts("main", "core", 0, document, (("LOCKED", "INFO"),), journal, tmp_path / "no.sqlite", 0.0)
    text = exposition(facts)
    subprocess.run(["promtool", "check", "metrics"], input=text, check=True, capture_output=True)
    sampled = set(re.findall(r"^(mnemo_bridge_[a-z_]+)\{", text.decode(), flags=re.MULTILINE))
    assert set(METRICS) - sampled == {"mnemo_bridge_journal_bytes"}


def test_the_table_of_metrics_is_in_the_readme() -> None:
    text = (FOLDER / "monitoring" / "README.md").read_text(encoding="utf-8")
    for name, (labels, meaning) in METRICS.items():
        listed = ", ".join(f"`{label}`" for label in labels) or "-"
        assert f"| `{name}` | {listed} | {meaning} |" in text
