"""Submissions: runs as bundles that others can check, and the checking."""

from micebench.submission.accept import accept, to_json
from micebench.submission.bundle import Bundle, read_bundle
from micebench.submission.errors import BundleError
from micebench.submission.submit import Written, submit
from micebench.submission.verify import Check, Verification, verify_bundle

__all__ = [
    "Bundle",
    "BundleError",
    "Check",
    "Verification",
    "Written",
    "accept",
    "read_bundle",
    "submit",
    "to_json",
    "verify_bundle",
]
