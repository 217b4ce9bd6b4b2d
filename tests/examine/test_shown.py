"""How a report is shown: the same in a terminal, on a page, and in a notebook."""

import html
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from example_report import BLOCKED, COMPARED, HEALTHY, REPORT

from course_app.authoring.contents import find_course
from course_app.examine.findings import Cause, Report, lesson_of
from course_app.examine.page import fragment, page, write_page
from course_app.examine.terminal import as_text, headline

COURSE = find_course()


class Words(HTMLParser):
    """The text that a reader sees, and what a browser would have to fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.fetched: list[str] = []
        self._hidden = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden = tag in ("style", "script")
        found = dict(attrs)
        self.fetched += [str(found["src"])] if "src" in found else []
        self.fetched += [str(found.get("href"))] if tag == "link" else []

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - the parser's own signature
        self._hidden = False

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def shown() -> dict[str, str]:
    return {
        "terminal": " ".join(as_text(COMPARED, HEALTHY).split()),
        "page": Words(page(COMPARED, HEALTHY)).text,
        "notebook": Words(fragment(COMPARED, HEALTHY)).text,
    }


@pytest.mark.parametrize("where", ["terminal", "page", "notebook"])
@pytest.mark.parametrize(
    "what",
    [
        *("blocked event loop", "confirmed", "suspected", "GET /orders/{order_id}"),
        *("order (/srv/shop/main.py:12)", "time.sleep(0.004)"),
        *("4.1 [4.0, 4.3] ms", "at most 3.1 [2.9, 3.4] times", "this <line>."),
        *("does not agree", "Lesson 02, async", "database is not the lab's", "only the route"),
        *("gone: blocked event loop", "Healthy:", "Not sure yet"),
    ],
)
def test_everything_is_said_everywhere(where: str, what: str) -> None:
    assert what in shown()[where]


def test_a_page_needs_nothing_else(tmp_path: Path) -> None:
    file = write_page(REPORT, tmp_path / "new folder" / "report.html")
    text = file.read_text(encoding="utf-8")
    assert Words(text).fetched == []
    assert not re.search(r"url\(|@import|<script", text)


def test_what_an_app_is_called_cannot_change_the_page() -> None:
    evil = "<img src=x onerror=alert(1)>[bold]"
    finding = BLOCKED.model_copy(update={"route": evil})
    report = REPORT.model_copy(
        update={"findings": (finding,), "target": evil, "not_looked_at": (evil,)}
    )
    for text in (page(report), fragment(report)):
        assert evil not in text
        assert html.escape(evil, quote=False) in text
    assert evil in as_text(report)


def test_the_first_sentence_says_what_is_known() -> None:
    stopped = Report(healthy=False, findings=(), partial=True)
    assert headline(REPORT) == "1 confirmed finding and 1 suspected one."
    assert headline(HEALTHY).startswith("Healthy")
    assert "no clean bill of health" in headline(stopped)
    suspected = REPORT.model_copy(update={"findings": REPORT.findings[1:], "partial": True})
    assert headline(suspected) == "1 suspected finding, so far."


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_words_advice_and_a_lesson(cause: Cause) -> None:
    finding = BLOCKED.model_copy(update={"cause": cause})
    assert finding.title
    assert finding.advice.endswith(".")


@pytest.mark.parametrize("cause", Cause)
def test_guide_and_exercise_name_every_cause(cause: Cause) -> None:
    finding = BLOCKED.model_copy(update={"cause": cause})
    guide = (COURSE.root / "docs" / "examine.md").read_text(encoding="utf-8")
    assert f"| {finding.title} | {lesson_of(cause)[:2]} |" in guide
    exercise = (COURSE.root / "content" / "exercises" / "16_clinic.py").read_text(encoding="utf-8")
    assert f"`{cause.value}`" in exercise


def test_a_notebook_shows_it_and_a_script_prints_it() -> None:
    assert "blocked event loop" in REPORT._repr_html_()
    assert "blocked event loop" in str(REPORT)


def test_what_a_notebook_keeps_names_no_file_of_this_machine() -> None:
    kept = REPORT._repr_html_()
    assert "Lesson 02" in kept
    assert "file:" not in kept
    assert "file:" in page(REPORT)


def test_a_report_is_text_in_a_notebook_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert headline(COMPARED) in " ".join(as_text(COMPARED).split())
