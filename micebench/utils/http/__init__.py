"""Calls to HTTP endpoints that may fail: retried while that can help; always an outcome, never an exception."""

from micebench.utils.http.answers import Answer, Outage, turned_away
from micebench.utils.http.endpoint import Endpoint, Files
from micebench.utils.http.environment import from_environment
from micebench.utils.http.patience import Patience, retry_after

__all__ = [
    "Answer",
    "Endpoint",
    "Files",
    "Outage",
    "Patience",
    "from_environment",
    "retry_after",
    "turned_away",
]
