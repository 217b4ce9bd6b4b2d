"""Numbers of things as one says them."""

import pytest

from course_app.words import amount


@pytest.mark.parametrize(
    ("number", "what", "said"),
    [
        (0, "request", "0 requests"),
        (1, "request", "1 request"),
        (1.0, "core", "1 core"),
        (0.5, "core", "0.5 cores"),
        (0.9999, "core", "1 core"),
        (12345.6, "core", "12,346 cores"),
        (2.4567, "core", "2.46 cores"),
        (12_345, "request", "12,345 requests"),
        (2, "fetch", "2 fetches"),
        (3, "process", "3 processes"),
    ],
)
def test_an_amount_agrees_with_its_number(number: float, what: str, said: str) -> None:
    assert amount(number, what) == said
