"""Publishing a site on the hub: a static Space, or the files in a dataset repository."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from micebench.errors import DataError, EndpointError, MicebenchError, described
from micebench.leaderboard.site import LISTING, parse_listing, site_files
from micebench.utils.scratch import temporary_folder

if TYPE_CHECKING:
    from huggingface_hub import HfApi

RepoType = Literal["space", "dataset"]


def push(
    site: Path, repo: str, *, kind: RepoType = "space", private: bool = False, endpoint: str | None = None
) -> str:
    """Upload a built site in one commit; returns the address of the repository.

    The repository is made if need be. Files of an earlier push that are no longer part of the site are deleted
    in the same commit; other files there are left alone.

    Args:
        endpoint: address of the hub, None: as huggingface_hub is configured (HF_ENDPOINT).

    Raises:
        MicebenchError: not a site, no token, no right to write, a hub that cannot be reached; with the remedy.
    """
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    names = [path.relative_to(site).as_posix() for path in site_files(site)]
    token = get_token()
    if token is None:
        raise MicebenchError("no token of the hub; run `hf auth login`, or set HF_TOKEN to one that may write")
    api = HfApi(endpoint=endpoint, token=token, library_name="micebench")
    try:
        address = api.create_repo(
            repo, repo_type=kind, private=private, space_sdk="static" if kind == "space" else None, exist_ok=True
        )
        left = [name for name in _pushed_before(api, repo, kind) if name not in names]
        # A Space is told by its README what it is; a dataset's own README is its owner's.
        uploaded = [name for name in names if kind == "space" or name != "README.md"]
        api.upload_folder(
            repo_id=repo,
            repo_type=kind,
            folder_path=site,
            allow_patterns=uploaded,
            delete_patterns=left or None,
            commit_message="micebench leaderboard",
        )
    except HFValidationError as error:
        raise MicebenchError(f"--repo {repo}: {error}") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise EndpointError(
                f"the hub refuses to write {repo} ({status}); use a token with write access to it (HF_TOKEN)"
            ) from error
        raise EndpointError(f"the hub answers {described(error, 300)}; try again later") from error
    except (OSError, ValueError) as error:
        raise EndpointError(f"{repo} could not be pushed: {described(error, 300)}") from error
    return str(address)


def _pushed_before(api: "HfApi", repo: str, kind: RepoType) -> tuple[str, ...]:
    """Files of an earlier push, by the listing that lies in the repository; none where it has no listing."""
    from huggingface_hub.errors import EntryNotFoundError

    with temporary_folder() as folder:
        try:
            path = api.hf_hub_download(repo, LISTING, repo_type=kind, local_dir=folder)
        except EntryNotFoundError:
            return ()
        try:
            return parse_listing(Path(path).read_bytes())
        except DataError:
            return ()  # not ours: nothing of it is deleted
