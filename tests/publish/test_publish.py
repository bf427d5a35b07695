"""`micebench publish` writes what the runs say and nothing else, and refuses runs that are not the whole truth."""

import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from micebench.cli import build_app
from micebench.comparison.paired_runs import compare
from micebench.engine.evaluate import evaluate, judge
from micebench.engine.run_reader import open_run
from micebench.errors import CardError, DataError, MicebenchError, RunError
from micebench.metrics import METRIC_NAMES
from micebench.publish.publish import publish
from micebench.report.contact_sheet import BAD, GOOD, WORN, choose
from micebench.report.session_sampling import Outcome
from micebench.report.summary_header import command
from micebench.report.training_curve import read_curve

PLAIN = {"split": "test", "turns": 3, "counts": {"plain": 10}, "seed": 0}
TASKS = {
    "tiny": PLAIN | {"counts": {"plain": 10, "cm": 8, "cu": 8}},
    "tiny-long": PLAIN | {"turns": 6, "counts": {"plain": 3}},
    "tiny-reference": PLAIN | {"start": "reference"},
}
FAILURE = dict.fromkeys(("subject_add", "text_change", "count_change", "position_change", "color_alter"), 0.5)


def write_card(folder: Path, room: str, name: str, **fields: object) -> Path:
    path = folder / room / name / ("task.yaml" if room == "tasks" else "editor.yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"id": name, "description": f"{name} of a test", "domain": "mini"} | fields))
    return path


def write_cards(folder: Path) -> Path:
    for name, options in TASKS.items():
        adapter = {"loader": "mini", "judge": "exact"}
        turns = 1 if options.get("start") else options["turns"]
        write_card(folder, "tasks", name, options=options, turns=turns, **adapter)
    editor = {"context": "history", "batch": 64}
    write_card(folder, "baselines", "fumbling", editor="clumsy",
               options={"failure": FAILURE}, **editor)  # fmt: skip
    write_card(folder, "baselines", "fading", editor="drifting",
               options={"blur_sigma_px": 1.0, "noise_std": 0.06}, **editor)  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cards, and the runs of two models on all three tasks: ``cards/`` and ``<model>/<task>/``."""
    folder = tmp_path_factory.mktemp("made")
    cards = write_cards(folder / "cards")
    for model in ("fumbling", "fading"):
        for task in TASKS:
            evaluate(task, model, out=folder / model / task, cards=[cards])
    return folder


def publish_all(made: Path, out: Path, model: str) -> Path:
    """Publish all runs of a model into `out`."""
    runs = [made / model / "tiny", made / model / "tiny-long"]
    publish(model, runs, reference=made / model / "tiny-reference", out=out, cards=[made / "cards"])
    return out


@pytest.fixture(scope="module")
def published(made: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Model -> folder its results and card were written into."""
    return {name: publish_all(made, tmp_path_factory.mktemp(name), name) for name in ("fumbling", "fading")}


def page_of(published: dict[str, Path], model: str = "fumbling") -> str:
    return (published[model] / "baselines" / model / "README.md").read_text(encoding="utf-8")


def rows_under(page: str, heading: str, first_head: str) -> dict[str, list[str]]:
    """The rows of the first table below a heading that begins with this column head: first cell -> others."""
    part = page[page.index(f"\n### {heading}\n") :]
    lines = part[part.index(f"\n| {first_head} |") :].strip().splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[: lines.index("")]]
    return {row[0]: row[1:] for row in cells}


def shown(cell: dict) -> str:
    few = f"<br><sub>n {cell['n']}</sub>" if cell["n"] != cell["of"] else ""
    return f"{cell['value']:.1f}<br><sub>{cell['low']:.1f}–{cell['high']:.1f}</sub>{few}"


def test_every_number_of_the_card_is_the_runs(made, published):
    page = page_of(published)
    for task in ("tiny", "tiny-long"):
        summary = open_run(made / "fumbling" / task).summary()
        rows = rows_under(page, task, "turn *k*")
        assert list(rows) == list(summary["metrics"]["overall"])
        for turn, cells in rows.items():
            assert cells[:-1] == [shown(summary["metrics"][name][turn]) for name in METRIC_NAMES]
        kinds = rows_under(page, task, "edit type")
        for kind, (first, _, pooled, n) in kinds.items():
            assert pooled.startswith(f"{summary['edit_types'][kind]['value']:.1f}")
            assert n == str(summary["edit_types"][kind]["n"])
            value = summary["edit_types_by_turn"][kind]["1"]["value"]
            assert first.startswith("–" if value is None else f"{value:.1f}")
        assert set(kinds) == set(summary["edit_types"])


def test_all_turns_stand_beside_the_first_to_their_power(made, published):
    metrics = open_run(made / "fumbling" / "tiny").summary()["metrics"]
    row = rows_under(page_of(published), "tiny", "sessions")["all"]
    assert row[1].startswith(f"{100 * (metrics['marginal_success']['1']['value'] / 100) ** 3:.1f}")
    assert row[2] == shown(metrics["turn_success"]["3"])
    assert row[3] in ("lower", "higher", "not told apart")


def test_what_a_training_changed_is_the_paired_difference(made, tmp_path):
    """`--against`: the numbers are `compare`'s, on the page and in a file without anybody's paths."""
    cards = [made / "cards"]
    publish("fading", [made / "fading" / "tiny"], against=[made / "fumbling" / "tiny"], out=tmp_path, cards=cards)
    numbers = json.loads((tmp_path / "results/tiny/fading/against-fumbling.json").read_text())
    found = compare(made / "fumbling" / "tiny", made / "fading" / "tiny")
    assert numbers["metrics"] == json.loads(json.dumps(found.numbers["metrics"]))
    assert str(made) not in json.dumps(numbers)
    page = (tmp_path / "baselines/fading/README.md").read_text()
    cell = found.numbers["metrics"]["overall"]["1"]
    difference = f"{cell['difference']:+.1f} ({cell['low']:+.1f} to {cell['high']:+.1f})"
    row = f"| Overall | 1 | {cell['a']:.1f} | {cell['b']:.1f} | {difference} |"
    assert row in page[page.index("### Against fumbling on tiny") :]


@pytest.mark.parametrize(
    ("other", "said"), [("fading/tiny", "of 'fading' itself"), ("fumbling/tiny-long", "are of tiny")]
)
def test_a_comparison_with_the_wrong_run_is_refused(made, tmp_path, other, said):
    with pytest.raises(RunError, match=said):
        publish("fading", [made / "fading/tiny"], against=[made / other], out=tmp_path, cards=[made / "cards"])
    assert not list(tmp_path.iterdir())


def test_an_editor_that_cannot_read_its_own_outputs_has_an_exposure_gap(made, published):
    """`fading` edits clean images well and blurs them; after two turns it recognises little any more."""
    page = page_of(published, "fading")
    gap = json.loads((published["fading"] / "results/tiny/fading/exposure_gap.json").read_text())["turns"]
    assert gap["1"]["low"] <= 0 <= gap["1"]["high"]
    assert gap["3"]["low"] > 10
    plain = open_run(made / "fading/tiny").summary()["tracks"]["plain"]["marginal_success"]["3"]["value"]
    alone = [
        v for v in open_run(made / "fading/tiny-reference").verdicts() if v.metric == "IF" and ".t3" in v.session
    ]
    assert gap["3"]["own"] == plain
    assert gap["3"]["reference"] == 100 * sum(v.value for v in alone) / len(alone)
    assert gap["3"]["gap"] == pytest.approx(gap["3"]["reference"] - gap["3"]["own"])
    cells = rows_under(page, "Exposure gap", "")["turn 3"]
    assert cells[:2] == [f"{gap['3']['reference']:.1f}", f"{gap['3']['own']:.1f}"]
    assert cells[2] == f"{gap['3']['gap']:.1f}<br><sub>{gap['3']['low']:.1f}–{gap['3']['high']:.1f}</sub>"


def test_what_is_written_where(made, published):
    page, home = page_of(published), published["fumbling"]
    files = {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()}
    assert files == {
        "results/tiny/fumbling/exposure_gap.json",
        *(f"baselines/fumbling/{name}" for name in ("README.md", "turns.png", "sessions.png")),
    }
    for task in TASKS:
        assert command(open_run(made / "fumbling" / task)) in page
    accepted = {f"../../results/{task}/fumbling/summary.json" for task in ("tiny", "tiny-long")}
    targets = set(re.findall(r"\]\(([^)#:]+)\)", page))
    assert accepted <= targets
    for target in targets - accepted:
        assert target.startswith("../../docs/") or (home / "baselines/fumbling" / target).exists(), target
    assert "micebench publish fumbling \\\n  runs/tiny--fumbling \\\n  runs/tiny-long--fumbling \\\n" in page


def test_equal_runs_give_equal_bytes(made, published, tmp_path):
    publish_all(made, tmp_path, "fumbling")
    for path in published["fumbling"].rglob("*.*"):
        assert path.read_bytes() == (tmp_path / path.relative_to(published["fumbling"])).read_bytes(), path


def test_figures_are_small_and_nothing_in_them_is_cut(published):
    """Below 400 kB also where noise fills the images, and nothing reaches the outermost pixels."""
    for name in ("turns.png", "sessions.png"):
        path = published["fading"] / "baselines/fading" / name
        assert path.stat().st_size < 400_000
        pixels = np.asarray(Image.open(path).convert("RGB"))
        assert pixels.shape[1] <= 1000
        edge = [pixels[:, 0], pixels[:, -1], pixels[0], pixels[-1]]
        assert all((line >= 0xEE).all() for line in edge), name  # white, or the pale band behind a heading


def test_a_trained_model_brings_recipe_curve_and_notes(made, tmp_path):
    cards = write_cards(tmp_path / "cards")
    home = cards / "baselines/fumbling"
    (home / "recipe.yaml").write_text("id: fumbling\nseed: 7\n")
    (home / "notes.md").write_text("Trained on a **toaster**.\n")
    curve = [{"step": step, "flow/loss": 2.0 / (step + 1)} for step in range(0, 100, 20)]
    shares = ("validation/IF", "validation/IF/text_change")
    curve += [{"step": step, **dict.fromkeys(shares, step / 300)} for step in (50, 100)]
    (home / "curve.jsonl").write_text("".join(json.dumps(line) + "\n" for line in curve))
    publish("fumbling", [made / "fumbling/tiny"], out=tmp_path / "out", cards=[cards])
    written = tmp_path / "out/baselines/fumbling"
    page = (written / "README.md").read_text()
    assert (written / "curve.jsonl").read_bytes() == (home / "curve.jsonl").read_bytes()
    assert (written / "curve.png").stat().st_size < 400_000
    assert "](curve.png)" in page
    assert "micebench train fumbling" in page
    assert "seed 7" in page
    assert "Trained on a **toaster**." in page
    assert "### Exposure gap" not in page


def test_a_post_trained_model_names_its_start_and_shows_rewards(made, tmp_path):
    cards = write_cards(tmp_path / "cards")
    home = cards / "baselines/fumbling"
    (home / "recipe.yaml").write_text("id: fumbling\nmodel: fading\nseed: 3\n")
    names = [f"advantage/reward/{metric}/turn_{turn}" for metric in ("IF", "CC") for turn in (1, 2)]
    curve = [{"step": step, **dict.fromkeys(names, 0.5)} for step in range(1, 90)]
    held_out = [f"validation/{name}/1" for name in ("overall", "turn_success", "content_consistency")]
    curve += [{"step": step, **dict.fromkeys(held_out, 50.0 + step)} for step in (0, 40)]
    (home / "curve.jsonl").write_text("".join(json.dumps(line) + "\n" for line in curve))
    publish("fumbling", [made / "fumbling/tiny"], out=tmp_path / "out", cards=[cards])
    page = (tmp_path / "out/baselines/fumbling/README.md").read_text()
    assert "It started as [fading](../fading/README.md)." in page
    assert "cp -r training/fumbling/best baselines/fumbling/weights" in page
    with Image.open(tmp_path / "out/baselines/fumbling/curve.png") as picture:
        assert len(picture.convert("RGB").getcolors(1 << 20) or ()) > 100


def copied(made: Path, folder: Path, task: str = "tiny") -> Path:
    shutil.copytree(made / "fumbling" / task, folder)
    return folder


def limited(made: Path, folder: Path) -> list[Path]:
    evaluate("tiny", "fumbling", out=folder / "run", cards=[made / "cards"], limit=3)
    return [folder / "run"]


def unjudged_in_part(made: Path, folder: Path) -> list[Path]:
    run = copied(made, folder / "run")
    (path,) = (run / "verdicts").iterdir()
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-2]))
    return [run]


def judged_by_another(made: Path, folder: Path) -> list[Path]:
    card = folder / "cards/judges/lenient/judge.yaml"
    card.parent.mkdir(parents=True)
    fields = {"id": "lenient", "description": "x", "domain": "mini", "metrics": ["IF"]}
    card.write_text(yaml.safe_dump(fields | {"judge": "exact"}))
    return [judge(copied(made, folder / "run"), "lenient", cards=[folder / "cards"]).path]


def other_context(made: Path, folder: Path) -> list[Path]:
    evaluate("tiny-long", "fumbling", out=folder / "run", cards=[made / "cards"], context="last")
    return [folder / "run"]


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        (limited, r"run has the first 3 sessions only; run the whole task, without --limit"),
        (unjudged_in_part, r"run is not complete: 2 verdicts missing; the same `micebench run` again finishes it"),
        (judged_by_another, r"run was judged by lenient, published numbers are exact's; run `micebench judge"),
        (other_context, r"run with context last, the card of 'fumbling' says history"),
        (lambda made, _: [made / "fading/tiny"], r"is a run of 'fading', not of 'fumbling'"),
        (lambda made, to: [made / "fumbling/tiny", copied(made, to / "again")], r"are both runs of 'tiny'; give one"),
        (lambda made, to: [to / "nowhere"], r"nowhere is not a run"),
    ],
    ids=["limited", "unjudged", "judge", "context", "model", "twice", "no run"],
)
def test_runs_that_are_not_the_whole_truth_are_refused(made, tmp_path, runs, said):
    given = runs(made, tmp_path)
    with pytest.raises(RunError, match=said) as refused:
        publish("fumbling", given, out=tmp_path / "out", cards=[made / "cards"])
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("room", "name", "word"),
    [("tasks", "tiny", "card of task 'tiny'"), ("baselines", "fumbling", "card or the weights of 'fumbling'")],
)
def test_numbers_of_yesterdays_cards_are_refused(made, tmp_path, room, name, word):
    cards = write_cards(tmp_path / "cards")
    (path,) = (cards / room / name).iterdir()
    path.write_text(path.read_text() + "\nversion: 9\n")
    with pytest.raises(RunError, match=f"the {word} ha(s|ve) changed since; run it again"):
        publish("fumbling", [made / "fumbling/tiny"], out=tmp_path / "out", cards=[cards])


def test_a_failed_session_is_refused_and_named(made, tmp_path):
    run = copied(made, tmp_path / "run")
    path = run / "edits/main.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    last = max((line for line in lines if line["session"] == "cu-0003"), key=lambda line: line["turn"])
    last |= {"status": "failed", "image": None, "reason": "out of paint"}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(RunError, match=r"1 session failed \(first: cu-0003 turn 3: out of paint\)"):
        publish("fumbling", [run], out=tmp_path / "out", cards=[made / "cards"])


def test_a_reference_run_needs_the_run_it_belongs_to(made, tmp_path):
    with pytest.raises(RunError, match=r"the turns of 'tiny-reference' are not those of any run given"):
        publish(
            "fumbling",
            [made / "fumbling/tiny-long"],
            reference=made / "fumbling/tiny-reference",
            out=tmp_path,
            cards=[made / "cards"],
        )


def test_the_sheet_shows_good_bad_and_worn_sessions():
    def one(order: int, followed: list[bool], consistency: float) -> Outcome:
        return Outcome("plain", order, list(followed), consistency=consistency * 6, scored=6)

    found = {(f"good-{i}", 0): one(i, [True] * 3, 0.99) for i in range(9)}
    for turn in (1, 2, 3):
        found |= {(f"bad-{turn}-{i}", 0): one(20 + i, [k != turn for k in (1, 2, 3)], 0.9) for i in range(4)}
    found |= {(f"worn-{i}", 0): one(40 + i, [True] * 3, 0.1 + i / 100) for i in range(2)}
    groups = dict(choose(found))
    names = list(groups)
    assert names[0] == "Every turn followed"
    assert [name[:6] for name in names[1:4]] == ["Turn 1", "Turn 2", "Turn 3"]
    assert len(groups[names[0]]) == GOOD
    assert sum(len(groups[name]) for name in names[1:4]) == BAD
    left = {f"worn-{i}" for i in range(2)} - {key[0] for key in groups[names[0]]}
    assert left <= {key[0] for key in groups[names[-1]]}
    assert len(groups[names[-1]]) == WORN
    assert choose(dict(reversed(found.items()))) == choose(found)


def test_words_of_the_sheet_are_never_cut():
    """Instructions of any length wrap inside their column, also one endless word."""
    from micebench.report import contact_sheet

    for text in ("paint " * 60, "x" * 300, "וורוד " * 20):
        wrapped = contact_sheet._wrap([(text, "#000000")])
        assert "".join(line.replace(" ", "") for line, _ in wrapped.lines) == text.replace(" ", "")
        assert (
            max(contact_sheet._font(contact_sheet._TEXT).getlength(line) for line, _ in wrapped.lines)
            <= contact_sheet._COLUMN - 14
        )


def test_a_sheet_full_of_noise_still_fits_a_repository():
    """Clean images are kept to the pixel; noise beyond the limit costs colours, not rows."""
    from micebench.report import contact_sheet

    noise = np.random.default_rng(0).integers(0, 256, (1152, 192, 3), dtype=np.uint8)
    for pixels in (noise, noise // 128 * 128):
        image = Image.fromarray(pixels).resize((4 * 192, 4 * 1152), Image.Resampling.NEAREST)
        data = contact_sheet._encode(image)
        assert len(data) < 400_000
        again = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        assert again.shape == (4 * 1152, 4 * 192, 3)
    assert (again == np.asarray(image)).all()


def test_a_resumed_curve_keeps_the_last_word(tmp_path):
    path = tmp_path / "curve.jsonl"
    path.write_text('{"step": 20, "a/loss": 3}\n{"step": 0, "a/loss": 9}\n{"step": 20, "a/loss": 2}\n')
    assert read_curve(path) == {"a/loss": [(0, 9.0), (20, 2.0)]}
    path.write_text('{"step": 20, "a/loss": 3}\n{"loss": 9}\n')
    with pytest.raises(DataError, match=r"curve.jsonl:2: "):
        read_curve(path)


def test_the_verb_lists_its_files_and_errors_are_one_line(made, tmp_path):
    places = ["--cards", str(made / "cards"), "--out", str(tmp_path)]
    words = ["publish", "fumbling", str(made / "fumbling/tiny"), *places]
    done = CliRunner().invoke(build_app(), words)
    assert done.exit_code == 0, done.output
    assert str(tmp_path / "baselines/fumbling/README.md") in done.stdout.splitlines()
    wrong = CliRunner().invoke(build_app(), ["publish", "fumblign", str(made / "fumbling/tiny"), *words[3:]])
    assert isinstance(wrong.exception, CardError)
    assert "did you mean 'fumbling'" in str(wrong.exception)
    assert isinstance(wrong.exception, MicebenchError)
    shown_help = CliRunner().invoke(build_app(), ["publish", "--help"], env={"COLUMNS": "100"}).stdout
    assert shown_help.count("micebench publish ") >= 2
