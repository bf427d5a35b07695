"""The page never grows with the run, and what it shows is chosen by rule, not by hand."""

import io
import tracemalloc

from PIL import Image

from micebench.report.gallery import cards
from micebench.report.html import render, write_report
from micebench.report.session_sampling import Outcome, outcomes, pick
from micebench.report.thumbnails import thumbnail
from micebench.sessions import Rule
from tests.report.page import parse
from tests.report.runs import Plan, make_session, write_run


def crowd() -> dict[tuple[str, int], Outcome]:
    """90 passing plain sessions, 9 failing ones, 1 cm session without verdicts."""
    found = {(f"p{n}", 0): Outcome("plain", n, [True, True]) for n in range(90)}
    found |= {(f"f{n}", 0): Outcome("plain", 90 + n, [True, False]) for n in range(9)}
    return found | {("c", 0): Outcome("cm", 99, [None, None])}


def test_every_combination_of_track_and_outcome_is_shown_before_any_is_shown_thrice():
    picked = pick(crowd(), 5)
    kinds = [crowd()[key].kind for key in picked]
    assert kinds.count("undetermined") == 1
    assert kinds.count("fail-2") == 2
    assert kinds.count("pass") == 2


def test_the_choice_does_not_depend_on_the_order_of_the_run():
    found = crowd()
    backwards = dict(reversed(list(found.items())))
    assert pick(found, 20) == pick(backwards, 20)
    assert sorted(pick(found, 1000)) == sorted(found)


def test_outcome_follows_the_first_failure_of_the_summary(run):
    kinds = [outcome.kind for outcome in outcomes(run).values()]
    counts = run.summary()["first_failure"]
    assert kinds.count("pass") == counts["none"]
    assert kinds.count("undetermined") == counts["undetermined"]
    for turn in (1, 2, 3):
        assert kinds.count(f"fail-{turn}") == counts[str(turn)]


def test_missing_verdicts_are_counted_per_session_like_in_the_coverage(run):
    gaps = sum(outcome.gaps for outcome in outcomes(run).values())
    unknown = ("unparsed", "refused", "error", "missing")
    counted = sum(by[status] for by in run.summary()["coverage"].values() for status in unknown)
    assert gaps == counted > 0


def test_the_page_says_how_many_it_shows_and_how_they_were_chosen(run):
    html = render(run, limit=5)
    assert len(parse(html).find("article", klass="session")) == 5
    assert "5 of 12 sessions shown: one after the other" in html


def test_the_byte_budget_cuts_sessions_and_says_so(run):
    whole = render(run)
    html = render(run, budget=40_000)
    shown = len(parse(html).find("article", klass="session"))
    assert 0 < shown < 12
    assert f"{shown} of 12 sessions shown (the page" in html
    assert len(html) < len(whole)


def test_a_standing_rule_is_shown_once_and_the_edit_behind_it_whole(tmp_path):
    rule = "For all edits to come the object that is edited must be red, " + "and nothing else may be " * 10 + "red."
    edit = "With this rule active, put a plastic circle above the cross"
    session = make_session(
        1, "cm", 3, rule=Rule(rule, "color", "red"), instructions=[f"{rule} {edit}", "Remove the cross", rule]
    )
    run = write_run(tmp_path, [Plan(session, (True,) * 3)])
    (card,) = parse(render(run)).find("article", klass="session")
    assert [box.text.split(maxsplit=1)[1] for box in card.find("p", klass="rulebox")] == [rule]
    said = [text.text for text in card.find("p", klass="instruction")]
    assert said == [f"… {edit}", "Remove the cross", rule], "who says nothing but the rule says the rule"
    assert not card.find("details", klass="instruction")


def test_a_gap_is_shown_as_a_gap_and_never_as_a_score(run):
    tree = parse(render(run))
    by_id = {card.find("h3")[0].text: card for card in tree.find("article", klass="session")}
    unjudged = by_id["cu-011"].find("li", klass="turn")[3]
    assert {chip.attributes["class"] for chip in unjudged.find("li", klass="chip")} == {"chip gap"}
    failed = by_id["cm-007"].find("li", klass="turn")[2]
    assert "the editor failed: editor raised ValueError" in failed.find("div", klass="noimage")[0].text
    spared = by_id["cu-010"].find("li", klass="turn")[2]
    assert "objects not applicable" in " ".join(spared.find("li", klass="absent")[0].text.split())
    assert "From now on everything edited is red" in by_id["cm-004"].text


def test_equal_runs_give_equal_pages(run):
    assert render(run) == render(run)


def test_memory_does_not_grow_with_the_number_of_sessions(tmp_path):
    whole, gallery = [], []
    for count in (30, 240):
        plans = [Plan(make_session(n, "plain", 3), (True, n % 2 == 0, True)) for n in range(count)]
        run = write_run(tmp_path / str(count), plans)
        render(run, limit=10)
        whole.append(peak(lambda run=run: render(run, limit=10)))
        found = outcomes(run)
        gallery.append(peak(lambda run=run, found=found: len(list(cards(run, found, pick(found, 10))))))
    assert whole[1] < whole[0] + 210 * 3_500  # indexes and fixed buffers, and no image (4 x 7 kB a session)
    assert gallery[1] < gallery[0] + 210 * 900  # not even the sessions' words, which take about 3 kB


def peak(work) -> int:
    """Bytes that `work` needs at its peak."""
    tracemalloc.start()
    work()
    needed = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return needed


def encoded(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise(size, 80).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


def test_small_images_are_enlarged_by_whole_multiples_and_large_ones_reduced():
    small, large = thumbnail(encoded((48, 48))), thumbnail(encoded((1024, 640)))
    assert small is not None
    assert (small.width, small.height, small.pixelated) == (192, 192, True)
    assert small.uri.startswith("data:image/png;base64,")
    assert large is not None
    assert (large.width, large.height, large.pixelated) == (256, 160, False)
    assert len(large.uri) < 60_000
    assert large.size == "1024×640"
    assert thumbnail(b"\x89PNG\r\n\x1a\nnot an image") is None


def test_the_report_lies_in_the_run(run):
    path = write_report(run)
    assert path == run.path / "report" / "index.html"
    assert path.read_text(encoding="utf-8") == render(run)
