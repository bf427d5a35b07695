"""Submissions: runs as bundles that others can check, and the checking."""

from micebench.report.submission.accept import accept, to_json
from micebench.report.submission.bundle import Bundle, read_bundle
from micebench.report.submission.refusal import BundleError
from micebench.report.submission.submit import Written, submit
from micebench.report.submission.verify import Check, Verification, verify_bundle

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
