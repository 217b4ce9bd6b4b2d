"""A verdict stands only when everything that it rests on held in this run."""

import json
import math

import numpy as np
import pytest

from course_app.measure.claim import VERDICT_MIME, ClaimVerdict
from course_app.measure.statistics import Interval


def verdict_on(conditions: dict[str, bool | None]) -> ClaimVerdict:
    return ClaimVerdict("10", "holds", "No request opens a connection.", conditions)


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        ({"faster": True, "no sessions": True}, "holds"),
        ({"faster": None, "no sessions": True}, "cannot tell"),
        ({"faster": None, "no sessions": False}, "not confirmed here"),
    ],
)
def test_the_verdict_is_said_only_when_all_conditions_held(
    conditions: dict[str, bool | None], said: str
) -> None:
    assert verdict_on(conditions).verdict == said


def test_conditions_may_come_from_measured_arrays() -> None:
    conditions = {"faster": np.array([2.0])[0] > 3, "no sessions": np.array([0])[0] == 0}
    verdict = verdict_on(conditions)
    assert verdict.verdict == "not confirmed here"
    assert json.loads(json.dumps(verdict.to_dict()))["conditions"][0]["held"] is False


def test_a_verdict_without_conditions_is_refused() -> None:
    with pytest.raises(ValueError, match="condition"):
        verdict_on({})


def test_an_unknown_verdict_is_refused() -> None:
    with pytest.raises(ValueError, match="choose from"):
        ClaimVerdict("10", "true", "Because.", {"x": True})


def test_the_report_reads_verdict_number_interval_and_conditions() -> None:
    verdict = ClaimVerdict(
        "9", "wrong", "It opens one each.", {"slower": True}, speedup=Interval(9.1, 8.5, 9.8)
    )
    data = verdict._repr_mimebundle_()[VERDICT_MIME]
    assert data["verdict"] == "wrong"
    assert data["number"] == "9.1x [8.5, 9.8]"
    assert data["interval"] == [8.5, 9.8]
    assert data["conditions"] == [{"text": "slower", "held": True}]


def test_text_in_a_verdict_is_escaped_in_html() -> None:
    html = ClaimVerdict("1", "wrong", "<b>x</b>", {"a < b": True})._repr_mimebundle_()["text/html"]
    assert "<b>x</b>" not in html
    assert "a &lt; b" in html


@pytest.mark.parametrize(
    "speedup", [Interval(2.0, 0.0, math.inf), Interval(math.nan, 0.0, math.inf)]
)
def test_what_is_unbounded_or_unknown_is_told_in_words_only(speedup: Interval) -> None:
    verdict = ClaimVerdict("9", "wrong", "So.", {"slower": None}, speedup=speedup)
    data = json.loads(json.dumps(verdict.to_dict(), allow_nan=False))
    assert (data["estimate"], data["interval"]) == (None, None)
    assert data["number"] == str(speedup)
