"""The certificate of a strategy: decided through the one function that backtest and bridge call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.core.errors import MnemoError
from lab.core.frames import RECEIVED
from lab.core.panel import Panel
from lab.features import compute, definition_of
from lab.strategies import Strategy, decide, total_lookback
from lab.validation.causality import Certificate, certify
from lab.validation.causality_bits import differing
from lab.validation.causality_future import neighbour_cell
from lab.validation.causality_origin import AHEAD
from lab.validation.causality_subject import Finding, Subject

__all__ = ["certify_strategy"]

Array = NDArray[np.float64]


def certify_strategy(
    strategy: Strategy[Any],
    panel: Panel,
    params: Any,
    *,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Certificate:
    """Return the certificate of a strategy on the bars of `panel`: what ``mnemo parity`` prints.

    Features are computed again from the bars of every cut. Where the strategy says that a market's weights
    depend on that market alone, its core is also run on each market by itself, with the share of capital
    that the market has among all.

    Parameters
    ----------
    strategy : Strategy
        With its parameters in `params`.
    panel : Panel
        Bars as :func:`lab.strategies.decide` takes them, at least the total lookback of them.
    seed, progress
        See :func:`lab.validation.causality.certify`.

    Examples
    --------
    >>> from lab.core.timeframe import Timeframe
    >>> from lab.strategies import strategy_of
    >>> day = Timeframe.parse("1d")
    >>> bar = np.arange(20_000, 20_090)
    >>> close = np.exp(np.sin(bar / 7.0))[:, None]
    >>> panel = Panel(day, bar, day.open_times(bar), ("binance:BTC/USDT",), {"close": close})
    >>> momentum = strategy_of("time_series_momentum")
    >>> certificate = certify_strategy(momentum, panel, momentum.params(lookback_window=10, vol_window=5))
    >>> certificate.ok, certificate.lookback_declared, certificate.mismatches, certificate.max_ulp
    (True, 11, 0, 0)
    """

    def decided(part: Panel, wanted: Any) -> Array:
        return decide(strategy, part, wanted)

    lookback = total_lookback(strategy, params)
    panel = _columns_read(strategy, panel, params)
    certificate = certify(decided, panel, params, lookback=lookback, seed=seed, progress=progress)
    certificate = replace(
        certificate,
        findings=tuple(_through_features(strategy, panel, params, each) for each in certificate.findings),
    )
    if not strategy.per_market or len(panel.markets) < 2:
        return certificate
    share = len(panel.markets)

    def by_core(part: Panel, wanted: Any) -> Array:
        features = strategy.features(wanted)
        computed = compute(part, features)
        numbers = strategy.numbers(wanted, markets=share, first_bar=int(part.bar[0]))
        return strategy.core(*(computed[feature] for feature in features), *numbers)

    subject = Subject(by_core, panel, params, seed)
    cell = neighbour_cell(subject, by_core(panel, params))
    if cell is None:
        return certificate
    detail = "the weight differs when the core sees the market alone, or in another place"
    findings = (*certificate.findings, subject.finding("neighbour", cell, detail))
    return replace(certificate, ok=False, findings=findings)


def _columns_read(strategy: Strategy[Any], panel: Panel, params: Any) -> Panel:
    """Return the panel of the columns that features and hold rules read: each costs a copy at every cut.

    All of it where the strategy turns out to read more.
    """
    names = {name for feature in strategy.features(params) for name in definition_of(feature).inputs(feature)}
    names |= {"close", RECEIVED["close"]}
    part = replace(panel, fields={key: values for key, values in panel.fields.items() if key in names})
    try:
        same = not differing(decide(strategy, part, params), decide(strategy, panel, params)).any()
    except MnemoError:
        return panel
    return part if same else panel


def _through_features(strategy: Strategy[Any], panel: Panel, params: Any, finding: Finding) -> Finding:
    """Name the features that differ at the bar of a finding, when computed from fewer bars."""
    row = finding.bar - int(panel.bar[0])
    bars = row + 1 if finding.kind in AHEAD else total_lookback(strategy, params)
    part = panel.rows(max(row + 1 - bars, 0), row + 1)
    features = strategy.features(params)
    whole, cut = compute(panel, features), compute(part, features)
    guilty = [str(each) for each in features if differing(whole[each][row], cut[each][-1]).any()]
    return replace(finding, feature=", ".join(guilty)) if guilty else finding
