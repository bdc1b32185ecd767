"""Licences of installed distributions against those that may be used here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Final

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.utils import canonicalize_name

__all__ = ["allowed", "licence_of", "not_allowed"]

# Permissive, or copyleft for changed files of its own alone (MPL). Names as SPDX has them.
ALLOWED: Final = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC0-1.0",
        "CNRI-Python",
        "ISC",
        "MIT",
        "MIT-CMU",
        "MPL-2.0",
        "NCSA",
        "PSF-2.0",
        "Unlicense",
        "Zlib",
    }
)
# Named one by one, with why each is here in spite of its licence.
EXCEPTIONS: Final = {
    "vectorbt": ("Apache-2.0 with Commons Clause", "may be used, not sold; NOTICE and README say so"),
    "backtesting": ("AGPL-3.0-or-later", "a peer in benchmarks, never imported by the packages nor shipped"),
}
_CLASSIFIERS: Final = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
# Words of older packages for one of the licences.
_WORDS: Final = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
}
# What a licence's text says; the first that is found counts, so restrictions stand before what they restrict.
_TEXTS: Final = (
    ("Commons Clause", "Apache-2.0 with Commons Clause"),
    ("Permission is hereby granted, free of charge, to any person", "MIT"),
    ("Redistribution and use in source and binary forms", "BSD-3-Clause"),
    ("Apache License", "Apache-2.0"),
)


def licence_of(found: metadata.Distribution) -> str:
    """Return a distribution's licence as an SPDX expression where that can be told, else its own words."""
    told = found.metadata.get("License-Expression")
    if told:
        return str(told)
    names = [
        line.rpartition(" :: ")[2] for line in found.metadata.get_all("Classifier") or () if "License" in line
    ]
    known = sorted({_CLASSIFIERS[name] for name in names if name in _CLASSIFIERS})
    unknown = [name for name in names if name not in {*_CLASSIFIERS, "OSI Approved", "DFSG approved"}]
    if known or unknown:
        return " AND ".join((*known, *unknown))
    words = (found.metadata.get("License") or "").strip()
    if words and "\n" not in words:
        return _WORDS.get(words.lower(), words)
    return _of_text(found)


def _of_text(found: metadata.Distribution) -> str:
    for file in found.files or ():
        if re.match(r"(?i)(licen[cs]e|copying)", file.name):
            text = Path(str(found.locate_file(file))).read_text(encoding="utf-8", errors="replace")
            for mark, licence in _TEXTS:
                if mark in text:
                    return licence
    return "not told"


def allowed(expression: str) -> bool:
    """Return whether an SPDX expression can be met by allowed licences: all of an AND, one of an OR.

    Examples
    --------
    >>> [allowed(text) for text in ("MIT", "MIT AND GPL-3.0-only", "(MIT OR GPL-3.0-only) AND ISC", "mine")]
    [True, False, True, False]
    """
    try:
        text = str(canonicalize_license_expression(expression))
    except InvalidLicenseExpression:
        return False
    # An exception gives rights beyond the licence's.
    words = re.findall(r"[()]|[^\s()]+", re.sub(r" WITH \S+(?<!\))", "", text))
    return _any(words)


def _any(words: list[str]) -> bool:
    met = _all(words)
    while words and words[0] == "OR":
        words.pop(0)
        met = _all(words) or met
    return met


def _all(words: list[str]) -> bool:
    met = _one(words)
    while words and words[0] == "AND":
        words.pop(0)
        met = _one(words) and met
    return met


def _one(words: list[str]) -> bool:
    word = words.pop(0)
    if word != "(":
        return word in ALLOWED
    met = _any(words)
    words.pop(0)
    return met


def not_allowed(distributions: Iterable[metadata.Distribution]) -> list[str]:
    """Return the distributions whose licence is neither allowed nor the one their exception names."""
    found = []
    for each in distributions:
        name, licence = canonicalize_name(each.name), licence_of(each)
        if not allowed(licence) and EXCEPTIONS.get(name, ("",))[0] != licence:
            found.append(f"{name} {each.version}: {licence}")
    return sorted(found)
