from __future__ import annotations

import itertools

import pytest

from lab.core.errors import ConfigError
from lab.search.proposals import GridProposer, proposer_of
from lab.strategies import Choice, Range

SPACE = {
    "slow": Range(20, 60, step=10),
    "fast": Choice((5, 10)),
    "threshold": Range(0.0, 0.1, step=0.05),
}


def drained(proposer, batch, values=lambda proposal: 0.0):
    found = []
    while proposals := proposer.ask(batch):
        found += proposals
        proposer.tell([values(proposal) for proposal in proposals])
    return found


def test_a_grid_is_every_combination_once():
    grid = drained(GridProposer(SPACE, trials=1_000), 7)
    expected = [
        {"fast": fast, "slow": slow, "threshold": threshold}
        for fast, slow, threshold in itertools.product((5, 10), (20, 30, 40, 50, 60), (0.0, 0.05, 0.1))
    ]
    assert grid == expected
    assert all(isinstance(one["slow"], int) for one in grid)


def test_a_grid_larger_than_the_trials_is_thinned_evenly():
    everything = drained(GridProposer(SPACE, trials=30), 5)
    some = drained(GridProposer(SPACE, trials=10), 5)
    assert some == everything[::3]


def test_continuous_ranges_get_as_many_points_as_fit():
    space = {"a": Range(0.0, 1.0), "b": Range(1.0, 100.0, log=True), "c": Choice((1, 2))}
    grid = drained(GridProposer(space, trials=18), 100)
    assert sorted({one["a"] for one in grid}) == [0.0, 0.5, 1.0]
    assert sorted({one["b"] for one in grid}) == pytest.approx([1.0, 10.0, 100.0])
    assert len(grid) == 18
    cube = {name: Range(0.0, 1.0) for name in "xyz"}
    assert len(drained(GridProposer(cube, trials=1_000), 100)) == 1_000


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_samplers_repeat_themselves_for_a_seed_and_stay_in_the_space(sampler):
    def run(seed):
        proposer = proposer_of(sampler, SPACE, trials=24, seed=seed)
        found = []
        for _ in range(3):
            proposals = proposer.ask(8)
            found += proposals
            proposer.tell([one["threshold"] if one["fast"] == 5 else None for one in proposals])
        return found

    assert run(1) == run(1)
    assert run(1) != run(2)
    for one in run(1):
        assert one["slow"] in SPACE["slow"].values()
        assert one["fast"] in SPACE["fast"].values()
        assert any(one["threshold"] == pytest.approx(value) for value in SPACE["threshold"].values())


def test_tpe_learns():
    proposer = proposer_of("tpe", {"x": Range(0, 1_000)}, trials=80, seed=0)
    found = []
    for _ in range(10):
        proposals = proposer.ask(8)
        found += [one["x"] for one in proposals]
        proposer.tell([-abs(one["x"] - 300) for one in proposals])
    late = [abs(x - 300) for x in found[-24:]]
    early = [abs(x - 300) for x in found[:24]]
    assert sorted(late)[12] < sorted(early)[12] / 2


def test_unknown_samplers_and_empty_spaces_are_refused():
    with pytest.raises(
        ConfigError, match="sampler 'annealing' unknown; expected tpe, random, grid, qmc, cmaes, nsga2"
    ):
        proposer_of("annealing", SPACE, trials=1, seed=0)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="space is empty"):
        proposer_of("tpe", {}, trials=1, seed=0)
