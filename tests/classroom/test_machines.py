"""Many machines' results on one page: what agrees, what flips, and what was no result."""

import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from course_app.authoring.contents import find_course
from course_app.authoring.results import Results
from course_app.classroom.machines import (
    DATA_FOLDER,
    NEW_RESULTS,
    Entry,
    read_machines,
    write_machines,
)
from course_app.errors import CourseError

COURSE = find_course(Path(__file__))
MACHINE = {
    "cores": 2,
    "memory_gib": 8,
    "system": "Linux x86_64",
    "processor": "A <fast> one",
    "python": "3.12.1",
    "fastapi": "1",
    "uvicorn": "1",
    "postgres": "18",
    "valkey": "9",
}


def hand_in(
    path: Path, verdict: str = "wrong", factor: float = 9.0, others: float = 0.1, **machine: Any
) -> None:
    claim = {
        "id": "9",
        "lesson": "04_connection_pooling",
        "verdict": verdict,
        "because": "So.",
        "number": f"{factor}x",
        "estimate": factor,
        "low": factor * 0.9,
        "high": factor * 1.1,
        "conditions": [],
        "noise": {"badge": "calm", "others_cores": others},
    }
    lesson = {"slug": claim["lesson"], "passed": True, "seconds": 40, "finished": "2026-11-28"}
    data = {
        "pace": "full",
        "machine": {**MACHINE, **machine},
        "lessons": [lesson],
        "claims": [claim],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    Results.model_validate(data).save(path)


def test_rows_are_ordered_by_cores_then_python(tmp_path: Path) -> None:
    hand_in(tmp_path / "a.json", cores=8)
    hand_in(tmp_path / "b.json", python="3.13.0")
    hand_in(tmp_path / "c.json", python="3.9.0")
    assert [entry.name for entry in read_machines(tmp_path).entries] == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("verdicts", "flips", "sentence"),
    [
        (["wrong", "wrong"], False, "All 2 runs agree: wrong."),
        (["wrong", "cannot tell"], False, "1 of 2 runs agree: wrong. The others cannot tell."),
        (["wrong", "wrong", "holds"], True, "wrong on 2, holds on 1 of 3 runs"),
        (["holds"], False, "One run measured it: holds."),
    ],
)
def test_a_verdict_flips_only_where_machines_contradict_each_other(
    verdicts: list[str], flips: bool, sentence: str, tmp_path: Path
) -> None:
    for number, verdict in enumerate(verdicts):
        hand_in(tmp_path / f"{number}.json", verdict)
    (spread,) = read_machines(tmp_path).spreads(COURSE)
    assert spread.flips is flips
    assert sentence in spread.sentence


def test_dots_stand_in_their_intervals_on_one_axis_that_holds_no_difference(tmp_path: Path) -> None:
    hand_in(tmp_path / "a.json", factor=3)
    hand_in(tmp_path / "b.json", factor=30)
    (spread,) = read_machines(tmp_path).spreads(COURSE)
    slow, fast = spread.dots
    for dot in spread.dots:
        assert dot.low is not None
        assert dot.at is not None
        assert dot.high is not None
        assert 0 <= dot.low < dot.at < dot.high <= 100
    assert spread.base is not None
    assert slow.at is not None
    assert fast.at is not None
    assert 0 <= spread.base < slow.at < fast.at


def test_how_much_others_used_goes_from_the_least_to_the_most(tmp_path: Path) -> None:
    hand_in(tmp_path / "a.json", others=9.8)
    hand_in(tmp_path / "b.json", others=10.2)
    one, other = read_machines(tmp_path).entries
    assert one.others == "others used 9.8 cores"
    both = one.results.model_copy(update={"claims": one.results.claims + other.results.claims})
    assert Entry("both", both).others == "others used 9.8 to 10.2 cores"


def test_what_is_no_result_is_a_remark_and_the_rest_is_shown(tmp_path: Path) -> None:
    hand_in(tmp_path / "Ada" / "deep" / "results.json")
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "link.json").symlink_to(tmp_path / "broken.json")
    found = read_machines(tmp_path)
    assert [entry.name for entry in found.entries] == ["Ada"]
    assert [remark.partition(":")[0] for remark in found.remarks] == ["broken", "link"]
    page = write_machines(found, COURSE, tmp_path / "out").read_text()
    assert "A &lt;fast&gt; one" in page
    assert "broken.json holds no results" in page


def test_an_archive_is_opened_like_a_learner_s_answers(tmp_path: Path) -> None:
    hand_in(tmp_path / "results.json")
    with zipfile.ZipFile(tmp_path / "Zoë.zip", "w") as archive:
        archive.write(tmp_path / "results.json", "any/where/results.json")
    (tmp_path / "results.json").write_text("")
    (tmp_path / "no.zip").write_text("")
    found = read_machines(tmp_path)
    assert [entry.name for entry in found.entries] == ["Zoë"]
    assert [remark.partition(":")[0] for remark in found.remarks] == ["no", "results"]


def test_of_a_copy_of_the_course_what_it_came_with_is_not_the_learner_s(tmp_path: Path) -> None:
    hand_in(tmp_path / "Ada" / "build" / "report" / "results.json")
    hand_in(tmp_path / "Ada" / DATA_FOLDER / "quiet.json")
    (tmp_path / "Ada" / "course.toml").touch()
    assert [entry.name for entry in read_machines(tmp_path).entries] == ["Ada"]


def test_results_that_did_not_fit_are_no_second_machine(tmp_path: Path) -> None:
    for name in ("Ada", "Bob"):
        for file in ("results.json", NEW_RESULTS):
            hand_in(tmp_path / name / "build" / "report" / file)
    (tmp_path / "Bob" / "build" / "report" / "results.json").write_text("{")
    found = read_machines(tmp_path)
    assert [entry.name for entry in found.entries] == ["Ada", "Bob"]
    assert [remark.split()[:2] for remark in found.remarks] == [
        ["Ada:", NEW_RESULTS],
        ["Bob:", "results.json"],
    ]


def test_results_of_another_python_are_another_machine_s(tmp_path: Path) -> None:
    hand_in(tmp_path / "Ada" / "build" / "report" / "results.json")
    hand_in(tmp_path / "Ada" / "build" / "report" / NEW_RESULTS, python="3.14.1")
    found = read_machines(tmp_path)
    assert [entry.name for entry in found.entries] == ["Ada", "Ada"]
    assert found.remarks == ()


def test_an_empty_folder_is_a_page_and_a_missing_one_an_error(tmp_path: Path) -> None:
    page = write_machines(read_machines(tmp_path), COURSE, tmp_path / "out").read_text()
    assert "no results yet" in page
    with pytest.raises(CourseError, match="is not a folder"):
        read_machines(tmp_path / "nothing")


def test_the_course_s_own_data_set_is_whole() -> None:
    found = read_machines(COURSE.root / DATA_FOLDER)
    assert found.remarks == ()
    assert all(entry.results.pace == "full" for entry in found.entries)


def test_the_data_set_says_how_noisy_each_run_was() -> None:
    folder = COURSE.root / DATA_FOLDER
    told = (folder / "README.md").read_text(encoding="utf-8")
    for entry in read_machines(folder).entries:
        badges = Counter(claim.noise.badge for claim in entry.results.claims if claim.noise)
        counts = " | ".join(str(badges[badge]) for badge in ("calm", "busy", "very busy"))
        assert f"| {entry.name} | {counts} |" in told
