"""rapidocr with the OCR models its package brings."""

import pytest
from PIL import Image, ImageDraw, ImageFont

from micebench.errors import MicebenchError
from micebench.judges.models import ocr
from micebench.judges.models.base import Failure, Read
from micebench.judges.models.ocr import OcrOptions, RapidOcr
from tests.judges.models.tiny_models import Broken, Photo, noise


@pytest.fixture(scope="module")
def reader() -> RapidOcr:
    pytest.importorskip("rapidocr")
    return RapidOcr(OcrOptions())


def written(*lines: tuple[str, int, int], size: tuple[int, int] = (480, 240)) -> Photo:
    """(text, x, y) in black on white, with PIL's own font."""
    image = Image.new("RGB", size, "white")
    for text, x, y in lines:
        ImageDraw.Draw(image).text((x, y), text, fill="black", font=ImageFont.load_default(40))
    return Photo(image)


def test_lines_come_from_top_to_bottom_with_their_places(reader) -> None:
    (lines,) = reader.read([Read(written(("SALE", 260, 150), ("OPEN 24", 40, 30)))])
    assert [line.text for line in lines] == ["OPEN 24", "SALE"]
    upper, lower = lines
    assert upper.confidence > 0.5
    assert upper.box.bottom < lower.box.top
    assert upper.box.left == pytest.approx(40 / 480, abs=0.03)
    assert lower.box.left == pytest.approx(260 / 480, abs=0.03)
    assert lower.box.top == pytest.approx(160 / 240, abs=0.08)


def test_colours_are_not_swapped_on_the_way(reader, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []

    class Engine:
        def __call__(self, pixels):
            shown.append(pixels[0, 0].tolist())
            return type("Nothing", (), {"txts": None})

    monkeypatch.setattr(reader, "_engine", Engine())
    reader.read([Read(Photo(Image.new("RGB", (8, 8), (255, 1, 2))))])
    assert shown == [[2, 1, 255]]  # blue, green, red


def test_no_text_is_an_empty_answer_and_no_image_a_failure(reader) -> None:
    nothing, failure, lines = reader.read([Read(Photo(noise(0))), Read(Broken()), Read(written(("KEBAB", 90, 90)))])
    assert nothing == ()
    assert isinstance(failure, Failure)
    assert [line.text for line in lines] == ["KEBAB"]


def test_a_reader_that_breaks_is_a_failure(reader, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(pixels):
        raise RuntimeError("onnxruntime\nis out of sorts")

    monkeypatch.setattr(reader, "_engine", broken)
    (failure,) = reader.read([Read(written(("KEBAB", 90, 90)))])
    assert isinstance(failure, Failure)
    assert failure.reason == "rapidocr: RuntimeError: onnxruntime is out of sorts"


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(ocr, "import_module", missing)
    with pytest.raises(MicebenchError, match=r"onnxruntime is not installed; run: pip install 'micebench\[ocr\]'"):
        RapidOcr(OcrOptions())
