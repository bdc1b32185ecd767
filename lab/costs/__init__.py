"""What trading costs: fee and slippage, one value for the backtest, the paper fills and the risk step."""

from lab.costs.model import Costs

__all__ = ["Costs"]
