"""Does a value change when later bars do? Prefixes and replaced futures."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lab.validation.causality_bits import differing
from lab.validation.causality_subject import FUTURES, Finding, Subject

__all__ = ["CUTS", "classify_future", "drawn", "first_cell", "future_cells", "neighbour_cell"]

Array = NDArray[np.float64]
Cell = tuple[int, int]

CUTS: Final = 64
WARM_UP_CUTS: Final = 16
# With fewer bars left than this, "all later bars" and "the next bars" cannot be told apart.
ROOM: Final = 8


def first_cell(left: Array, right: Array) -> Cell | None:
    """Return the first (row, column) where two arrays differ in any bit."""
    at = np.argwhere(differing(left, right))
    return (int(at[0, 0]), int(at[0, 1])) if len(at) else None


def future_cells(
    subject: Subject, reference: Array, lookback: int, progress: Callable[[float], None]
) -> list[Cell]:
    """Return cells that change with the bars after them: of every cut the first and the last one.

    Prefixes end at every cut inside the warm-up and at 64 cuts drawn from the rest, one from each of 64 equal
    parts: evenly spaced cuts would miss what leaks at other hours of the day. Futures are replaced at the
    same 64 cuts and at up to 16 of the warm-up.
    """
    rows = len(reference)
    edge = min(lookback - 1, rows - 1)
    later = drawn(edge, rows - 1, CUTS, subject.seed)
    warm_up = drawn(0, edge, WARM_UP_CUTS, subject.seed)
    cells: list[Cell] = []
    for cut in range(edge):
        _compare(subject.tolerant(subject.panel.rows(0, cut + 1)), reference, cells)
    for cut in later:
        _compare(subject.rows(0, cut + 1), reference, cells)
    progress(0.4)
    both = [*warm_up, *later]
    for done, cut in enumerate(both, start=1):
        for kind in FUTURES:
            changed = subject.with_future(cut, kind)
            _compare(None if changed is None else changed[: cut + 1], reference, cells)
        progress(0.4 + 0.6 * done / len(both))
    return cells


def classify_future(subject: Subject, reference: Array, lookback: int, cells: list[Cell]) -> list[Finding]:
    """Return what kind of look-ahead the cells show, as at most one finding."""
    if not cells:
        return []
    first = min(cells)
    honest = [cell for cell in cells if not (cell[0] < lookback - 1 or _missing(subject, cell))]
    if not honest:
        detail = "the value is taken from later bars, where the input is missing or still warming up"
        return [subject.finding("backfill", first, detail)]
    probe = min(honest)
    room = len(reference) - 1 - probe[0]
    reach = _reach(subject, reference, probe[0])
    if reach >= room >= ROOM:
        detail = f"the value changes with the last bar of the history, {room} bars after bar {probe[0]}"
        return [subject.finding("full_sample", first, detail)]
    detail = f"the value needs {max(reach, 1)} later bar(s)"
    return [subject.finding("lookahead", first, detail)]


def neighbour_cell(subject: Subject, reference: Array) -> Cell | None:
    """Return the first cell that differs when its market is alone, or the markets are in another order."""
    panel = subject.panel
    for column, market in enumerate(panel.markets):
        alone = subject.on(panel.select([market]))
        if alone is not None:
            cell = first_cell(reference[:, column : column + 1], alone)
            if cell is not None:
                return cell[0], column
    reverse = subject.on(panel.select(panel.markets[::-1]))
    return None if reverse is None else first_cell(reference, np.ascontiguousarray(reverse[:, ::-1]))


def drawn(start: int, stop: int, count: int, seed: int) -> list[int]:
    """Return one row from each of `count` equal parts of ``start … stop - 1``."""
    if stop - start <= count:
        return list(range(start, stop))
    edges = np.linspace(start, stop, count + 1).astype(np.int64)
    generator = np.random.default_rng(seed)
    return [int(generator.integers(low, high)) for low, high in pairwise(edges)]


def _compare(part: Array | None, reference: Array, cells: list[Cell]) -> None:
    if part is None:
        return
    at = np.argwhere(differing(part, np.ascontiguousarray(reference[: len(part)])))
    if len(at):
        cells += [(int(at[0, 0]), int(at[0, 1])), (int(at[-1, 0]), int(at[-1, 1]))]


def _missing(subject: Subject, cell: Cell) -> bool:
    row, column = cell
    panel = subject.panel
    columns = [column] if column < len(panel.markets) else list(range(len(panel.markets)))
    return any(np.isnan(values[row, columns]).any() for values in panel.fields.values())


def _reach(subject: Subject, reference: Array, row: int) -> int:
    """Return how many bars after `row` its values need: beyond them, the future makes no difference."""
    low, high = 0, len(reference) - 1 - row
    while low < high:
        middle = (low + high) // 2
        if _depends_beyond(subject, reference, row, row + middle):
            low = middle + 1
        else:
            high = middle
    return low


def _depends_beyond(subject: Subject, reference: Array, row: int, cut: int) -> bool:
    for kind in FUTURES:
        changed = subject.with_future(cut, kind)
        if changed is not None and differing(changed[row], reference[row]).any():
            return True
    prefix = subject.tolerant(subject.panel.rows(0, cut + 1))
    return prefix is not None and bool(differing(prefix[row], reference[row]).any())
