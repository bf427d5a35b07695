"""Only a judge that is not available to the verifier leaves verdicts unchecked; any other trouble is a failure."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from micebench.cli import build_app
from micebench.engine.judge_stage import Judging
from micebench.errors import CardError, EndpointError, MicebenchError, RunError, UnavailableError, needs_extra
from micebench.judges.exact.judge import ExactJudge
from micebench.judges.models.loading import Weights, load_pretrained
from micebench.judges.models.vlm_openai import OpenAIOptions, OpenAIVlm
from micebench.store.blobs import Blobs
from micebench.submission import to_json
from micebench.submission.verify import NAMES
from tests.submission.conftest import Made

TROUBLES: dict[str, BaseException] = {
    "full disk": RunError("cannot write blobs/ab/abcd.png: No space left on device"),
    "card": CardError("judge 'exact': unknown option"),
    "server that goes away": EndpointError("HTTP 401"),
    "other": MicebenchError("something"),
    "system": OSError(errno.ENOSPC, "No space left on device"),
    "memory": MemoryError(),
    "recursion": RecursionError("maximum recursion depth exceeded"),
    "bug": AssertionError(),
    "key": KeyError("x"),
    "unicode": UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
    "exit": SystemExit(0),
    "judge that is gone while judging": UnavailableError("no weights"),
}


def raising(error: BaseException) -> Callable[..., Any]:
    def call(*_: object, **__: object) -> Any:
        raise error

    return call


@pytest.mark.parametrize("error", TROUBLES.values(), ids=TROUBLES)
@pytest.mark.parametrize("where", [(Judging, "finish"), (Blobs, "put")], ids=["judging", "writing"])
def test_trouble_while_judging_again_fails_the_check(
    made: Made, monkeypatch: pytest.MonkeyPatch, where: tuple[type, str], error: BaseException
):
    monkeypatch.setattr(*where, raising(error))
    found = made.verify(made.bundle)
    assert (found.passed, found.mark, found.verdicts_recomputed) == (False, "self-reported", 0)
    check = next(check for check in found.checks if check.outcome == "failed")
    assert check.check == "verdicts"
    assert check.detail.strip()
    assert "\n" not in check.detail
    assert [c.check for c in found.checks] == list(NAMES)
    assert to_json(found)["mark"] == "self-reported"


@pytest.mark.parametrize("error", TROUBLES.values(), ids=TROUBLES)
@pytest.mark.parametrize("name", ["check_sessions", "check_images", "check_copies", "check_coverage", "standing"])
def test_trouble_in_any_check_fails_it(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException
):
    module = __import__("micebench.submission.verify", fromlist=["verify"])
    monkeypatch.setattr(module, name, raising(error))
    monkeypatch.setattr(module, "rejudge", raising(RunError("not needed here")))
    found = made.verify(made.bundle, results=tmp_path)
    assert not found.passed
    assert len(found.checks) == len(NAMES)


@pytest.mark.parametrize("name", [name for name, error in TROUBLES.items() if isinstance(error, Exception)])
def test_trouble_while_reading_fails_the_archive(made: Made, monkeypatch: pytest.MonkeyPatch, name: str):
    module = __import__("micebench.submission.verify", fromlist=["verify"])
    monkeypatch.setattr(module, "read_bundle", raising(TROUBLES[name]))
    found = made.verify(made.bundle)
    assert (found.passed, found.bundle) == (False, None)
    assert found.checks[0].outcome == "failed"


def test_no_folder_for_temporary_files_is_a_failure(made: Made, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tempfile.mkdtemp", raising(OSError(errno.ENOSPC, "No space left on device")))
    found = made.verify(made.bundle)
    assert not found.passed
    assert "no folder for temporary files" in found.checks[0].detail


def test_the_exit_code_tells(made: Made, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    words = ["verify", str(made.bundle), "--cards", str(made.cards[0])]
    with monkeypatch.context() as patch:
        patch.setattr(Blobs, "put", raising(OSError(errno.ENOSPC, "No space left on device")))
        done = CliRunner().invoke(build_app(), [*words, "--accept", str(tmp_path / "results")])
    assert done.exit_code == 1
    assert "failed  verdicts" in done.stdout
    assert not (tmp_path / "results").exists()
    monkeypatch.setattr(ExactJudge, "__init__", raising(UnavailableError("no weights of it here")))
    done = CliRunner().invoke(build_app(), words)
    assert done.exit_code == 0, done.output
    assert "skipped verdicts     judge not available to the verifier: no weights of it here" in done.stdout
    assert "self-reported (judge not available to the verifier): 0 of 468 verdicts judged again" in done.stdout


def test_a_judge_that_cannot_be_built_for_another_reason_fails(made: Made, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ExactJudge, "__init__", raising(CardError("judge 'exact' takes no options")))
    found = made.verify(made.bundle)
    assert not found.passed


def test_a_judge_that_answers_nothing_fails(made: Made, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ExactJudge, "judge", raising(RuntimeError("a bug")))
    found = made.verify(made.bundle)
    assert not found.passed


def test_what_cannot_be_had_says_so_by_its_kind(monkeypatch: pytest.MonkeyPatch):
    """A server, weights, a package: the three that may skip the check."""
    monkeypatch.delenv("MICEBENCH_VLM_URL", raising=False)
    with pytest.raises(UnavailableError, match="no server for m"):
        OpenAIVlm(OpenAIOptions(model="m"), where="judge 'x'")

    class Loader:
        error: Exception = OSError("not found")

        @classmethod
        def from_pretrained(cls, *_: object, **__: object) -> None:
            raise cls.error

    weights = Weights(repo="owner/name", revision="0" * 40)
    with pytest.raises(UnavailableError):
        load_pretrained(Loader, weights)
    Loader.error = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(CardError) as full:
        load_pretrained(Loader, weights)
    assert not isinstance(full.value, UnavailableError)
    assert isinstance(needs_extra("ocr", ImportError(name="rapidocr")), UnavailableError)


def test_an_accepted_bundle_that_cannot_be_read_fails_the_search_for_copies(made: Made, tmp_path: Path):
    folder = tmp_path / "tiny" / "broken"
    folder.mkdir(parents=True)
    (folder / "bundle.zip").write_bytes(b"no zip")
    found = made.verify(made.bundle, results=tmp_path)
    assert not found.passed
    detail = {check.check: check.detail for check in found.checks}["copies"]
    assert "cannot be compared with" in detail
