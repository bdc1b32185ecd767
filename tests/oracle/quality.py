"""Bar marks by loops over plain lists: the rules of validation read aloud, one bar at a time.

A row is (number, on_grid, open, high, low, close, volume); None or NaN stands for null.
"""

from __future__ import annotations

import itertools
import math
import statistics

BAD = {"price", "ohlc", "negative_volume", "off_grid"}


def reasons(rows, *, multiple=10.0, atr_bars=20, volume_bars=100, share=0.01, min_valid=0.8):
    """Return the reasons of each row of one market, as sets; rows are sorted by number."""
    found = []
    sound = {}  # number -> row, of bars that are not BAD
    for row in rows:
        why = faults(row)
        if not why:
            number = row[0]
            window = [sound[k] for k in range(number - volume_bars, number) if k in sound]
            why |= volume_doubts(row[6], window, math.ceil(min_valid * volume_bars), share)
            needed = math.ceil(min_valid * atr_bars)
            if is_spike(sound, row, range(number - atr_bars, number), needed, multiple):
                why.add("spike")
            sound[number] = row
        found.append(why)
    return found


def is_null(value):
    return value is None or math.isnan(value)


def faults(row):
    _, on_grid, open_, high, low, close, volume = row
    why = set()
    if any(is_null(p) or math.isinf(p) or p <= 0 for p in (open_, high, low, close)):
        why.add("price")
    elif high < max(open_, close) or low > min(open_, close):
        why.add("ohlc")
    if not is_null(volume) and (volume < 0 or (math.isinf(volume) and "price" not in why)):
        why.add("negative_volume")
    if not on_grid:
        why.add("off_grid")
    return why


def volume_doubts(volume, window, needed, share):
    if is_null(volume):
        return {"no_volume"}
    if volume == 0:
        return {"zero_volume"}
    volumes = [row[6] for row in window if not is_null(row[6])]
    if len(volumes) >= needed and volume < share * statistics.median(volumes):
        return {"low_volume"}
    return set()


def close_before(sound, number):
    """Return the close before, across one bar that is missing or BAD; None farther back."""
    row = sound.get(number - 1) or sound.get(number - 2)
    return None if row is None else row[5]


def is_spike(sound, row, numbers, needed, multiple):
    before = close_before(sound, row[0])
    ranges = [true_range(sound, k) for k in numbers if k in sound]
    if before is None or len(ranges) < needed:
        return False
    return abs(row[5] - before) > multiple * (sum(ranges) / len(ranges))


def true_range(sound, number):
    high, low = sound[number][3], sound[number][4]
    before = close_before(sound, number)
    return high - low if before is None else max(high - low, abs(high - before), abs(low - before))


def filled(rows, found):
    """Return (number, close) of each single missing bar that follows a bar which is not BAD."""
    there = [(row, why) for row, why in zip(rows, found, strict=True) if row[1]]
    return [
        (row[0] + 1, row[5])
        for (row, why), (after, _) in itertools.pairwise(there)
        if after[0] - row[0] == 2 and not why & BAD
    ]
