from __future__ import annotations

import pytest
from pydantic import Field

from lab.core.errors import ConfigError
from lab.core.settings import Fraction, RiskSettings, SearchSettings, Section, parse_document


class Leaf(Section):
    size: int = Field(1, ge=1)
    name: str = "x"


class Tree(Section):
    leaf: Leaf = Leaf()
    leaves: tuple[Leaf, ...] = ()
    share_pct: Fraction = 0.5
    needed: int


def fault(text, model=Tree):
    with pytest.raises(ConfigError) as caught:
        parse_document(text, model, source="file.yaml")
    assert caught.value.exit_code == 2
    return str(caught.value).splitlines()


def test_a_document_becomes_a_frozen_model():
    tree = parse_document("needed: 3\nleaf: {size: 2}\nleaves: [{}, {name: ' y '}]", Tree, source="file.yaml")
    assert (tree.needed, tree.leaf.size, tree.leaves[1].name) == (3, 2, "y")
    with pytest.raises(ValueError, match="frozen"):
        tree.needed = 4


def test_every_fault_is_one_line_with_file_line_and_key():
    lines = fault("needed: 1\nleaf:\n  sise: 2\n  size: 0\nleaves:\n  - {}\n  - name: []\n")
    assert len(lines) == 3
    assert "file.yaml:3: leaf.sise: unknown key; did you mean size? allowed: name, size" in lines
    assert any(line.startswith("file.yaml:4: leaf.size: found 0, ") for line in lines)
    assert any(line.startswith("file.yaml:7: leaves.1.name: found []") for line in lines)


def test_a_missing_key_is_named():
    assert fault("share_pct: 0.1") == ["file.yaml:1: needed: key missing; it is required"]


@pytest.mark.parametrize("value", ["30", "1.01", "-0.1", ".nan", ".inf", "yes", "'0.3 '"])
def test_what_is_no_fraction_is_refused(value):
    lines = fault(f"needed: 1\nshare_pct: {value}")
    assert lines[0].startswith("file.yaml:2: share_pct: found ")


def test_a_percentage_gets_the_hint():
    assert "write 30 % as 0.30" in fault("needed: 1\nshare_pct: 30")[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected lines of the form 'key: value'"),
        ("- 1\n- 2", "expected lines of the form 'key: value'"),
        ("needed: 1\nneeded: 2", "file.yaml:2: needed: key given twice"),
        ("needed: [1", "not readable as plain YAML"),
        ("needed: !!python/object/apply:os.system ['true']", "not readable as plain YAML"),
        ("needed: !include other.yaml", "not readable as plain YAML"),
        ("needed: 1\nleaf: " + "[" * 5_000, "file.yaml:"),
    ],
)
def test_text_that_is_no_plain_mapping_is_refused(text, expected):
    assert expected in "\n".join(fault(text))


def test_shipped_sections_refuse_nonsense():
    assert fault("max_position_pct: 2", RiskSettings)[0].startswith("file.yaml:1: max_position_pct: found 2")
    assert "train_bars" in fault("train_bars: 1", SearchSettings)[0]
    assert "'cmaes' or 'nsga2'" in fault("sampler: best", SearchSettings)[0]


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "alias"),
        ("z: &z [*z]\n", "alias"),
        ("? [a, b]\n: 1\n", ":1: expected a name as the key"),
        ("? {a: 1}\n: 1\n", ":1: expected a name as the key"),
        ("<<: {window: 5}\n", "no merging"),
        ("window: 2020-13-01\n", "month must be in 1..12"),
        ("z: " + "[" * 5_000 + "]" * 5_000, "nested too deeply"),
        ("# " + "x" * 1_000_000, "characters, expected at most 1,000,000"),
    ],
)
def test_odd_yaml_is_refused_in_a_sentence(text, words):
    (line,) = fault(text)
    assert words in line


def test_hundreds_of_faults_are_counted_not_listed():
    lines = fault("".join(f"k{i}: 1\n" for i in range(300)))
    assert len(lines) < 30
    assert "more faults" in lines[-1]
