"""Every published number of ``python -m tests.published_values``."""

from __future__ import annotations

import pytest

from tests.published_values import published


@pytest.mark.parametrize("each", list(published()), ids=lambda each: each.name)
def test_published_value(each):
    assert each.compute() == pytest.approx(each.expected, abs=max(each.tolerance, 1e-15), rel=0)
