"""Campaigns: families and portfolios through named periods, regimes and cost levels, beside buy and hold."""

from lab.pipeline.campaign.config import CampaignConfig, load_campaign
from lab.pipeline.campaign.running import CampaignRun, run_campaign

__all__ = ["CampaignConfig", "CampaignRun", "load_campaign", "run_campaign"]
