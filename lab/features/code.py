"""The code that a feature's numbers come from, as one hash."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

from lab.core.hashing import digest
from lab.features.definition import Definition

__all__ = ["code_digest", "reached_functions"]

_PACKAGE: Final = "lab."
_CONSTANTS: Final = (bool, int, float, str, bytes, type(None))


@cache
def code_digest(definition: Definition) -> str:
    """Return the SHA-256 over a definition's evaluation, its lookback and every function they reach.

    Followed are the functions and constants of this project that the code names, kernels included; comments,
    layout and docstrings do not count. Libraries do not count either: their versions are the lock file's.

    Examples
    --------
    >>> from lab.features import definitions
    >>> code_digest(definitions()["mean"]) == code_digest(definitions()["highest"])
    False
    """
    found: dict[str, str] = {}
    for function in (definition.evaluate, definition.lookback, definition.inputs):
        _collect(function, found)
    return digest([definition.name, definition.version, definition.per_market, sorted(found.items())])


def reached_functions(definition: Definition) -> tuple[str, ...]:
    """Return the qualified names of all functions and constants that go into :func:`code_digest`."""
    found: dict[str, str] = {}
    for function in (definition.evaluate, definition.lookback, definition.inputs):
        _collect(function, found)
    return tuple(sorted(found))


def _collect(function: Any, found: dict[str, str]) -> None:
    function = getattr(function, "py_func", function)
    if not isinstance(function, FunctionType):
        return
    name = f"{function.__module__}.{function.__qualname__}"
    if name in found:
        return
    found[name] = _text(function)
    for label, value in _named(function):
        if isinstance(value, _CONSTANTS):
            found[f"{name}:{label}"] = repr(value)
        elif isinstance(value, Definition):
            _collect(value.evaluate, found)
        elif str(getattr(value, "__module__", "")).startswith(_PACKAGE):
            _collect(value, found)


def _named(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield what the function's code can name: globals, closure cells, members of modules of the project."""
    names = set(_names(function.__code__))
    known = {name: function.__globals__[name] for name in names if name in function.__globals__}
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    known |= {name: cell.cell_contents for name, cell in cells}
    for name, value in sorted(known.items()):
        if isinstance(value, tuple):
            yield name, repr(value)
        elif isinstance(value, ModuleType):
            if value.__name__.startswith(_PACKAGE):
                yield from (
                    (member, getattr(value, member)) for member in sorted(names) if hasattr(value, member)
                )
        else:
            yield name, value


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _text(function: FunctionType) -> str:
    """Return the function's source without comments, layout and docstrings."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError):  # a lambda inside an expression, or code typed at a prompt
        code = function.__code__
        return repr((code.co_code.hex(), [c for c in code.co_consts if not isinstance(c, CodeType)]))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                node.body = body[1:] or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.unparse(tree)
