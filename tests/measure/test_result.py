"""Results are tables for people, JSON for programs, and figures only with the plots room."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter

from course_app.load import Response
from course_app.measure.probes import Counts, Reading
from course_app.measure.result import Result, html_table, register_plot, text_table


@dataclass(frozen=True)
class Small(Result):
    @property
    def columns(self) -> Sequence[str]:
        return ("name", "ms")

    @property
    def message(self) -> str:
        return "a < b"

    def rows(self) -> Sequence[Sequence[str]]:
        return [("slow", "12.5"), ("fast", "1.0")]


def test_text_tables_align_numbers_to_the_right() -> None:
    assert text_table(("name", "ms"), [("slow", "12.5"), ("a", "1")]).splitlines() == [
        "name    ms",
        "slow  12.5",
        "a        1",
    ]


def test_html_tables_escape_what_they_show() -> None:
    table = html_table("<script>", ("a",), [("<b>",)], ["x & y"])
    assert "<script>" not in table
    assert "&lt;b&gt;" in table
    assert "x &amp; y" in table


def test_a_result_reads_the_same_in_text_and_html() -> None:
    result = Small()
    assert "12.5" in str(result)
    assert "12.5" in result._repr_html_()
    assert "a &lt; b" in result._repr_html_()


@dataclass(frozen=True)
class WithArrays(Small):
    raw: tuple[int, ...] = tuple(range(1000))


@dataclass(frozen=True)
class Nested(Small):
    times_ms: np.ndarray
    answers: Mapping[int, Response]


def test_a_result_is_json_down_to_its_last_record_and_what_is_not_known_is_null() -> None:
    response = Response(200, (("a", "b"),), b"hello", "GET / HTTP/1.1")
    result = Nested(np.array([1.5, np.nan]), {7: response})
    assert json.loads(result.to_json()) == {
        "type": "Nested",
        "times_ms": [1.5, None],
        "answers": {
            "7": {
                "status": 200,
                "headers": [["a", "b"]],
                "body": "hello",
                "request_text": "GET / HTTP/1.1",
                "number": 0,
            }
        },
    }


def test_a_notebook_keeps_a_results_table_and_not_its_raw_values() -> None:
    shown, _ = DisplayFormatter().format(WithArrays())
    assert shown["text/plain"] == str(WithArrays())
    assert set(shown) == {"text/plain", "text/html"}


def test_a_result_without_a_figure_says_what_to_import() -> None:
    with pytest.raises(LookupError, match=r"course_app\.plots"):
        Small().plot()


def test_a_figure_is_found_for_the_type_that_it_was_registered_for() -> None:
    class Drawn(Small):
        """A kind of its own, so that no other test sees its figure."""

    register_plot(Drawn, lambda result, **options: (result.message, options))
    assert Drawn().plot(title="t") == ("a < b", {"title": "t"})


def test_counts_are_per_request_where_they_count_requests() -> None:
    readings = (Reading("SQL statements", 100), Reading("max loop lag", 7.5, False, "ms"))
    counts = Counts(requests=50, readings=readings)
    assert counts["SQL statements"] == 2
    assert counts["max loop lag"] == 7.5
    assert counts.as_text() == {"SQL statements / request": "2", "max loop lag, ms": "7.50"}


def test_a_count_that_was_not_made_is_named_with_those_that_were() -> None:
    counts = Counts(requests=1, readings=(Reading("rows", 1),))
    assert counts.get("buffers") is None
    with pytest.raises(KeyError, match="rows"):
        counts["buffers"]
