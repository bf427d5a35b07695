"""How long a call is tried, and how long to wait in between."""

import email.utils
import random
import re
import time
from collections.abc import Mapping
from datetime import UTC

from pydantic import BaseModel, ConfigDict, Field

_NUMBER = re.compile(r"\d+(\.\d*)?", re.ASCII)


class Patience(BaseModel):
    """How long a call is tried; may be part of a card's options."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    attempts: int = Field(default=6, ge=1, description="calls at most, the first one included")
    timeout_s: float = Field(default=180.0, gt=0, description="one attempt, from the DNS lookup to the last byte")
    deadline_s: float = Field(default=600.0, gt=0, description="all attempts and the waiting between them")
    first_wait_s: float = Field(default=1.0, ge=0, description="doubles with every attempt; jittered")
    longest_wait_s: float = Field(default=60.0, ge=0, description="of our own waits; Retry-After may ask for more")

    def backoff(self, attempts: int) -> float:
        """Seconds to wait after so many attempts: doubling, jittered by up to a half."""
        return random.uniform(0.5, 1.0) * min(self.longest_wait_s, self.first_wait_s * 2.0 ** min(attempts - 1, 60))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds a server asks to wait: ``retry-after-ms``, or ``Retry-After`` as a number or a date; None: nothing.

    A date is compared with the server's own clock, the ``Date`` header, where there is one. Negative numbers and
    whatever else is neither a number nor a date ask for nothing; a date in the past asks for 0 seconds.
    """
    for name, scale in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        text = headers.get(name, "").strip()
        if _NUMBER.fullmatch(text):
            return float(text) * scale
    until = _timestamp(headers.get("retry-after", ""))
    if until is None:
        return None
    now = _timestamp(headers.get("date", ""))
    return max(0.0, until - (time.time() if now is None else now))


def _timestamp(text: str) -> float | None:
    """Seconds since 1970 of an HTTP date; one without a time zone is in UTC."""
    try:
        moment = email.utils.parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
