from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lab.validation.splits import WalkForward
from tests.oracle import validation as oracle


@st.composite
def splitters(draw):
    test_size = draw(st.integers(1, 15))
    return WalkForward(
        train_size=draw(st.integers(1, 30)),
        test_size=test_size,
        purged_size=draw(st.integers(0, 6)),
        embargo_size=draw(st.integers(0, test_size - 1)),
        expand_train=draw(st.booleans()),
    )


@given(splitters(), st.integers(0, 120))
def test_folds_are_those_of_a_bar_by_bar_count(splitter, extra):
    total = splitter.train_size + splitter.purged_size + splitter.test_size + extra
    expected = oracle.folds(
        total,
        splitter.train_size,
        splitter.test_size,
        splitter.purged_size,
        splitter.embargo_size,
        splitter.expand_train,
    )
    found = [(train.tolist(), test.tolist()) for train, test in splitter.split(total)]
    assert found == expected
    assert len(found) == splitter.get_n_splits(total)


@given(splitters(), st.integers(0, 120))
def test_no_training_bar_is_tested_purged_or_embargoed(splitter, extra):
    total = splitter.train_size + splitter.purged_size + splitter.test_size + extra
    folds = list(splitter.split(total))
    tested: list[int] = []
    embargoed: set[int] = set()
    for train, test in folds:
        forbidden = set(range(test[0] - splitter.purged_size, total))
        assert not forbidden & set(train.tolist())
        assert not embargoed & set(train.tolist())
        assert len(train) == splitter.train_size or splitter.expand_train
        tested += test.tolist()
        embargoed |= set(range(test[-1] + 1, test[-1] + 1 + splitter.embargo_size))
    assert tested == list(range(tested[0], tested[-1] + 1))
    assert total - tested[-1] - 1 < splitter.test_size
