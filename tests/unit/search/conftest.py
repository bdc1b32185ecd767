from __future__ import annotations

import pytest

from lab.search.ledger import Ledger
from tests.oracle.search import batch


@pytest.fixture
def ledger(tmp_path):
    made = Ledger(tmp_path)
    made.append(batch("abc", [0.1, 0.2, 0.3]))
    made.append(batch("de", [0.0, -0.1], window=1))
    made.append(batch("f", [0.05], window=2))
    return made
