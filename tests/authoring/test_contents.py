"""The table of contents and the claims, and how mistakes in them are reported."""

from pathlib import Path

import pytest

from course_app.authoring.contents import Course, find_course, read_claims, read_course
from course_app.claims import claim_text, claims
from course_app.errors import CourseError


def change(path: Path, old: str, new: str) -> None:
    """Replace text in a file that must hold it."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_course_has_seventeen_lessons_numbered_in_order() -> None:
    numbers = [lesson.number for lesson in find_course(Path(__file__)).lessons]
    assert numbers == [f"{number:02d}" for number in range(17)], "one more? Count it here, too"


def test_every_claim_tip_and_pitfall_of_the_guide_has_a_lesson_that_tests_it() -> None:
    expected = {*(str(n) for n in range(1, 33)), *(f"T{n}" for n in range(1, 10))}
    expected |= {f"P{n}" for n in range(1, 6)}
    ids = {claim.id for claim in read_claims(find_course(Path(__file__)))}
    assert ids == expected, "claims are the guide's, all of them: a lesson adds none"


def test_lessons_and_report_read_the_same_claims() -> None:
    assert tuple(claims().values()) == read_claims(find_course(Path(__file__)))


def test_lessons_say_a_mistake_in_the_claims_in_a_sentence(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("course_app.claims._ROOT", course.root)
    monkeypatch.setattr("course_app.claims.claims", claims.__wrapped__)
    assert claim_text("T1") == "Tip: use a pool."
    change(course.root / "content/claims.toml", 'says = "Tip: use a pool."\n', "")
    with pytest.raises(CourseError, match=r"claims.toml, line 8, claim 2 \(T1\), says"):
        claim_text("T1")


def test_the_course_is_found_from_a_folder_inside_of_it(course: Course) -> None:
    assert find_course(course.root / "content" / "lessons").root == course.root.resolve()


def test_a_wrong_value_is_reported_with_file_line_entry_and_key(course: Course) -> None:
    change(course.root / "course.toml", "minutes = 20", 'minutes = "long"')
    with pytest.raises(CourseError, match=r"course.toml, line 14, lesson 2 \(01_pool\), minutes"):
        read_course(course.root)


def test_a_missing_key_is_reported_at_the_entrys_head(course: Course) -> None:
    change(course.root / "content/claims.toml", 'says = "Tip: use a pool."\n', "")
    with pytest.raises(CourseError, match=r"claims.toml, line 8, claim 2 \(T1\), says"):
        read_claims(course)


def test_an_unknown_key_is_refused(course: Course) -> None:
    change(course.root / "course.toml", "points = 10", "points = 10\npionts = 9")
    with pytest.raises(CourseError, match=r"line 16.*pionts"):
        read_course(course.root)


def test_broken_toml_is_reported_with_its_line(course: Course) -> None:
    change(course.root / "course.toml", "points = 0", "points =")
    with pytest.raises(CourseError, match="line 8"):
        read_course(course.root)


def test_lessons_out_of_order_are_refused(course: Course) -> None:
    change(course.root / "course.toml", "00_start_here", "02_start_here")
    with pytest.raises(CourseError, match="lesson 01 comes after lesson 02"):
        read_course(course.root)


def test_a_claim_of_an_unknown_lesson_is_refused(course: Course) -> None:
    change(course.root / "content/claims.toml", '"01_pool"', '"01_pools"')
    with pytest.raises(CourseError, match="claim T1 names lesson '01_pools'"):
        read_claims(course)


def test_a_claim_given_twice_is_refused(course: Course) -> None:
    change(course.root / "content/claims.toml", '"T1"', '"1"')
    with pytest.raises(CourseError, match="claim 1 stands there twice"):
        read_claims(course)


def test_a_missing_file_is_one_sentence(course: Course) -> None:
    (course.root / "content/claims.toml").unlink()
    with pytest.raises(CourseError, match="cannot be read"):
        read_claims(course)


@pytest.mark.parametrize("name", ["course.toml", "content/claims.toml"])
def test_files_may_begin_with_a_byte_order_mark_but_not_be_in_another_encoding(
    course: Course, name: str
) -> None:
    path = course.root / name
    text = path.read_text()
    path.write_text(text, encoding="utf-8-sig")
    assert len(read_claims(read_course(course.root))) == 2
    path.write_text(text, encoding="utf-16")
    with pytest.raises(CourseError, match="is not valid TOML"):
        read_claims(read_course(course.root))


@pytest.mark.parametrize("names", [["1"], ["01"], ["01_pool"], ["01", "1"]])
def test_a_lesson_is_chosen_by_number_or_slug(course: Course, names: list[str]) -> None:
    assert [lesson.slug for lesson in course.select(names)] == ["01_pool"]


def test_no_name_chooses_all_lessons(course: Course) -> None:
    assert course.select([]) == list(course.lessons)


def test_an_unknown_lesson_is_refused_with_the_known_ones(course: Course) -> None:
    with pytest.raises(CourseError, match=r"no lesson 07.*00, 01"):
        course.select(["00", "7"])
