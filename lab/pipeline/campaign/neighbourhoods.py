"""Around an instance's parameters: what one step of one parameter changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from lab.core.errors import ConfigError
from lab.pipeline.campaign.accounts import at_costs
from lab.pipeline.campaign.config import Member, Neighbourhood
from lab.pipeline.inputs import Inputs
from lab.pipeline.sweeps import sweep
from lab.strategies import StrategyInstance
from lab.strategies.space import Dimension, Range

__all__ = ["neighbour_rows", "neighbours", "plateaus"]

_SHOWN = ("sharpe", "total_return", "max_drawdown", "turnover")
# Of a range without steps, this part of its width is one.
_CONTINUOUS = 10


def neighbours(instance: StrategyInstance, rule: Neighbourhood) -> dict[str, list[Any]]:
    """Return, for each parameter that is moved, its values in ascending order, the instance's own among them.

    A range is walked in its steps from the own value, a choice in its order; with `relative_step` both in
    steps of that fraction of the own value, where that is not 0. What the family's model refuses is left out.

    Raises
    ------
    ConfigError
        If a parameter is not in the instance's search space.
    """
    space = instance.space
    unknown = [name for name in rule.parameters if name not in space]
    if unknown:
        raise ConfigError(
            f"neighbourhood: {instance.strategy_id} searches no parameter {unknown[0]}; it searches "
            f"{', '.join(space)}"
        )
    found = {}
    for name in rule.parameters or tuple(space):
        own = getattr(instance.params, name)
        if own is None:
            continue
        values = [value for value in _around(space[name], own, rule) if _allowed(instance, name, value)]
        if len(values) > 1:
            found[name] = values
    return found


def neighbour_rows(
    member: Member,
    inputs: Inputs,
    rule: Neighbourhood,
    *,
    root: Path,
    report: Callable[[int, int], None],
) -> Iterator[dict[str, Any]]:
    """Sweep each parameter alone; yield ``id, family, parameter, value, own`` and figures for each value.

    Every set is a trial of the ledger; a killed campaign continues with the sweeps that are missing.
    """
    charged = at_costs(inputs, rule.costs)
    assert isinstance(charged, Inputs)  # noqa: S101 - costs do not change what it is
    axes = neighbours(charged.instance, rule)
    for done, (name, values) in enumerate(axes.items()):
        own = getattr(charged.instance.params, name)
        run = sweep(charged.instance, {name: values}, root=root, start=member.start, end=member.end)
        for row in run.frame().collect().iter_rows(named=True):
            yield {
                "id": member.name,
                "family": member.family,
                "parameter": name,
                "value": float(row[name]),
                "own": row[name] == own,
                **{figure: row[figure] for figure in _SHOWN},
            }
        report(done + 1, len(axes))


def plateaus(rows: pl.DataFrame) -> pl.DataFrame:
    """Return how an instance's Sharpe ratio stands among its neighbours'.

    ``id, family, neighbours, own_sharpe, worst_sharpe, median_sharpe, best_sharpe, positive``: share of
    neighbours with a Sharpe ratio above 0. A result on a plateau is close to their median; one far above it
    was picked from a peak.
    """
    others = rows.filter(~pl.col("own"))
    own = rows.filter("own").group_by("id").agg(own_sharpe=pl.col("sharpe").first())
    sharpe = pl.col("sharpe").fill_nan(0.0)
    table = others.group_by("id", "family", maintain_order=True).agg(
        neighbours=pl.len(),
        worst_sharpe=sharpe.min(),
        median_sharpe=sharpe.median(),
        best_sharpe=sharpe.max(),
        positive=(sharpe > 0.0).mean(),
    )
    return table.join(own, on="id", how="left", maintain_order="left").select(
        "id", "family", "neighbours", "own_sharpe", "worst_sharpe", "median_sharpe", "best_sharpe", "positive"
    )


def _around(dimension: Dimension, own: Any, rule: Neighbourhood) -> list[Any]:
    steps = range(-rule.steps, rule.steps + 1)
    if rule.relative_step is not None and own != 0:
        values = [own * (1 + k * rule.relative_step) for k in steps]
        return sorted({round(value) if isinstance(own, int) else _rounded(value) for value in values})
    if isinstance(dimension, Range):
        step = dimension.step or (dimension.high - dimension.low) / _CONTINUOUS
        if dimension.is_integer:
            step = dimension.step or 1
        return [own + k * step if isinstance(own + step, int) else _rounded(own + k * step) for k in steps]
    below = [value for value in sorted(dimension.options) if value < own][-rule.steps :]
    above = [value for value in sorted(dimension.options) if value > own][: rule.steps]
    return [*below, own, *above]


def _rounded(value: float) -> float:
    # Twelve digits, so that 0.1 + 0.2 is 0.3.
    return float(f"{value:.12g}")


def _allowed(instance: StrategyInstance, name: str, value: Any) -> bool:
    try:
        instance.with_params({name: value})
    except ConfigError:
        return False
    return True
