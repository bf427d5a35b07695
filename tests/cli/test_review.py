"""`micebench review`: serves on this machine only unless told otherwise, and says in one line what is wrong."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from micebench.cli import build_app
from micebench.engine.run_reader import open_run
from micebench.errors import MicebenchError
from tests.annotation.sitting import answer, desk_for
from tests.report.runs import ordinary_plans, write_run

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A run that two people have labelled."""
    run = write_run(tmp_path_factory.mktemp("review") / "clumsy", ordinary_plans())
    desk = desk_for(run)
    for who, keys in (("anna", "yyn"), ("bob", "yny")):
        answer(desk, who, {asked: keys[number % 3] for number, asked in enumerate(desk.queue.items)})
    return run.path


def micebench(*words: object) -> str:
    done = CliRunner().invoke(build_app(), ["review", *map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def refused(*words: object) -> str:
    with pytest.raises(MicebenchError) as error:
        CliRunner().invoke(build_app(), ["review", *map(str, words)], catch_exceptions=False)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_agreement_is_printed_for_people_and_as_json(finished):
    said = micebench(finished, "--agreement")
    for words in ("anna: 34 labels, 34 blind", "human:anna", "human:*", "Fleiss' kappa of 2 reviewers", "edit type"):
        assert words in said
    found = json.loads(micebench(finished, "--agreement", "--json"))
    assert found["reviewers"]["bob"]["labels"] == 34
    assert {one["against"] for one in found["metrics"]["IF"]["judge"]} == {"human:anna", "human:bob", "human:*"}
    alone = json.loads(micebench(finished, "--agreement", "--json", "--reviewer", "anna"))
    assert [one["against"] for one in alone["metrics"]["IF"]["judge"]] == ["human:anna"]


def test_filled_numbers_are_marked(finished):
    said = micebench(finished, "--fill")
    assert "not the run's numbers, and stored nowhere" in said
    assert re.search(r"IF: \d of 5 gaps filled", said)
    found = json.loads(micebench(finished, "--fill", "--json"))
    assert found["automatic"] == open_run(finished).summary()


def test_labels_are_exported(finished, tmp_path):
    path = tmp_path / "labels.csv"
    assert micebench(finished, "--export", path, "--reviewer", "Anna").startswith("34 labels -> ")
    assert len(path.read_text(encoding="utf-8").splitlines()) >= 35


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--metric", "overall"), "no question for metric 'overall'"),
        (("--reviewer", "../x"), "reviewer '../x': give a name"),
        (("--export", "labels.xls"), r"ends in \.csv, \.jsonl or \.parquet"),
        (("--agreement", "--reviewer", "zoe"), "has no labels of zoe"),
    ],
)
def test_what_cannot_be_done_is_one_line(finished, words, said):
    assert re.search(said, refused(finished, *words))


def test_without_gradio_the_remedy_is_said(finished, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert refused(finished) == "gradio is not installed; run: pip install 'micebench[review]'"
    micebench(finished, "--agreement")  # needs no gradio


def test_no_folder_of_a_run(tmp_path):
    assert "is not a run" in refused(tmp_path)


@pytest.mark.parametrize("words", [("--agreement", "--fill"), ("--fill", "--metric", "IF"), ("--share",)])
def test_contradictions_and_tunnels_are_refused(finished, words):
    done = CliRunner().invoke(build_app(), ["review", str(finished), *words])
    assert done.exit_code == 2


def test_a_port_in_use_is_said_and_a_free_one_is_found():
    from micebench.cli.review import free_port

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MicebenchError, match=f"cannot serve at 127.0.0.1, port {port}.*another --port"):
            free_port("127.0.0.1", port)
    assert free_port("127.0.0.1", None) in range(7860, 7960)


@pytest.mark.slow
def test_it_serves_until_it_is_stopped(finished, tmp_path):
    pytest.importorskip("gradio", reason="the page is made with gradio: pip install 'micebench[review]'")
    shutil.copytree(finished, tmp_path / "run")
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "micebench", "review", str(tmp_path / "run"), "--sessions", "2"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "COLUMNS": "200"},
    ) as serving:  # fmt: skip
        try:
            assert serving.stdout is not None
            assert "the first 2 sessions in the order of a hash of seed 0" in serving.stdout.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+/", serving.stdout.readline())
            assert address is not None
            for _ in range(600):
                try:
                    page = urllib.request.urlopen(address[0], timeout=30).read().decode()
                    break
                except OSError:
                    assert serving.poll() is None
                    time.sleep(0.1)
            assert "micebench review" in page
            serving.send_signal(signal.SIGINT)
            _, noise = serving.communicate(timeout=60)
        finally:
            serving.kill()
    assert serving.returncode in (0, 130)
    assert "Traceback" not in noise
