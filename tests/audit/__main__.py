"""Audit the dependencies: pinned, installed as locked, consistent, licensed, and not known to be vulnerable.

    python -m tests.audit [--offline] [--service pypi|osv] [--json]

Prints a line for each question. Exit code 0: all were asked and answered well; 1: something is wrong; 4:
nothing is, but a question could not be asked, which is no pass. --offline leaves out what needs the network
or much time: vulnerabilities, and the files of every package against what its wheel recorded.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from tests.audit.licences import EXCEPTIONS, not_allowed
from tests.audit.lock import changed_files, inconsistent, installed, not_as_locked, read_lock, unpinned
from tests.audit.vulnerabilities import look

__all__ = ["Answer", "answers", "main"]

LOCK = Path(__file__).parents[2] / "requirements.lock"
OK, FAILED, NOT_DONE = "ok", "FAILED", "NOT DONE"


@dataclass(frozen=True, slots=True)
class Answer:
    """One question, how it was answered, and what was found."""

    question: str
    status: str
    found: str


def _judged(question: str, faults: list[str], well: str) -> Answer:
    return Answer(question, FAILED, "; ".join(faults)) if faults else Answer(question, OK, well)


def answers(*, offline: bool, service: str) -> Iterator[Answer]:
    """Ask every question, in order."""
    text, have = LOCK.read_text(), installed()
    lock, distributions = read_lock(text), list(metadata.distributions())
    yield _judged("pinned", unpinned(lock), f"{len(lock)} requirements, each with version and SHA-256")
    yield _judged("as locked", not_as_locked(lock, have), f"{len(have)} installed, as the lock says")
    yield _judged("consistent", inconsistent(), "all have what they ask of each other")
    but = "; ".join(f"{name}: {licence}, {why}" for name, (licence, why) in EXCEPTIONS.items())
    yield _judged("licences", not_allowed(distributions), f"all may be used, with two exceptions ({but})")
    if offline:
        return
    changed, looked = changed_files(each for each in distributions if each.name != "mnemo-quant")
    yield _judged("files", changed, f"{looked:,} files are what their wheels recorded")
    found = look(text, service=service)
    if found.why_not and not found.vulnerable:
        yield Answer("vulnerabilities", NOT_DONE, f"nobody could tell: {found.why_not}")
    else:
        well = f"none known of {found.audited} packages, says {service}"
        yield _judged("vulnerabilities", list(found.vulnerable), well)


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    made = argparse.ArgumentParser(
        prog="python -m tests.audit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--offline", action="store_true", help="without the network, in seconds")
    made.add_argument("--service", choices=("pypi", "osv"), default="pypi", help="who knows vulnerabilities")
    made.add_argument("--json", action="store_true", help="one JSON document per line")
    options = made.parse_args(arguments)
    statuses = set()
    for answer in answers(offline=options.offline, service=options.service):
        line = f"{answer.status:8}  {answer.question:15}  {answer.found}"
        sys.stdout.write((json.dumps(asdict(answer)) if options.json else line) + "\n")
        sys.stdout.flush()
        statuses.add(answer.status)
    return 1 if FAILED in statuses else 4 if NOT_DONE in statuses else 0


if __name__ == "__main__":
    sys.exit(main())
