"""Escaped HTML from frames and text: the one place where names from outside become markup."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import polars as pl

__all__ = [
    "Column",
    "Html",
    "beside",
    "chance",
    "count",
    "date",
    "decimal",
    "facts",
    "framed",
    "join",
    "money",
    "note",
    "percent",
    "signed_percent",
    "table",
    "text",
]

NOTHING: Final = "–"


@dataclass(frozen=True, slots=True)
class Html:
    """Finished markup; a notebook shows it as such."""

    markup: str

    def _repr_html_(self) -> str:
        return self.markup


def text(value: Any) -> str:
    """Return any value as escaped text; control signs are replaced.

    Examples
    --------
    >>> text('<script>"a" & b')
    '&lt;script&gt;&quot;a&quot; &amp; b'
    """
    printable = "".join(
        sign if sign.isprintable() or sign == " " else "\N{REPLACEMENT CHARACTER}" for sign in str(value)
    )
    return html.escape(printable, quote=True)


def _known(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def _number(pattern: str) -> Callable[[Any], str]:
    def write(value: Any) -> str:
        if not _known(value):
            return "∞" if value == math.inf else NOTHING
        # A rounded nothing has no sign.
        written = format(value, pattern)
        if not any(digit in written for digit in "123456789"):
            written = written.lstrip("+-")
        return written.replace("-", "−")

    return write


decimal = _number(",.2f")
count = _number(",.0f")
money = _number(",.0f")
percent = _number(".1%")
signed_percent = _number("+.1%")


def chance(value: Any) -> str:
    """Return a probability as text that never rounds to certainty.

    Examples
    --------
    >>> chance(0.99996), chance(0.5), chance(1e-9)
    ('> 99.9%', '50.0%', '< 0.1%')
    """
    if not _known(value):
        return NOTHING
    return "> 99.9%" if value > 0.999 else "< 0.1%" if value < 0.001 else percent(value)


def date(value: Any) -> str:
    """Return a time as text, UTC: a date at midnight, else with minutes."""
    if not isinstance(value, datetime):
        return NOTHING
    return value.strftime("%Y-%m-%d" if (value.hour, value.minute) == (0, 0) else "%Y-%m-%d %H:%M")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table on the page.

    Parameters
    ----------
    name : str
        In the frame.
    title : str
        In the head.
    write : callable
        Value to unescaped text; numbers by default align right.
    tint : bool
        Colour negative numbers.
    """

    name: str
    title: str
    write: Callable[[Any], str] = str
    tint: bool = False

    @property
    def is_text(self) -> bool:
        """Whether it aligns left."""
        return self.write is str

    def cell(self, value: Any) -> str:
        """Return the table cell of a value; the exact number stays with it for export."""
        written = NOTHING if value is None else self.write(value)
        kind = ' class="t"' if self.is_text else ' class="neg"' if self.tint and _negative(value) else ""
        exact = f' data-v="{value!r}"' if isinstance(value, (int, float)) and _known(value) else ""
        return f"<td{kind}{exact}>{text(written)}</td>"


def table(frame: pl.DataFrame, columns: Sequence[Column], *, name: str, caption: str = "") -> Html:
    """Return a frame as a table that can be saved as CSV.

    Parameters
    ----------
    frame : polars.DataFrame
    columns : sequence of Column
        What is shown, in that order.
    name : str
        Of the file that it is saved as, and for screen readers.
    caption : str
        Unescaped text below it.
    """
    head = "".join(f"<th{' class=t' if c.is_text else ''} scope=col>{text(c.title)}</th>" for c in columns)
    rows = "".join(
        "<tr>" + "".join(column.cell(row[column.name]) for column in columns) + "</tr>"
        for row in frame.iter_rows(named=True)
    )
    return Html(framed(f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>", name) + below(caption))


def framed(inner: str, name: str, kind: str = "") -> str:
    """Return a table's inside as a table that scrolls within its own frame."""
    extra = f" {kind}" if kind else ""
    return f'<div class="scroll"><table class="data{extra}" data-name="{text(name)}">{inner}</table></div>'


def below(caption: str) -> str:
    """Return the text below a table or figure."""
    return f'<p class="caption">{text(caption)}</p>' if caption else ""


def facts(pairs: Mapping[str, Any], *, name: str) -> Html:
    """Return names and values as a two-column table; a value that was not recorded says so."""
    rows = "".join(
        f"<tr><th class=t scope=row>{text(key)}</th>"
        + (
            f"<td class=t>{text(value)}</td>"
            if value not in (None, "")
            else '<td class="t gone">not recorded</td>'
        )
        + "</tr>"
        for key, value in pairs.items()
    )
    return Html(framed(f"<tbody>{rows}</tbody>", name, "facts"))


def beside(*parts: Html) -> Html:
    """Return pieces that share a row on wide screens."""
    cells = "".join(f'<div class="half">{part.markup}</div>' for part in parts)
    return Html(f'<div class="cells">{cells}</div>')


def note(message: str) -> Html:
    """Return a quiet line, for what was not recorded."""
    return Html(f'<p class="note">{text(message)}</p>')


def join(*parts: Html) -> Html:
    """Return several pieces as one."""
    return Html("".join(part.markup for part in parts))


def _negative(value: Any) -> bool:
    return isinstance(value, (int, float)) and value < 0
