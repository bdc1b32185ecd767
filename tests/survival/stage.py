"""What every one of these commands shares: exchange, bridge, canaries, and the count at the end.

The keys in use are canaries. Whatever a case leaves behind is looked through for them: what its processes
printed, with all loggers at level debug and every traceback, journal, logs, metrics and the alerts sent.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from tests.oracle.alert_sink import alert_sink
from tests.oracle.bridge_harness import START, control, exchange, exchange_state, tick, write_configs
from tests.oracle.bridge_process import Act, Child, Ended, in_child, loud, start_child
from tests.oracle.canaries import KEY, PASSPHRASE, SECRET, Canaries

__all__ = ["Play", "Show", "Stage", "chosen", "command", "is_bad", "options_of", "played", "staged"]

T = TypeVar("T")

_PROGRESS_SECONDS = 20.0
_FAILURES_SHOWN = 10
_BAN_SECONDS = 1.2


@dataclass(slots=True)
class Stage:
    """An exchange, and the folder in which bridges meet it.

    Attributes
    ----------
    folder : pathlib.Path
    url : str
        Of the exchange.
    alerts : str
        Where alerts go.
    sent : pathlib.Path
        The alerts that arrived there.
    config : pathlib.Path
        The bridge's.
    canaries : Canaries
    facts : dict
        What a command tells beside its cases.
    """

    folder: Path
    url: str
    alerts: str
    sent: Path
    config: Path
    canaries: Canaries = field(default_factory=Canaries)
    facts: dict[str, Any] = field(default_factory=dict)
    _roots: int = 0

    def fresh(self) -> Path:
        """Look through the last root, and return an empty one; the exchange is back at its first moment."""
        self.look_through()
        self._roots += 1
        # Another name each time: loggers keep their files open.
        root = self.folder / f"root-{self._roots}"
        root.mkdir()
        control(self.url, "reset")
        return root

    def look_through(self) -> None:
        """Look through what the last case left, and remove it."""
        root = self.folder / f"root-{self._roots}"
        self.canaries.look_through([root])
        shutil.rmtree(root, ignore_errors=True)

    def configure(self, **options: Any) -> None:
        """Write the bridge's files anew; see :func:`tests.oracle.bridge_harness.write_configs`."""
        self.config = write_configs(self.folder / "config", self.url, **options)

    def control(self, action: str, /, **body: object) -> dict[str, Any]:
        """POST to the exchange's control endpoint."""
        return control(self.url, action, **body)

    def state(self) -> dict[str, Any]:
        """Return what the exchange knows."""
        return exchange_state(self.url)

    def tick(self, root: Path, **options: Any) -> Act:
        """Return one live tick; see :func:`tests.oracle.bridge_harness.tick`."""
        return tick(self.config, root, alerts=self.alerts, **options)

    def sealed_keys(self) -> dict[str, str]:
        """Return an environment whose keys are in an encrypted file, made once, in a process of its own."""
        path = self.folder / "keys.enc"

        def act() -> tuple[dict[str, Any], int]:
            from live_bridge.keys import Keys
            from live_bridge.sealed_keys import seal, write_sealed

            # The least that scrypt takes: every tick opens it anew.
            write_sealed(path, seal(Keys(KEY, SECRET), exchange="binance", passphrase=PASSPHRASE, cost=2**14))
            return {}, 0

        if not path.exists():
            ended = in_child(act, scratch=self.folder)
            assert ended.code == 0, ended.error
        names = {"MNEMO_BINANCE_KEYS_FILE": str(path), "MNEMO_KEYS_PASSPHRASE": PASSPHRASE}
        return {"MNEMO_ENV": "prod", **names}

    def start(self, act: Act, name: str, *, kill_at: int = 0) -> Child:
        """Start a process; the caller waits for it, and gives what it ended with to :meth:`seen`."""
        return start_child(self._loud(act, name), kill_at=kill_at, scratch=self.folder, name=name)

    def run(self, act: Act, *, kill_at: int = 0) -> Ended:
        """Run `act` in a process of its own, and look through what it printed."""
        return self.seen(in_child(self._loud(act, "child"), kill_at=kill_at, scratch=self.folder))

    def seen(self, ended: Ended) -> Ended:
        """Look through what a process printed and told."""
        self.canaries.look("output", ended.output)
        self.canaries.look("result", (json.dumps(ended.document) + ended.error).encode())
        return ended

    def finish(self, root: Path, *, runs: int = 3, **options: Any) -> Ended:
        """Run clean ticks until one says it is done; return the last."""
        ended = self.run(self.tick(root, **options))
        for _ in range(runs - 1):
            if ended.code == 0:
                break
            if "EXCHANGE_BANNED" in ended.error:
                # The stage asks to be left alone for a second; a crontab would be later than that.
                time.sleep(_BAN_SECONDS)
            ended = self.run(self.tick(root, **options))
        return ended

    def _loud(self, act: Act, name: str) -> Act:
        def run() -> tuple[dict[str, Any], int]:
            loud(self.folder / f"{name}.out")
            return act()

        return run


Play = Callable[[Stage, argparse.Namespace], Iterator[tuple[str, list[str]]]]


@dataclass(frozen=True, slots=True)
class Show:
    """A command: what it tries, and how.

    Attributes
    ----------
    what : callable
        Says what is tried, given the options.
    play : callable
        Yields each case's name and what is wrong after it.
    parser : callable
        Returns the command line's parser.
    staging : dict
        Options of :func:`staged`.
    """

    what: Callable[[argparse.Namespace], str]
    play: Play
    parser: Callable[[], argparse.ArgumentParser]
    staging: dict[str, Any] = field(default_factory=dict)


@contextmanager
def staged(*, start: datetime = START, **options: Any) -> Iterator[Stage]:
    """Serve the bundled bars, and write a bridge that trades there.

    Parameters
    ----------
    start : datetime
        The exchange's first moment.
    options
        Of :func:`tests.oracle.bridge_harness.write_configs`.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Its processes may run as another user.
        folder.chmod(0o755)
        sent = folder / "alerts.jsonl"
        with exchange(_bars(folder), start=start) as url, alert_sink(sent) as alerts:
            yield Stage(folder, url, alerts, sent, write_configs(folder / "config", url, **options))


def _bars(folder: Path) -> Path:
    """Put the bundled bars under `folder`, and return their root.

    In a process of its own: this one must not have started the threads of Polars before it forks.
    """

    def act() -> tuple[dict[str, Any], int]:
        from lab.data import demo

        demo.install(folder / "store")
        return {}, 0

    ended = in_child(act, scratch=folder)
    assert ended.code == 0, ended.error
    return folder / "store"


def options_of(module: str, description: str | None, *, cases: int) -> argparse.ArgumentParser:
    """Return a command's parser with the options that all have."""
    made = argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--seed", type=int, default=7)
    made.add_argument("--cases", type=int, default=cases, help=f"at most so many (default: {cases})")
    made.add_argument("--only", default="", metavar="TEXT", help="cases with this in their name")
    return made


def chosen(cases: Sequence[T], options: argparse.Namespace, *, name: Callable[[T], str]) -> list[T]:
    """Return the cases that a command shall play: those named so, and of these as many as asked for."""
    named = [case for case in cases if options.only in name(case)]
    if options.cases >= len(named):
        return named
    return random.Random(options.seed).sample(named, options.cases)


def played(show: Show, stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    """Play all cases of a show; return cases, failed, seed, and what failed.

    A failure is told on standard error at once, and how far it is every now and then.
    """
    started = said = time.monotonic()
    stage.canaries, stage.facts = Canaries(), {}
    cases, failed = 0, {}
    for name, wrong in show.play(stage, options):
        cases += 1
        if wrong:
            failed[name] = wrong
            sys.stderr.write(f"FAILED {name}: {wrong}\n")
        if time.monotonic() - said > _PROGRESS_SECONDS:
            said = time.monotonic()
            sys.stderr.write(f"{cases} cases, {len(failed)} failed, {said - started:.0f} s\n")
    stage.look_through()
    stage.canaries.look_through([stage.sent])
    return {
        "what": show.what(options),
        "cases": cases,
        "failed": len(failed),
        "seed": options.seed,
        "canaries": {
            "texts": stage.canaries.texts,
            "masked": stage.canaries.masked,
            "found": len(stage.canaries.found),
        },
        "seconds": round(time.monotonic() - started),
        **stage.facts,
        "alerts": len(stage.sent.read_text().splitlines()),
        "failures": dict(list(failed.items())[:_FAILURES_SHOWN]),
        "leaks": stage.canaries.found[:_FAILURES_SHOWN],
    }


def is_bad(document: dict[str, Any]) -> bool:
    """Return whether a case failed, or a secret was found."""
    return bool(document["failed"]) or bool(document["leaks"])


def command(show: Show, arguments: list[str] | None = None) -> int:
    """Play a show on a stage of its own, print one JSON document, and return the exit code."""
    options = show.parser().parse_args(arguments)
    with staged(**show.staging) as stage:
        document = played(show, stage, options)
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()
    return int(is_bad(document))
