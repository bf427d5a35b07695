"""Fixtures every room may use."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import browser  # noqa: F401  a fixture of everybody


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is remembered from run to run is not the user's, and starts empty."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MICEBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the real annotation files, which are not ours to ship."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("real annotation files not here")
    return folder
