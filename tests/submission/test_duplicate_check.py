"""Images of an accepted model under another name are found whatever their files look like."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from micebench.submission import BundleError, accept, read_bundle, submit
from micebench.submission.duplicate_check import check_copies
from micebench.utils.png import encode_png
from tests.submission.conftest import ABOUT, Made
from tests.submission.forge import Forgery, Line
from tests.submission.test_verify_forgeries import failure, with_keys, with_summary

Rewrite = Callable[[bytes], bytes]


def with_text(png: bytes) -> bytes:
    """A text chunk."""
    info, out = PngImagePlugin.PngInfo(), io.BytesIO()
    info.add_text("Software", "mine")
    Image.open(io.BytesIO(png)).save(out, "PNG", pnginfo=info)
    return out.getvalue()


def packed(png: bytes) -> bytes:
    """Another compression."""
    out = io.BytesIO()
    Image.open(io.BytesIO(png)).save(out, "PNG", compress_level=9, optimize=True)
    return out.getvalue()


def stored(png: bytes) -> bytes:
    """The same pixels, hardly packed."""
    out = io.BytesIO()
    Image.open(io.BytesIO(png)).save(out, "PNG", compress_level=1)
    return out.getvalue()


def touched(png: bytes) -> bytes:
    """One pixel by one level."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    red, green, blue = image.getpixel((0, 0))
    image.putpixel((0, 0), (red ^ 1, green, blue))
    return encode_png(image)


def copied(made: Made, source: Path, path: Path, rewrite: Rewrite, every: int = 1, **about: str) -> Path:
    """`source` as somebody else's model; the file of each edited image (or of one in `every`) rewritten."""

    def mine(said: Line) -> None:
        said["name"], said["contact"] = about.get("name", "Mine"), "me@example.org"
        said["manifest"] |= {"model": "mine", "editor_hash": about.get("editor_hash", "c" * 64)}
        said["manifest"]["editor_card"] |= {"id": "mine"}

    forged = Forgery(source).say(mine)
    sources = {line["image"] for line in forged.lines("sessions.jsonl")}
    new: dict[str, str] = {}

    def change(line: Line) -> None:
        old = line["image"]
        if old is None or old in sources:
            return
        if old not in new:
            png = forged.members.get(f"images/{old}.png")
            given = png is not None and len(new) % every == 0
            new[old] = forged.put(rewrite(png)) if given and png is not None else old
        line["image"] = new[old]

    forged.change("edits.jsonl", change)
    return with_summary(made, with_keys(forged).trim(), path).pack(path)


@pytest.fixture(scope="module")
def results(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("accepted")
    accept(made.verify(made.bundle, results=folder), folder)
    return folder


@pytest.mark.parametrize("rewrite", [packed, stored])
def test_another_file_of_the_same_pixels_is_a_copy(made: Made, results: Path, tmp_path: Path, rewrite: Rewrite):
    path = copied(made, made.bundle, tmp_path / "b.zip", rewrite)
    check, said = failure(made, path, results=results)
    assert check == "copies"
    assert said.endswith("images are those of 'Fumbling 2' (fumbling-2), which is another model")


def test_an_edited_image_with_a_text_chunk_is_refused(made: Made, results: Path, tmp_path: Path):
    assert failure(made, copied(made, made.bundle, tmp_path / "b.zip", with_text), results=results)[0] == "images"


def test_a_few_altered_images_do_not_hide_a_copy(made: Made, results: Path, tmp_path: Path):
    copy = read_bundle(copied(made, made.bundle, tmp_path / "b.zip", touched, every=12))
    with pytest.raises(BundleError, match="images are those of 'Fumbling 2'"):
        check_copies(copy, results)


def test_a_copy_is_found_although_other_sessions_were_kept(made: Made, tmp_path: Path):
    """The accepted bundle holds the images of 14 sessions, the copy those of all: micebench's files tell the rest."""
    results, path = tmp_path / "results", tmp_path / "b.zip"
    sample = submit(made.run.path, **ABOUT, out=path, images="sample", sessions=14, cards=made.cards).path
    accept(made.verify(sample), results)
    copy = copied(made, made.bundle, tmp_path / "c.zip", packed)
    found = made.verify(copy, results=results)
    assert {check.check: check.outcome for check in found.checks}["copies"] == "failed"


def test_a_copy_of_files_that_micebench_did_not_write_is_found(made: Made, tmp_path: Path):
    results = tmp_path / "results"
    first = copied(made, made.bundle, tmp_path / "first.zip", packed, name="First")
    accept(made.verify(first), results)
    second = copied(made, made.bundle, tmp_path / "b.zip", stored, editor_hash="d" * 64)
    assert failure(made, second, results=results)[0] == "copies"


def test_the_hash_of_another_model_does_not_hide_a_copy(made: Made, results: Path, tmp_path: Path):
    theirs = read_bundle(made.bundle).manifest.editor_hash
    path = copied(made, made.bundle, tmp_path / "b.zip", packed, editor_hash=theirs)
    assert failure(made, path, results=results)[0] == "copies"


def test_unlike_images_and_a_model_that_ships_pass(made: Made, results: Path, tmp_path: Path):
    """Changed pixels are another image (see docs), and a model that ships may be submitted again."""
    other = read_bundle(copied(made, made.bundle, tmp_path / "b.zip", touched))
    said = check_copies(other, results)
    assert said.startswith("unlike 1 accepted bundle of the task")
    again = made.verify(made.bundle, results=results)
    assert again.passed, again.checks
    detail = {check.check: check.detail for check in again.checks}["copies"]
    assert detail.endswith("; the same model hash as 'Fumbling 2' (fumbling-2)")
