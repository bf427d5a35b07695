"""Instruction following on photographs: did this turn happen? Two published protocols, and ours."""

from micebench.judges.following.follow import follow
from micebench.judges.following.rules import CorrectedRules, FollowingRules, PublishedRules
from micebench.judges.following.steps import Asks

__all__ = ["Asks", "CorrectedRules", "FollowingRules", "PublishedRules", "follow"]
