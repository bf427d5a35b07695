"""Instruction following on photographs: did this turn happen? Two published protocols, and ours."""

from micebench.judges.protocols.following.dispatch import follow
from micebench.judges.protocols.following.rules import CorrectedRules, FollowingRules, PublishedRules
from micebench.judges.protocols.following.steps import Asks

__all__ = ["Asks", "CorrectedRules", "FollowingRules", "PublishedRules", "follow"]
