import gzip
import zlib

import pytest

from course_app.load import Response
from course_app.measure import answers
from course_app.measure.answers import decoded, same_answer, same_decoded

BODY = b'{"id": 1, "title": "One"}'


def response(body: bytes, encoding: str | None = None, status: int = 200) -> Response:
    headers = () if encoding is None else (("content-encoding", encoding),)
    return Response(status, headers, body, "GET / HTTP/1.1")


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (BODY, None),
        (BODY, "identity"),
        (gzip.compress(BODY), "gzip"),
        (gzip.compress(BODY), " GZIP"),
        (zlib.compress(BODY), "deflate"),
        (b"", "gzip"),
    ],
)
def test_a_body_is_decoded_as_its_header_says(body: bytes, encoding: str | None) -> None:
    assert decoded(response(body, encoding)) == (BODY if body else b"")


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (BODY, "gzip"),
        (zlib.compress(BODY), "gzip"),
        (gzip.compress(BODY)[:-4], "gzip"),
        (gzip.compress(BODY) + b"more", "gzip"),
        (BODY, "br"),
    ],
)
def test_a_body_that_is_not_what_its_header_says_is_refused(body: bytes, encoding: str) -> None:
    with pytest.raises(ValueError, match="a body"):
        decoded(response(body, encoding))
    assert not same_decoded(response(body, encoding), response(BODY))


def test_no_more_is_taken_out_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MOST_DECODED_BYTES", 1000)
    with pytest.raises(ValueError, match="more or less"):
        decoded(response(gzip.compress(bytes(10_000_000)), "gzip"))


def test_answers_are_the_same_once_decoded_and_only_then() -> None:
    packed = response(gzip.compress(BODY), "gzip")
    assert same_decoded(packed, response(BODY))
    assert not same_answer(packed, response(BODY))
    assert not same_decoded(packed, response(BODY, status=404))
    assert not same_decoded(packed, response(b'{"id": 2}'))
