"""A folder that is not this run's is never written into."""

from pathlib import Path

import pytest

from micebench.engine.evaluate import evaluate, judge
from micebench.engine.run_reader import open_run
from micebench.errors import CardError, RunError
from tests.toy import toy_cards


def snapshot(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_run_of_another_task_is_refused_and_left_alone(tmp_path: Path) -> None:
    evaluate("toy", "painter", out=tmp_path / "run", cards=[toy_cards(tmp_path / "cards")])
    before = snapshot(tmp_path / "run")
    with pytest.raises(RunError, match=r"holds another run: its task is 'toy', not 'mice-mini'.*--out"):
        evaluate("mice-mini", "identity", out=tmp_path / "run")
    assert snapshot(tmp_path / "run") == before


def test_a_folder_with_other_things_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"meow")
    with pytest.raises(RunError, match="photos is not empty and not a run; give another --out"):
        evaluate("toy", "painter", out=tmp_path / "photos", cards=[toy_cards(tmp_path / "cards")])
    assert len(snapshot(tmp_path / "photos")) == 1
    with pytest.raises(RunError, match=r"cat\.jpg is a file; give a folder with --out"):
        evaluate("toy", "painter", out=tmp_path / "photos" / "cat.jpg", cards=[tmp_path / "cards"])


def test_what_is_no_run_cannot_be_opened_or_judged(tmp_path: Path) -> None:
    for reader in (open_run, judge):
        with pytest.raises(RunError, match=r"is not a run .*micebench run"):
            reader(tmp_path)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"task": "mice-mni", "editor": "oracle"}, r"unknown task 'mice-mni': did you mean 'mice-mini"),
        ({"task": "mice-mini", "editor": "orcale"}, r"unknown model 'orcale': did you mean 'oracle'"),
        ({"task": "mice-mini", "editor": "oracle", "judge": "exakt"}, r"unknown judge 'exakt': did you mean 'exact'"),
        ({"task": "mice-mini", "editor": "oracle", "context": "all"}, r"context is 'all'; give one of last, history"),
        ({"task": "mice-mini", "editor": "oracle", "limit": 0}, r"limit is 0; give a whole number"),
    ],
)
def test_a_wrong_name_or_number_is_one_line_with_the_nearest(tmp_path: Path, names: dict, said: str) -> None:
    with pytest.raises(CardError, match=said) as error:
        evaluate(out=tmp_path / "run", **names)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_mini_model_is_refused_on_photographs(tmp_path: Path) -> None:
    cards = toy_cards(tmp_path / "cards")
    card = cards / "tasks/toy/task.yaml"
    card.write_text(card.read_text().replace("domain: mini", "domain: photo"))
    with pytest.raises(CardError, match=r"'toy' has photo images; 'oracle' edits rendered scenes only: give --task"):
        evaluate("toy", "oracle", out=tmp_path / "run", cards=[cards])
    model = cards / "baselines/painter/editor.yaml"
    model.write_text(model.read_text().replace("domain: mini", "domain: photo"))
    with pytest.raises(CardError, match=r"has mini images; 'painter' edits photographs: give a photo task"):
        evaluate("mice-mini", "painter", out=tmp_path / "run", cards=[cards])
    with pytest.raises(CardError, match="judge 'meter' judges mini images, task 'toy' has photo ones"):
        evaluate("toy", "painter", out=tmp_path / "run", cards=[cards])


def test_a_card_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    cards = toy_cards(tmp_path / "cards")
    card = cards / "baselines/painter/editor.yaml"
    card.write_text(card.read_text() + "contxt: history\n")
    with pytest.raises(CardError, match=r"editor\.yaml: unknown key 'contxt'; did you mean 'context'"):
        evaluate("toy", "painter", out=tmp_path / "run", cards=[cards])
