"""`micebench leaderboard push` by the real client of the hub, against a stand-in of the hub on loopback."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from micebench.cli import build_app
from micebench.errors import DataError, EndpointError, MicebenchError
from micebench.leaderboard.push import push
from micebench.leaderboard.results import read_results
from micebench.leaderboard.site import LISTING, build_site, listing
from tests.leaderboard.conftest import TASK
from tests.leaderboard.hub import Hub, serve

SPACE, DATASET = ("space", "someone/board"), ("dataset", "someone/board")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serve() as running:
        yield running


def on_disk(site: Path) -> dict[str, bytes]:
    return {name: (site / name).read_bytes() for name in (*(listing(site) or ()), LISTING)}


def test_a_space_gets_the_whole_site_in_one_commit(hub: Hub, site: Path):
    address = push(site, "someone/board", endpoint=hub.endpoint)
    assert address == f"{hub.endpoint}/spaces/someone/board"
    assert hub.settings[SPACE]["sdk"] == "static"
    assert hub.repos[SPACE] == on_disk(site) | {".gitattributes": b""}
    assert len(hub.commits) == 1
    assert hub.repos[SPACE]["README.md"].startswith(b"---\ntitle: ")


def test_a_dataset_keeps_its_own_readme(hub: Hub, site: Path):
    push(site, "someone/board", kind="dataset", private=True, endpoint=hub.endpoint)
    assert set(hub.repos[DATASET]) == set(on_disk(site)) - {"README.md"} | {".gitattributes"}
    assert hub.settings[DATASET]["visibility"] == "private"


def test_what_is_no_longer_on_the_site_is_deleted_and_nothing_else(hub: Hub, results: Path, tmp_path: Path):
    out = tmp_path / "site"
    build_site(read_results(results), out)
    push(out, "someone/board", endpoint=hub.endpoint)
    hub.repos[SPACE]["theirs.txt"] = b"kept"
    shutil.rmtree(results / TASK / "clumsy")
    build_site(read_results(results), out)
    push(out, "someone/board", endpoint=hub.endpoint)
    assert hub.commits[1][2] == [f"{TASK}/clumsy.html"]
    assert hub.repos[SPACE] == on_disk(out) | {".gitattributes": b"", "theirs.txt": b"kept"}


@pytest.mark.parametrize("text", ["[]", json.dumps({"files": ["../x", "*"]}), json.dumps({"files": ["*"]})])
def test_a_listing_of_someone_else_deletes_nothing(hub: Hub, site: Path, text: str):
    hub.repos[SPACE] = {"site.json": text.encode(), "theirs.txt": b"kept"}
    push(site, "someone/board", endpoint=hub.endpoint)
    assert hub.repos[SPACE]["theirs.txt"] == b"kept"
    assert hub.commits[0][2] == []


def test_without_a_token_nothing_is_asked(hub: Hub, site: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(MicebenchError, match="hf auth login"):
        push(site, "someone/board", endpoint=hub.endpoint)
    assert not hub.repos


def test_a_token_that_may_not_write_is_said(hub: Hub, site: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", "hf_reader")
    with pytest.raises(EndpointError, match=r"refuses to write someone/board \(403\)") as caught:
        push(site, "someone/board", endpoint=hub.endpoint)
    assert "hf_reader" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_hub_that_is_down_is_one_line(hub: Hub, site: Path):
    hub.down = True
    with pytest.raises(EndpointError) as caught:
        push(site, "someone/board", endpoint=hub.endpoint)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_none_is_said(hub: Hub, site: Path):
    with pytest.raises(MicebenchError, match="--repo"):
        push(site, "not//a repo", endpoint=hub.endpoint)


def test_only_a_built_site_is_pushed(hub: Hub, site: Path, tmp_path: Path):
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(DataError, match="not a site"):
        push(tmp_path, "someone/board", endpoint=hub.endpoint)
    copied = shutil.copytree(site, tmp_path / "site")
    (copied / TASK / "clumsy.html").unlink()
    with pytest.raises(DataError, match="missing; build the site again"):
        push(copied, "someone/board", endpoint=hub.endpoint)
    assert not hub.repos


def test_files_beside_the_site_stay_here(hub: Hub, site: Path, tmp_path: Path):
    copied = shutil.copytree(site, tmp_path / "site")
    (copied / "secret.txt").write_text("mine")
    push(copied, "someone/board", endpoint=hub.endpoint)
    assert "secret.txt" not in hub.repos[SPACE]


def test_the_verb_prints_the_address(hub: Hub, site: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[dict[str, object]] = []
    monkeypatch.setattr(
        "micebench.leaderboard.push.push", lambda *names, **how: asked.append(how) or f"at {names[1]}"
    )
    found = CliRunner().invoke(build_app(), ["leaderboard", "push", str(site), "--repo", "a/b", "--type", "dataset"])
    assert found.output == "at a/b\n"
    assert asked == [{"kind": "dataset", "private": False}]
