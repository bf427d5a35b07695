"""Numbers from verdicts: aggregates, intervals, paired comparison. Knows no file and no model."""

from micebench.metrics.intervals import Resampling
from micebench.metrics.outcomes import Consistency
from micebench.metrics.paired import Match, match, paired
from micebench.metrics.summary import METRIC_NAMES, summarize
from micebench.metrics.verdict_table import MISSING, STATUS_CODES, VerdictTable

__all__ = [
    "METRIC_NAMES",
    "MISSING",
    "STATUS_CODES",
    "Consistency",
    "Match",
    "Resampling",
    "VerdictTable",
    "match",
    "paired",
    "summarize",
]
