"""Every number, mark and rank of the site is that of the results; equal results give equal bytes."""

import json
import re
import shutil
from pathlib import Path

import pytest

from micebench.errors import DataError, MicebenchError
from micebench.leaderboard.bundle_reader import read_evidence
from micebench.leaderboard.ranking import Entry, boards, rank_words
from micebench.leaderboard.results import read_results
from micebench.leaderboard.site import LISTING, build_site, listing, ranked
from micebench.report.formatting import interval, number
from tests.leaderboard.accepted import accept, change, copy
from tests.leaderboard.conftest import MODELS, TASK
from tests.report.page import Node, parse


def page(site: Path, name: str = "index.html") -> Node:
    return parse((site / name).read_text(encoding="utf-8"))


def rows(table: Node) -> list[Node]:
    return table.find("tbody")[0].find("tr")


def digest(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_table_has_every_model_with_value_interval_and_mark(site, accepted):
    (table,) = page(site).find("table", id=f"board-{TASK}-exact")
    titles = [header.text for header in table.find("thead")[0].find("th")]
    assert titles[:4] == ["Rank", "Model", "Mark", "Overall, turn 3"]
    assert len(rows(table)) == len(MODELS)
    for row in rows(table):
        name = row.find("th")[0].text
        summary = json.loads((accepted / TASK / name.lower() / "summary.json").read_text())
        cells = row.find("td", klass="num")
        for cell, (metric, turn) in zip(
            cells,
            [("overall", 3), ("turn_success", 3), ("content_consistency", 3),
             ("cumulative_awareness", 3), ("marginal_success", 1)],
            strict=True,
        ):  # fmt: skip
            said = summary["metrics"][metric][str(turn)]
            assert cell.find("span", klass="v")[0].text == number(said["value"])
            assert cell.find("span", klass="ci")[0].text == interval(said["low"], said["high"])
        mark = "self-reported" if name == "Drifting" else "verified here"
        assert mark in row.find("span", klass="mark")[0].text
        assert row.find("a")[0].attributes["href"] == f"{TASK}/{name.lower()}.html"


def test_rows_are_sorted_and_ranks_are_ranges_of_the_board(site, accepted):
    (board,) = ranked(read_results(accepted))
    (table,) = page(site).find("table", id=f"board-{TASK}-exact")
    shown = [(row.find("th")[0].text, row.find("td", klass="rank")[0].text) for row in rows(table)]
    assert shown == [(line.entry.name, line.rank) for line in board.lines]
    values = [line.cells[0].value or 0.0 for line in board.lines]
    assert values == sorted(values, reverse=True)
    assert shown[0] == ("Oracle", "1") or shown[0][1].startswith("1–")
    assert shown[-1] == ("Identity", "4")


def test_the_same_model_twice_shares_its_places(results):
    copy(results / TASK / "oracle", "oracle-again", name="Oracle again")
    (board,) = ranked(read_results(results))
    first, second = board.lines[:2]
    assert {first.entry.result.slug, second.entry.result.slug} == {"oracle", "oracle-again"}
    assert first.place == second.place
    assert first.place is not None
    assert first.place.best == 1
    assert first.place.worst >= 2


def test_reported_rows_stand_apart_without_rank_and_interval(site):
    (table,) = page(site).find("table", id=f"reported-{TASK}")
    assert [row.find("th")[0].text for row in rows(table)] == ["Alpha", "Zeta & Sons <b>"]
    assert not table.find(klass="ci")
    assert not table.find(klass="rank")
    assert [cell.text for cell in rows(table)[1].find("td", klass="num")] == ["70.00", "30.25", "41.5"]
    assert "second-hand" in rows(table)[0].text
    assert "second-hand" not in rows(table)[1].text
    sources = page(site).find("ol", klass="sources")[0].find("li")
    assert [source.text for source in sources] == ["notes on a paper: not read itself", "a paper"]
    assert sources[1].find("a")[0].attributes == {"href": "https://example.org/paper", "rel": "noopener nofollow"}


def test_a_models_page_has_its_tables_checks_and_sessions(site, accepted):
    whole = page(site, f"{TASK}/clumsy.html")
    summary = json.loads((accepted / TASK / "clumsy" / "summary.json").read_text())
    said = summary["metrics"]["turn_success"]["2"]
    (overall,) = whole.find("table", id="table-overall")
    row = next(row for row in rows(overall) if row.find("th")[0].text.startswith("Turn-k success"))
    assert row.find("td")[1].find("span", klass="v")[0].text == number(said["value"])
    assert [one.find("caption")[0].text for one in whole.find("table") if one.find("caption")][:1]
    assert len(rows(whole.find("table", id="table-edit-types")[0])) == len(summary["edit_types"])
    assert len(rows(whole.find("table", id="table-checks")[0])) == 2
    sessions = whole.find("article", klass="session")
    assert 10 <= len(sessions) <= 18
    for session in sessions:
        pictures = session.find("img")
        assert len(pictures) == 4
        assert all(picture.attributes["src"].startswith("data:image/") for picture in pictures)
        assert all(picture.attributes["alt"] for picture in pictures)


def test_pages_link_only_to_files_of_the_site_and_to_the_web(site):
    names = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    assert set(listing(site) or ()) | {LISTING} == names
    for name in names:
        if not name.endswith(".html"):
            continue
        whole = page(site, name)
        ids = {node.attributes["id"] for node in whole.find() if "id" in node.attributes}
        for link in whole.find("a") + whole.find("link") + whole.find("script"):
            address = link.attributes.get("href") or link.attributes.get("src") or ""
            if address.startswith(("https://", "http://")):
                assert link.attributes["rel"] == "noopener nofollow"
            elif address.startswith("#"):
                assert address[1:] in ids
            elif address != "data:,":
                target = (site / name).parent.joinpath(address.partition("#")[0]).resolve()
                assert target.relative_to(site.resolve()).as_posix() in names


def test_tables_are_described_for_everyone(site):
    for name in ("index.html", f"{TASK}/clumsy.html"):
        whole = page(site, name)
        for table in whole.find("table"):
            heads = table.find("thead")[0].find("th")
            assert all(head.attributes.get("scope") in ("col", "colgroup") for head in heads)
            assert all(row.find("th")[0].attributes["scope"] == "row" for row in rows(table))
        assert all(table.find("caption") for table in whole.find("table", klass="board"))
        (policy,) = whole.find("meta", **{"http-equiv": "Content-Security-Policy"})
        assert "default-src 'none'" in policy.attributes["content"]
        assert "script-src 'self'" in policy.attributes["content"] or name != "index.html"
        assert "unsafe-inline" not in policy.attributes["content"].partition("script-src")[2]


def test_equal_results_give_equal_bytes(site, accepted, tmp_path):
    build_site(read_results(accepted), tmp_path / "again")
    assert digest(tmp_path / "again") == digest(site)


def test_a_withdrawn_result_leaves_no_page(results, tmp_path):
    out = tmp_path / "site"
    build_site(read_results(results), out)
    shutil.rmtree(results / TASK / "clumsy")
    (out / "notes.txt").write_text("mine")
    build_site(read_results(results), out)
    assert not (out / TASK / "clumsy.html").exists()
    assert "clumsy" not in (out / "index.html").read_text().lower()
    assert (out / "notes.txt").read_text() == "mine"


def test_a_folder_with_something_else_is_not_built_into(results, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.html").write_text("mine")
    with pytest.raises(DataError, match="give another --out"):
        build_site(read_results(results), tmp_path / "docs")
    assert (tmp_path / "docs" / "index.html").read_text() == "mine"


def test_a_build_that_was_cut_off_is_built_again(results, tmp_path, monkeypatch, site):
    out = tmp_path / "site"
    (out / ".git").mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr("micebench.leaderboard.site.stylesheet", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            build_site(read_results(results), out)
    assert (out / TASK / "clumsy.html").is_file()
    build_site(read_results(results), out)
    assert digest(out) == digest(site)


@pytest.mark.parametrize("name", ["../outside.html", "/etc/passwd", "a/b/c.html", "a\\b", ""])
def test_a_listing_cannot_name_files_elsewhere(results, tmp_path, name):
    out = tmp_path / "site"
    out.mkdir()
    (out / LISTING).write_text(json.dumps({"format": 1, "files": [name]}))
    with pytest.raises(DataError, match="which no site has"):
        build_site(read_results(results), out)


def test_another_bundle_than_the_verified_one_is_refused(results):
    shutil.copy(results / TASK / "oracle" / "bundle.zip", results / TASK / "clumsy" / "bundle.zip")
    with pytest.raises(DataError, match=r"not the bundle that verification\.json is about"):
        ranked(read_results(results))


def test_a_summary_that_its_verdicts_do_not_give_is_refused(results):
    path = results / TASK / "clumsy" / "summary.json"
    summary = json.loads(path.read_text())
    summary["metrics"]["overall"]["3"]["value"] += 1.0
    path.write_text(json.dumps(summary))
    with pytest.raises(DataError, match=r"is not what the verdicts in bundle\.zip give"):
        ranked(read_results(results))


def test_a_bundle_that_is_no_bundle_is_one_line(results):
    (results / TASK / "clumsy" / "bundle.zip").write_bytes(b"PK not really")
    with pytest.raises(MicebenchError) as caught:
        ranked(read_results(results))
    assert "\n" not in str(caught.value)


def test_versions_of_a_judge_have_tables_of_their_own(accepted):
    found = [(one, read_evidence(one, shown=0)) for one in read_results(accepted).accepted]
    entries = [Entry(one, evidence.manifest, evidence.values) for one, evidence in found]
    other = entries[0].manifest.model_copy(update={"judge_hash": "f" * 64})
    changed = [Entry(entries[0].result, other, entries[0].values), *entries[1:]]
    first, second = boards(changed)
    assert {len(first.lines), len(second.lines)} == {1, 3}
    assert first.key != second.key
    assert rank_words(next(b for b in (first, second) if len(b.lines) == 1).lines[0].place) == "1"


def test_a_sample_of_images_gives_a_gallery_of_the_sample(runs, cards, tmp_path):
    accept(runs["clumsy"], tmp_path / "results", "Sampled", cards=[cards], sample=5)
    (result,) = read_results(tmp_path / "results").accepted
    assert len(read_evidence(result).cards) == 5
    build_site(read_results(tmp_path / "results"), tmp_path / "site")
    text = (tmp_path / "site" / TASK / "sampled.html").read_text()
    assert len(re.findall(r'<article class="session"', text)) == 5
    assert "5 of 20 sessions" in text


def test_marks_of_partly_repeated_judging_are_explained(results, tmp_path):
    change(
        results / TASK / "clumsy" / "verification.json", verdicts_recomputed=60, of=400, detection_probability=0.954
    )
    build_site(read_results(results), tmp_path / "site")
    text = page(tmp_path / "site", f"{TASK}/clumsy.html").text
    assert "60 of 400 verdicts, of sessions drawn at random" in text
    assert "a probability of 95.4%" in text
    assert "the verdicts are the submitter's own" in page(tmp_path / "site", f"{TASK}/drifting.html").text
