"""Why a bundle, or a run that is to become one, is not taken."""

from micebench.errors import MicebenchError


class BundleError(MicebenchError):
    """A bundle that is refused; the message says why, in one line.

    Attributes:
        check: the check that it does not pass (see docs/submission.md).
    """

    def __init__(self, check: str, reason: str) -> None:
        super().__init__(reason)
        self.check = check
