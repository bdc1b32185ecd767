"""Damage files with API keys, byte by byte: each gives its own keys or is refused without a secret.

    python -m tests.survival.damaged_keys [--cases 2000] [--seed 7]

As many encrypted files and as many plain ones, with one to three faults: bytes changed, removed, put in,
the file cut off or put together from two, another passphrase. A refusal is one line that names the variable
and the file. Prints cases, failed and seed; the key, the secret and the passphrase are canaries.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from lab.core.errors import ConfigError
from live_bridge.keys import Keys, read_keys
from live_bridge.sealed_keys import seal
from tests.oracle.canaries import KEY, PASSPHRASE, SECRET, Canaries

__all__ = ["counted", "main"]

OPENED, REFUSED = "opened", "refused"
KINDS = ("encrypted", "plain")
# The least that scrypt takes: what is tried is the file, not the cost of guessing.
COST = 2**14
_VARIABLE = "MNEMO_BINANCE_KEYS_FILE"


def _texts(kind: str) -> list[bytes]:
    """Return two files of the same keys."""
    if kind == "plain":
        document = {"api_key": KEY, "api_secret": SECRET}
        return [yaml.safe_dump(document).encode(), json.dumps(document).encode()]
    made = (seal(Keys(KEY, SECRET), exchange="binance", passphrase=PASSPHRASE, cost=COST) for _ in range(2))
    return [(json.dumps(document, indent=1) + "\n").encode() for document in made]


def _damaged(texts: list[bytes], draw: random.Random) -> bytes:
    text = bytearray(texts[0])
    for _ in range(draw.randint(1, 3)):
        place = draw.randrange(len(text)) if text else 0
        match draw.choice(("change", "remove", "put in", "cut", "mix", "line end")):
            case "change" if text:
                text[place] = draw.randrange(256)
            case "remove":
                del text[place : place + draw.randint(1, 40)]
            case "put in":
                text[place:place] = draw.randbytes(draw.randint(1, 40))
            case "cut":
                del text[place:]
            case "mix":
                text[place:] = texts[1][place:]
            case _:
                text += draw.choice((b"\n", b"\r\n", b" ", b"\x00"))
    return bytes(text)


def judge(kind: str, path: Path, passphrase: str, canaries: Canaries) -> str:
    """Return whether a file opened or was well refused, or else what is wrong with the answer."""
    given = {_VARIABLE: str(path), "MNEMO_KEYS_PASSPHRASE": passphrase}
    try:
        keys = read_keys("binance", given)
    except ConfigError as error:
        canaries.look("refusal", str(error).encode())
        plainly = str(error).startswith(f"{_VARIABLE}: {path} ") and "\n" not in str(error)
        return REFUSED if plainly else f"refused without its place: {error}"
    except Exception as error:
        canaries.look("error", str(error).encode())
        return f"{type(error).__name__} instead of a refusal"
    if kind == "encrypted" and keys != Keys(KEY, SECRET):
        return "opened with other keys than were put in"
    return OPENED


def counted(kind: str, folder: Path, *, cases: int, seed: int) -> dict[str, Any]:
    """Damage files of one kind again and again; return what became of them."""
    texts, draw, canaries = _texts(kind), random.Random(f"{seed} {kind}"), Canaries()
    path = folder / "keys"
    path.touch(mode=0o600)
    counts: Counter[str] = Counter()
    for _ in range(cases):
        path.write_bytes(_damaged(texts, draw))
        counts[judge(kind, path, PASSPHRASE, canaries)] += 1
    path.write_bytes(texts[0])
    counts[judge(kind, path, PASSPHRASE, canaries)] += 1
    wrong = judge(kind, path, PASSPHRASE + "x", canaries)
    counts[wrong if kind == "plain" or wrong == REFUSED else "opened by another passphrase"] += 1
    return {
        "what": f"damaged {kind} key files",
        "cases": cases + 2,
        "failed": cases + 2 - counts[OPENED] - counts[REFUSED],
        "seed": seed,
        "opened": counts[OPENED],
        "refused": counts[REFUSED],
        "canaries": {"texts": canaries.texts, "found": len(canaries.found)},
        "failures": {answer: number for answer, number in counts.items() if answer not in {OPENED, REFUSED}},
        "leaks": canaries.found[:10],
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    made = argparse.ArgumentParser(prog="python -m tests.survival.damaged_keys", description=__doc__)
    made.add_argument("--seed", type=int, default=7)
    made.add_argument("--cases", type=int, default=2_000, help="of each kind")
    options = made.parse_args(arguments)
    bad = 0
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            found = counted(kind, Path(folder), cases=options.cases, seed=options.seed)
        bad += found["failed"] + found["canaries"]["found"]
        sys.stdout.write(json.dumps(found) + "\n")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
