"""A blind reviewer is shown nothing of the automatic verdict, and a label given with its knowledge is never blind."""

import html

import pytest

from micebench.annotation.human_labels import labels_of
from micebench.annotation.views import Views
from micebench.engine.run_reader import open_run
from micebench.verdicts import METRICS
from tests.annotation.sitting import desk_for, press
from tests.report.page import parse
from tests.report.runs import BREAKOUT, LONG

REASONS = ("the circle is", "complies with turns", "an earlier change is lost", "are readable", "colour distance")


def pages(views, seat) -> str:
    return html.unescape(views.stage(seat) + views.last(seat) + views.note(seat))


@pytest.mark.parametrize("metric", METRICS)
def test_no_page_of_a_blind_review_holds_a_verdict(labelled, metric):
    desk = desk_for(labelled, metrics=(metric,))
    views = Views(desk)
    seat = press(desk, desk.sit_down("anna"), "v")  # asked for too early
    for place in range(len(desk.queue.items)):
        assert seat.place == place
        assert desk.automatic(seat, place) is None
        shown = pages(views, seat)
        assert not any(reason in shown for reason in REASONS)
        assert "exact" not in shown  # nor who judged
        assert "clumsy" not in shown  # nor who edited
        seat = press(desk, seat, "u")
    assert labels_of(labelled, "anna").seen == set()
    assert str(labelled.path) not in pages(views, seat)  # a run's folder is named after its model


def test_to_show_never_shows_the_open_question(labelled):
    desk = desk_for(labelled)
    seat = press(desk, desk.sit_down("anna"), "yv")
    assert desk.automatic(seat, 0) is not None
    assert desk.automatic(seat, 1) is None
    seat = press(desk, seat, "bsv")  # away and back again
    assert desk.automatic(seat, 1) is None
    assert not any(reason in Views(desk).stage(seat) for reason in REASONS)


def test_it_can_be_shown_once_there_is_a_label(labelled):
    desk = desk_for(labelled)
    views = Views(desk)
    seat = press(desk, desk.sit_down("anna"), "y")
    assert not any(reason in pages(views, seat) for reason in REASONS)
    seat = press(desk, seat, "v")
    assert "exact:" in views.last(seat)
    assert "the circle is" in views.last(seat)
    assert "exact" not in views.stage(seat)  # the next question's is not
    seat = press(desk, seat, "b")
    assert "exact:" in views.stage(seat)
    assert labels_of(labelled, "anna").seen == {desk.queue.items[0]}


def test_what_is_said_after_it_was_shown_is_not_blind(labelled):
    desk = desk_for(labelled)
    seat = press(desk, desk.sit_down("anna"), "yby")  # changed before: blind still
    seat = press(desk, seat, "nvbn")
    first, second = desk.queue.items[:2]
    assert labels_of(labelled, "anna").final[first].blind
    found = labels_of(labelled, "anna")
    assert not found.final[second].blind
    assert found.blind[second].record.value == 0.0
    press(desk, seat, "bby")
    again = desk_for(open_run(labelled.path))  # another day
    press(again, again.sit_down("anna"), "bb")
    assert again.labels("anna").seen == {second}


def test_an_audited_question_is_never_blind_again(labelled):
    audit = desk_for(labelled, blind=False)
    seat = audit.sit_down("anna")
    assert "the circle is" in Views(audit).stage(seat)
    assert "clumsy" in Views(audit).stage(seat)
    seat = press(audit, seat, "ys")  # the second was looked at, and left
    blind = desk_for(open_run(labelled.path))
    seat = press(blind, blind.sit_down("anna"), "y")
    found = labels_of(labelled, "anna")
    first, second, third = blind.queue.items[:3]
    assert not found.final[first].blind
    assert not found.final[second].blind
    assert found.blind == {}
    assert third in found.seen  # `skip` moved on to it
    press(blind, blind.sit_down("bob"), "y")
    assert labels_of(labelled, "bob").final[first].blind


def test_a_label_by_someone_who_saw_it_in_another_window_is_not_blind(labelled):
    """The other process has not heard of it; the file knows the order."""
    one, other = desk_for(labelled), desk_for(open_run(labelled.path))
    late = press(other, other.sit_down("anna"), "y")
    press(one, one.sit_down("anna"), "bv")
    press(other, late, "bn")
    assert not labels_of(labelled, "anna").final[one.queue.items[0]].blind


def test_hostile_text_stays_text(labelled):
    desk = desk_for(labelled, metrics=("IF", "GA"), blind=False)
    views = Views(desk)
    seat = desk.sit_down("anna")
    text = ""
    while seat.place is not None:
        for page in (views.stage(seat), views.last(seat)):
            tree = parse(page)
            tags = {node.tag for node in tree.find()}
            assert not tags & {"script", "style", "iframe", "object", "link"}
            assert not any(name.startswith("on") for node in tree.find() for name in node.attributes)
            assert {node.attributes.get("id") for node in tree.find()} == {None}
            assert not {"\x07", "\x1b", "\u202e", "\u2066"} & set(page)
            text += tree.text
        seat = desk.act(seat, seat.view, "n", BREAKOUT + LONG)
    assert BREAKOUT in text
    assert "</style>" in text
    views.stage(seat)


def test_images_are_named_by_content_and_missing_ones_are_said(labelled):
    desk = desk_for(labelled)
    seat = press(desk, desk.sit_down("anna"), "y")
    asked = desk.queue.items[seat.place]
    edits = labelled.edit_index()
    row = edits.sessions.position[asked.session]
    expected = [edits.sessions.source(row), *(edits.image(row, turn) for turn in range(1, asked.turn + 1))]
    shown = [node.attributes["src"] for node in parse(Views(desk).stage(seat)).find("img")]
    assert shown == [f"images/{digest}.png" for digest in expected]
    path = labelled.path / "blobs" / expected[-1][:2] / f"{expected[-1]}.png"
    path.write_bytes(path.read_bytes()[:-1])
    assert "image missing or damaged" in Views(desk).stage(seat)


def test_small_images_are_enlarged_by_whole_numbers(labelled):
    desk = desk_for(labelled)
    seat = press(desk, desk.sit_down("anna"), "yy")
    widths = [int(node.attributes["width"]) for node in parse(Views(desk).stage(seat)).find("img")]
    assert widths == [144, 144, 336, 336]
    assert all(node.attributes["class"] == "mb-pixels" for node in parse(Views(desk).stage(seat)).find("img"))
