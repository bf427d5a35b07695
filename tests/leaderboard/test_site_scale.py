"""A board of 500 models is one small page without images, whose size grows by the row and by nothing else."""

import gzip

import pytest

from micebench.leaderboard.results import read_results
from tests.leaderboard.many import write_many
from tests.report.page import parse

MANY = 500


@pytest.fixture(scope="module")
def pages(accepted, tmp_path_factory) -> dict[int, bytes]:
    like = next(one for one in read_results(accepted).accepted if one.slug == "clumsy")
    home = tmp_path_factory.mktemp("many")
    return {count: write_many(like, count, home / str(count)).read_bytes() for count in (50, MANY)}


def test_every_model_is_a_row_with_a_rank(pages):
    (table,) = parse(pages[MANY].decode()).find("table", id="board-small-exact")
    rows = table.find("tbody")[0].find("tr")
    assert len(rows) == MANY
    ranks = [row.find("td", klass="rank")[0].text for row in rows]
    assert sum("–" in rank for rank in ranks) > 400, "500 models are not told apart by 240 sessions"
    best = [int(rank.split("–")[0]) for rank in ranks]
    assert best[0] == 1
    assert best[-1] > 250


def test_a_row_costs_less_than_a_kilobyte_and_much_less_when_compressed(pages):
    row = (len(pages[MANY]) - len(pages[50])) / (MANY - 50)
    packed = (len(gzip.compress(pages[MANY])) - len(gzip.compress(pages[50]))) / (MANY - 50)
    assert row < 1024
    assert packed < 130
    assert len(pages[MANY]) < 550_000


def test_the_index_loads_a_style_and_a_script_and_no_picture(pages):
    whole = parse(pages[MANY].decode())
    assert not whole.find("img")
    assert [one.attributes["src"] for one in whole.find("script")] == ["leaderboard.js"]
    assert [one.attributes["href"] for one in whole.find("link") if one.attributes["rel"] == "stylesheet"] == [
        "leaderboard.css"
    ]
