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


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "cmaes", "nsga2"])
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


def test_a_quasi_random_sequence_is_spread_evenly():
    space = {"x": Range(0.0, 1.0), "y": Choice((1, 2, 3, 4)), "z": Range(1, 1_000, log=True)}
    found = drained_to(proposer_of("qmc", space, trials=256, seed=3), 256)
    # Every one of 64 equal cells of x and y holds four of the 256 points.
    cells = [(int(one["x"] * 16), one["y"]) for one in found]
    assert {cells.count(cell) for cell in set(cells)} == {4}
    assert len(set(cells)) == 64
    thirds = [sum(low <= one["z"] <= high for one in found) for low, high in ((1, 9), (10, 99), (100, 1_000))]
    assert max(thirds) - min(thirds) < 12
    assert len({one["x"] for one in found}) == 256


def drained_to(proposer, count):
    found = []
    while len(found) < count:
        found += proposer.ask(proposer.batch_size)
        proposer.tell([0.0] * proposer.batch_size)
    return found


def test_cma_es_learns_from_its_generations_and_keeps_to_the_options():
    space = {"x": Range(0, 1_000), "y": Choice((5, 10, 20)), "z": Range(0.0, 1.0)}
    proposer = proposer_of("cmaes", space, trials=240, seed=0)
    found = []
    for _ in range(30):
        proposals = proposer.ask(8)
        found += proposals
        proposer.tell([-abs(one["x"] - 300) / 100 - abs(one["z"] - 0.2) for one in proposals])
    assert {one["y"] for one in found} <= {5, 10, 20}
    late, early = (sorted(abs(one["x"] - 300) for one in part) for part in (found[-40:], found[:40]))
    assert late[20] < early[20] / 3


def test_nsga2_learns_the_front_of_two_objectives():
    space = {name: Range(-10.0, 10.0) for name in ("x", "y", "z")}
    proposer = proposer_of("nsga2", space, trials=960, seed=0, objectives=2)
    found = []
    for _ in range(30):
        proposals = proposer.ask(32)
        found += [one["x"] for one in proposals]
        proposer.tell([(-(one["x"] ** 2), -((one["x"] - 2.0) ** 2)) for one in proposals])
    # No point between 0 and 2 is better than another one in both.
    # Drawn at random, 24 of 160 would lie there or near.
    assert sum(-0.5 <= x <= 2.5 for x in found[-160:]) > 80
    front = [x for x in found[-160:] if 0 <= x <= 2]
    assert max(front) - min(front) > 1.0
