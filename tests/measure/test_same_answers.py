import gzip
import zlib
from collections.abc import Callable

import brotli
import pytest

from course_app.load import Response
from course_app.measure import answers
from course_app.measure.answers import (
    WrongAnswer,
    decoded,
    excerpt,
    same_answer,
    same_content,
    same_decoded,
    together,
)

Pack = Callable[[bytes], bytes]
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
        (brotli.compress(BODY), "br"),
        (b"", "gzip"),
    ],
)
def test_a_body_is_decoded_as_its_header_says(body: bytes, encoding: str | None) -> None:
    assert decoded(response(body, encoding)) == (BODY if body else b"")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b'{"ok": true}', b'{"ok": 1}', False),
        (b'[{"n": [0]}]', b'[{"n": [false]}]', False),
        (b'{"ok": true, "n": 1}', b'{"n":1.0,"ok":true}', True),
        (b"[1]", b"[1, 1]", False),
        (b'{"a": null}', b'{"b": null}', False),
        (b"1", b"[1]", False),
        (b"true", b"not json", False),
    ],
)
def test_json_is_compared_by_its_values_and_true_is_no_number(
    one: bytes, other: bytes, same: bool
) -> None:
    assert same_answer(response(one), response(other)) is same
    assert same_answer(response(other), response(one)) is same


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (BODY, "gzip"),
        (zlib.compress(BODY), "gzip"),
        (gzip.compress(BODY)[:-4], "gzip"),
        (gzip.compress(BODY) + b"more", "gzip"),
        (BODY, "br"),
        (BODY, "compress"),
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


@pytest.mark.parametrize(("pack", "coding"), [(gzip.compress, "gzip"), (brotli.compress, "br")])
def test_what_differs_in_its_coding_only_is_the_same_to_a_client(pack: Pack, coding: str) -> None:
    packed = response(pack(BODY), coding)
    assert same_content(packed, response(BODY))
    assert same_content(response(BODY), packed)
    assert not same_content(packed, response(pack(b"1"), coding))
    assert not same_content(response(BODY, coding), response(BODY))


def test_what_cannot_be_decoded_is_compared_as_it_came() -> None:
    assert same_content(response(b"?", "unheard"), response(b"?", "unheard"))
    assert not same_content(response(b"?", "unheard"), response(b"!", "unheard"))


def test_equal_errors_are_one_with_their_number() -> None:
    first, like, other = (
        WrongAnswer("app", f"GET /{n}", "status 200", f"status {status}", count)
        for n, status, count in ((1, 500, 2), (2, 500, 3), (3, 404, 1))
    )
    told = [str(each) for each in together([first, like, other])]
    assert told == [
        "app: GET /1: expected status 200, got status 500 (5 times)",
        "app: GET /3: expected status 200, got status 404",
    ]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (response(gzip.compress(BODY), "gzip", 500), '500 {"id": 1, "title": "One"}'),
        (response(b"", None, 204), "204 without a body"),
        (response(b"\x00\xff", None, 500), "500 a body of unknown type"),
        (response(b"?", "unheard", 500), "500 a body of unknown type, encoded as unheard"),
        (response("é".encode() * 150), "200 " + "é" * 100 + " …"),
        (Response(307, (("location", "/there"),), b"gone", ""), "307, a redirect to /there"),
    ],
)
def test_an_answer_is_shown_as_text(answer: Response, said: str) -> None:
    assert excerpt(answer) == said
