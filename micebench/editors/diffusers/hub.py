"""What a download from the hub raises, in one line."""

from micebench.errors import one_line


def hub_errors() -> tuple[type[Exception], ...]:
    """What a failing download raises; the bases are the errors of the hub client's HTTP library."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    return (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, *HfHubHTTPError.__bases__)  # type: ignore[return-value]


def unreachable(repo: str, revision: str | None, error: Exception, option: str = "--weights DIR") -> str:
    """Why a repository cannot be loaded, and what to do. `option`: what takes a local copy instead."""
    from huggingface_hub.errors import GatedRepoError

    place = f"{repo}@{(revision or '')[:8]}"
    if isinstance(error, GatedRepoError) or "gated" in str(error).lower():
        return (
            f"{place} is gated: accept its terms at https://huggingface.co/{repo}, run `hf auth login`, "
            f"or give a local copy with {option}"
        )
    said = one_line(error, 300) or type(error).__name__
    return f"{place} cannot be loaded ({said}); go online once, or give a local copy with {option}"
