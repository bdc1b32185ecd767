"""The trial ledger: what was tried is recorded here, and the number of trials is counted here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from lab.search.chain import GENESIS, HashChain, LedgerError
from lab.search.trials import DataIdentity, Judgement, TrialBatch, judge_batches

__all__ = ["GENESIS", "Ledger", "LedgerError", "LedgerReport", "MemoryLedger", "TrialCounter"]

# 2: the cost hash covers every cost, the risk hash every limit away from its default. Lines of 1 are read.
SCHEMA: Final = 2
_READ: Final = (1, 2)
_SCHEMA: Final = re.compile(rb'\{"schema":(\d+),')


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """What a full check of the ledger found sound.

    Parameters
    ----------
    batches, trials : int
        Lines, and trials in them (repeats included).
    head : str
        Hash of the last line.
    """

    batches: int
    trials: int
    head: str


class TrialCounter(Protocol):
    """What a search needs of a ledger."""

    def append(self, batch: TrialBatch) -> str:
        """Record trials; return the new head."""
        ...

    def judge(self, family: str, identity: DataIdentity, *, head: str | None = None) -> Judgement:
        """Count the distinct trials of a family on a data identity."""
        ...


class MemoryLedger:
    """A ledger that ends with the process: for pure functions and synthetic worlds, not for results kept."""

    def __init__(self) -> None:
        self._batches: list[TrialBatch] = []

    def append(self, batch: TrialBatch) -> str:
        """Record trials; the head is always empty."""
        self._batches.append(batch)
        return ""

    def judge(self, family: str, identity: DataIdentity, *, head: str | None = None) -> Judgement:
        """Count the distinct trials recorded so far; `head` has no meaning here."""
        fitting = (b for b in self._batches if (b.family, b.identity) == (family, identity))
        return judge_batches(fitting)


class Ledger:
    """The ledger of one root folder: ``data/ledger/trials.jsonl``, hash-chained and append-only.

    Parameters
    ----------
    root : Path
        The folder that ``data/``, ``mlruns/`` and ``reports/`` lie under.

    See Also
    --------
    lab.search.chain.HashChain : how lines are written, checked and repaired.
    """

    def __init__(self, root: Path) -> None:
        self._chain = HashChain(root / "data" / "ledger" / "trials.jsonl")

    @property
    def path(self) -> Path:
        """The file of trials, one line of JSON per batch."""
        return self._chain.path

    @property
    def head(self) -> str:
        """Hash of the last line, checked: with it, later readers see exactly the trials recorded so far."""
        return self.verify().head

    @property
    def end(self) -> str:
        """Hash of the last line, without reading those before it."""
        return self._chain.end()

    def append(self, batch: TrialBatch) -> str:
        """Record trials durably and return the new head; errors as in :meth:`HashChain.append`."""
        return self._chain.append(_body(batch))

    def append_once(self, batch: TrialBatch, *, since: str) -> str:
        """Record trials unless the very same line was added after the head `since`; return the head.

        For a search taken up again, which cannot know whether the process before it died just after.
        """
        body, later = _body(batch), since == GENESIS
        for known, head in self._chain.lines():
            if later and known == body:
                return head
            later |= head == since
        return self._chain.append(body)

    def judge(self, family: str, identity: DataIdentity, *, head: str | None = None) -> Judgement:
        """Count the distinct trials of `family` on `identity`, as of now or of an earlier `head`.

        Raises
        ------
        LedgerError
            If the chain is broken, or `head` is not in it.
        """
        fitting = f'"family":{json.dumps(family)},"identity":"{identity.digest}"'.encode()
        last = [GENESIS]

        def batches() -> Iterator[TrialBatch]:
            for body, last[0] in self._lines(until=head):
                if body.startswith(fitting, body.index(b",") + 1):
                    yield TrialBatch.from_body(json.loads(body))

        judged = judge_batches(batches())
        return replace(judged, head=last[0])

    def batches(self, *, head: str | None = None) -> Iterator[TrialBatch]:
        """Yield every recorded batch in order, up to `head`."""
        for body, _ in self._lines(until=head):
            yield TrialBatch.from_body(json.loads(body))

    def verify(self) -> LedgerReport:
        """Walk the whole chain.

        Raises
        ------
        LedgerError
            Naming the first line that is not what was written there.
        """
        count, trials, head = 0, 0, GENESIS
        for body, head in self._lines():  # noqa: B007 - the last hash is the head
            count += 1
            trials += len(json.loads(body)["parameters"])
        return LedgerReport(count, trials, head)

    def _lines(self, *, until: str | None = None) -> Iterator[tuple[bytes, str]]:
        """Yield the chain's lines whose schema this version reads; refuse others."""
        for body, head in self._chain.lines(until=until):
            found = _SCHEMA.match(body)
            if found is None or int(found[1]) not in _READ:
                schema = found[1].decode() if found else "none"
                raise LedgerError(
                    f"{self.path}: a line has schema {schema}, this version reads "
                    f"{', '.join(map(str, _READ))}; it was written by a later version: upgrade with "
                    "'pip install --upgrade mnemo-quant', or point --root at another folder"
                )
            yield body, head


def _body(batch: TrialBatch) -> bytes:
    line = {"schema": SCHEMA, **batch.to_body()}
    return json.dumps(line, separators=(",", ":"), allow_nan=False).encode()
