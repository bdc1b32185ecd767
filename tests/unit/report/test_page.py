"""Markup and page: everything escaped, nothing fetched, scripts pinned."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
import re
from html.parser import HTMLParser
from typing import Any

import polars as pl
import pytest

from lab.core.errors import ConfigError
from lab.report.page.build import PLOTLY, build_page, external_references
from lab.report.page.markup import Column, chance, decimal, facts, percent, signed_percent, table, text

HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)">\'"&\x00\u202e' + "é" * 200


def cell(kind: str, source: str = "", *, tags: tuple[str, ...] = (), outputs: Any = ()) -> dict[str, Any]:
    return {"cell_type": kind, "source": source, "metadata": {"tags": list(tags)}, "outputs": list(outputs)}


def shown(**data: Any) -> dict[str, Any]:
    names = {"html": "text/html", "plain": "text/plain", "figure": PLOTLY, "png": "image/png"}
    return {"output_type": "display_data", "data": {names[key]: value for key, value in data.items()}}


class Tags(HTMLParser):
    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_hostile_text_stays_text_in_tables_and_facts() -> None:
    frame = pl.DataFrame({"market": [HOSTILE], "n": [1.5]})
    columns = (Column("market", HOSTILE), Column("n", "n", decimal))
    for found in (
        table(frame, columns, name=HOSTILE, caption=HOSTILE),
        facts({HOSTILE: HOSTILE}, name=HOSTILE),
    ):
        parsed = Tags(found.markup)
        assert {tag for tag, _ in parsed.tags} <= {"div", "table", "thead", "tbody", "tr", "th", "td", "p"}
        assert not any(name.startswith("on") for _, attributes in parsed.tags for name in attributes)
        assert any("alert(1)" in words for words in parsed.words)
    assert "\x00" not in text(HOSTILE)
    assert "\u202e" not in text(HOSTILE)


def test_numbers_are_written_with_a_true_minus_and_kept_exact_for_export() -> None:
    assert [decimal(value) for value in (-1.234, 1234.5, None, math.nan, math.inf)] == [
        "−1.23",
        "1,234.50",
        "–",
        "–",
        "∞",
    ]
    assert (percent(-0.0001), signed_percent(0.0), chance(0.9999)) == ("0.0%", "0.0%", "> 99.9%")
    found = table(pl.DataFrame({"x": [-1 / 3]}), [Column("x", "x", percent, tint=True)], name="x").markup
    assert f'data-v="{-1 / 3!r}"' in found
    assert 'class="neg"' in found


def test_markdown_headings_open_sections_and_code_is_left_out() -> None:
    page = build_page(
        [
            cell("markdown", "# Notes\nfor authors", tags=("hide",)),
            cell("code", "secret = 1", outputs=[shown(html="<p>top</p>")]),
            cell("markdown", "## First <b>\nwords *here*"),
            cell("code", "x", outputs=[shown(plain="a < b")], tags=("half",)),
            cell("code", "y", outputs=[{"output_type": "stream", "name": "stderr", "text": "noise"}]),
            cell("code", "y", outputs=[{"output_type": "stream", "name": "stdout", "text": "said <i>"}]),
            cell("code", "z", outputs=[shown(html="<p>hidden</p>")], tags=("hide",)),
        ],
        title=HOSTILE,
    )
    assert "for authors" not in page
    assert "secret" not in page
    assert "noise" not in page
    assert "hidden</p>" not in page
    assert "<em>here</em>" in page
    assert "First &lt;b&gt;" in page
    assert '<pre class="half">a &lt; b</pre>' in page
    assert "said &lt;i&gt;" in page
    assert page.count("<section ") == 1
    title = re.search("<title>(.*?)</title>", page)
    assert title is not None
    assert "<" not in title[1]


def test_figures_are_data_that_no_parser_takes_for_markup() -> None:
    figure = {"data": [{"name": HOSTILE, "x": [1]}], "layout": {"height": 300}, "config": {}}
    page = build_page([cell("markdown", "## A"), cell("code", "", outputs=[shown(figure=figure)])], title="t")
    embedded = re.search(
        r'<div class="plot".*?<script type="application/json">(.*?)</script>', page, re.DOTALL
    )
    assert embedded is not None
    assert "<" not in embedded[1]
    assert json.loads(embedded[1])["data"][0]["name"] == HOSTILE


def test_only_scripts_whose_hash_is_in_the_policy_exist() -> None:
    figure = {"data": [], "layout": {}}
    page = build_page([cell("code", "", outputs=[shown(figure=figure)])], title="t")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    directives = html.unescape(policy[1])
    assert "default-src 'none'" in directives
    assert "http" not in directives
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 2  # the plotting library and the page's own
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in directives
    assert "'unsafe-inline'" not in directives.split("script-src")[1].split(";")[0]


def test_a_page_without_figures_carries_no_plotting_library() -> None:
    assert len(build_page([cell("code", "", outputs=[shown(html="<p>x</p>")])], title="t")) < 40_000


@pytest.mark.parametrize(
    "markup",
    [
        '<img src="https://example.org/a.png">',
        "<link rel=stylesheet href=//example.org/a.css>",
        "<style>p { background: url(http://example.org/a) }</style>",
        "<style>@import 'https://example.org/a.css'</style>",
        '<form action="https://example.org"></form>',
    ],
)
def test_a_notebook_that_shows_something_from_elsewhere_is_refused(markup: str) -> None:
    assert external_references(markup)
    with pytest.raises(ConfigError, match=r"would fetch .*example\.org"):
        build_page([cell("code", "", outputs=[shown(html=markup)])], title="t")


def test_embedded_images_and_anchors_are_no_requests() -> None:
    page = build_page([cell("code", "", outputs=[shown(png="aGk=\n")])], title="t")
    assert 'src="data:image/png;base64,aGk="' in page
    assert external_references('<a href="#top">x</a><img src="data:image/png;base64,//8=">') == []
