"""Scorecards: outcomes, points, and how they are shown."""

import io
import json

from rich.console import Console

from course_app.grading import CriterionResult, Kind, Outcome, Scorecard
from course_app.grading.scorecard import MIME_TYPE


def result(outcome: Outcome, points: float = 2, earned: float = 0, **more: str) -> CriterionResult:
    return CriterionResult("name", "A <title>", Kind.CONTRACT, points, outcome, earned, **more)


def card(*results: CriterionResult) -> Scorecard:
    return Scorecard("04_x", "An exercise", results, 7, "2026-01-01T00:00:00+00:00", 1.5, ("calm",))


def test_passed_only_if_all_passed() -> None:
    assert card(result(Outcome.PASSED), result(Outcome.PASSED)).passed
    assert card(result(Outcome.PASSED), result(Outcome.FAILED)).outcome is Outcome.FAILED


def test_a_failed_criterion_outweighs_an_undecided_one() -> None:
    both = card(result(Outcome.CANNOT_TELL), result(Outcome.FAILED))
    assert both.outcome is Outcome.FAILED


def test_our_own_failure_is_never_shown_as_the_learners() -> None:
    both = card(result(Outcome.FAILED), result(Outcome.COULD_NOT_CHECK))
    assert both.outcome is Outcome.COULD_NOT_CHECK


def test_not_attempted_means_that_nothing_was() -> None:
    blank = result(Outcome.NOT_ATTEMPTED)
    assert card(blank, blank).outcome is Outcome.NOT_ATTEMPTED
    assert card(result(Outcome.PASSED), blank).outcome is Outcome.FAILED


def test_undecided_points_are_open_not_lost() -> None:
    undecided = card(result(Outcome.PASSED, 2, 2), result(Outcome.CANNOT_TELL, 3))
    assert (undecided.points, undecided.open_points, undecided.possible) == (2, 3, 5)
    assert "3 still open" in undecided.message


def test_json_holds_everything() -> None:
    before = card(result(Outcome.FAILED, failure="Slow", hint="think"), result(Outcome.PASSED))
    assert Scorecard.from_dict(json.loads(before.to_json())) == before


def test_html_is_escaped_and_says_outcomes_in_words() -> None:
    bundle = card(result(Outcome.FAILED, observed="<script>"))._repr_mimebundle_()
    assert "<script>" not in bundle["text/html"]
    assert "A &lt;title&gt;" in bundle["text/html"]
    assert "failed" in bundle["text/html"]
    assert json.dumps(bundle[MIME_TYPE])


def test_a_terminal_shows_titles_points_and_hints() -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(card(result(Outcome.FAILED, 2, 1, hint="think", observed="this", wanted="that")))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for part in ("A <title>", "1 / 2", "Hint: think", "Observed: this; wanted: that", "calm"):
        assert part in text
