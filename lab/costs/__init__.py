"""What trading costs: one value for the backtest, the paper fills and the risk step."""

from lab.costs.fees import fee_bps
from lab.costs.model import Costs, MarketRules

__all__ = ["Costs", "MarketRules", "fee_bps"]
