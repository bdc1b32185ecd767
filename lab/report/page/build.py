"""One self-contained HTML page from an executed notebook: no request to anywhere, scripts pinned by hash."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Final

from lab.core.errors import ConfigError
from lab.report.page.markup import text
from lab.report.palette import DARK

__all__ = ["build_page", "external_references"]

Cell = Mapping[str, Any]

PLOTLY: Final = "application/vnd.plotly.v1+json"
_HEADING: Final = re.compile(r"\A##\s+(.+)")
# Attributes and styles that make a browser fetch something; page-internal and embedded data are fine.
_REFERENCE: Final = re.compile(
    r"""(?:\b(?:src|href|srcset|poster|data|action)\s*=\s*["']?|url\(\s*["']?|@import\s+["']?)"""
    r"""(?P<target>(?:https?:)?//[^"'\s>)]+)""",
    re.IGNORECASE,
)


@dataclass(slots=True)
class _Section:
    title: str
    parts: list[str] = field(default_factory=list)


def build_page(cells: Iterable[Cell], *, title: str) -> str:
    """Return the page of an executed notebook.

    Parameters
    ----------
    cells : iterable of mapping
        As nbformat has them. A markdown cell that begins with ``## `` opens a section; code is left out, its
        outputs stay: figures, HTML, images, text. Cells tagged ``half`` share a row on wide screens, those
        tagged ``hide`` and everything on stderr are left out.
    title : str
        Of the document; escaped here.

    Raises
    ------
    ConfigError
        If the page would fetch something from elsewhere.
    """
    sections = [_Section("")]
    figures = 0
    for cell in cells:
        tags = set(cell["metadata"].get("tags", ()))
        if "hide" in tags:
            continue
        if cell["cell_type"] == "markdown":
            heading = _HEADING.match(cell["source"])
            if heading:
                sections.append(_Section(heading[1].strip()))
            sections[-1].parts.append(_markdown(cell["source"]))
        elif cell["cell_type"] == "code":
            half = "half" in tags
            for output in cell.get("outputs", ()):
                part = _output(output, f"figure-{figures}", sections[-1].title, half=half)
                figures += PLOTLY in output.get("data", {})
                if part:
                    sections[-1].parts.append(part)
    body = _body(sections)
    outside = external_references(body)
    if outside:
        raise ConfigError(
            f"the report would fetch {outside[0]} when opened; embed what it shows, reports work offline"
        )
    return _document(body, title, has_figures=figures > 0)


def external_references(markup: str) -> list[str]:
    """Return addresses that a browser would fetch, or lead to, when it opens `markup`.

    Examples
    --------
    >>> external_references('<img src="https://example.org/a.png"><img src="data:image/png;base64,AA">')
    ['https://example.org/a.png']
    """
    return [found["target"] for found in _REFERENCE.finditer(markup)]


def _markdown(source: str) -> str:
    import mistune

    return str(mistune.create_markdown(escape=True)(source))


def _output(output: Cell, name: str, section: str, *, half: bool) -> str:
    kind = "half" if half else ""
    if output["output_type"] == "stream":
        return f'<pre class="{kind}">{text_block(output["text"])}</pre>' if output["name"] == "stdout" else ""
    data = output.get("data", {})
    if PLOTLY in data:
        return _plot(data[PLOTLY], name, section, half=half)
    for mime in ("text/html", "image/svg+xml"):
        if mime in data:
            return f'<div class="{kind}">{"".join(data[mime])}</div>'
    for mime in ("image/png", "image/jpeg"):
        if mime in data:
            return f'<img class="{kind}" alt="" src="data:{mime};base64,{"".join(data[mime].split())}">'
    if "text/markdown" in data:
        return f'<div class="{kind}">{_markdown("".join(data["text/markdown"]))}</div>'
    if "text/plain" in data:
        return f'<pre class="{kind}">{text_block("".join(data["text/plain"]))}</pre>'
    return ""


def text_block(value: str) -> str:
    """Return several lines as escaped text."""
    return "\n".join(text(line) for line in value.splitlines())


def _plot(figure: Cell, name: str, section: str, *, half: bool) -> str:
    document = {"data": figure["data"], "layout": figure["layout"]}
    height = int(figure["layout"].get("height") or 450)
    label = text(f"{section} {name}".strip())
    return (
        f'<div class="plot{" half slim" if half else ""}" data-name="{label}">'
        f'<div class="canvas" style="min-height:{height}px" role="img" aria-label="{label}"></div>'
        f'<script type="application/json">{_embedded(document)}</script></div>'
    )


def _embedded(document: Any) -> str:
    """Return JSON that no parser of HTML takes for markup."""
    written = json.dumps(document, separators=(",", ":"), ensure_ascii=True)
    return written.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _body(sections: list[_Section]) -> str:
    links = "".join(
        f'<li><a href="#section-{number}">{text(section.title)}</a></li>'
        for number, section in enumerate(sections)
        if section.title
    )
    blocks = []
    for number, section in enumerate(sections):
        inner = "".join(section.parts)
        if section.title:
            blocks.append(f'<section id="section-{number}"><div class="cells">{inner}</div></section>')
        elif inner:
            blocks.append(inner)
    toggle = '<button id="theme" type="button" hidden title="Light or dark">◐</button>'
    return (
        f"<nav><div><ul>{links}</ul>{toggle}</div></nav><main>{''.join(blocks)}"
        "<noscript><p>Figures need JavaScript; nothing is fetched.</p></noscript></main>"
    )


def _document(body: str, title: str, *, has_figures: bool) -> str:
    scripts = [_asset("page.js")]
    if has_figures:
        from plotly.offline import get_plotlyjs

        scripts.insert(0, get_plotlyjs())
    tags = "".join(f"<script>{script}</script>" for script in scripts)
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    policy = f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:"
    # The theme is chosen by the first script that runs; until then both schemes have a fitting ground.
    colours = f'<script type="application/json" id="colours">{_embedded(list(DARK.items()))}</script>'
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">'
        f'<title>{text(title)}</title><link rel="icon" href="data:,"><style>{_asset("page.css")}</style>'
        f"</head><body>{body}{colours}{tags}</body></html>\n"
    )


def _asset(name: str) -> str:
    return resources.files("lab.report.page").joinpath(name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
