"""Answers of a window that are kept whole, to be looked at later."""

import pytest
from fastapi import FastAPI
from representatives import others_slow

from course_app.load import Generator, get, uniform
from course_app.load.engine.stream import PREPARED_REQUESTS
from course_app.serving import ThreadServer

app = FastAPI()


@app.get("/squares/{number}")
async def square(number: int) -> dict[str, int]:
    return {"square": number * number}


@pytest.mark.parametrize(
    "length",
    others_slow(2, [{"requests": 200}, {"seconds": 0.2}, {"requests": PREPARED_REQUESTS + 1000}]),
)
def test_some_answers_are_kept_and_their_requests_can_be_sent_again(
    length: dict[str, float],
) -> None:
    numbers = get("/squares/{number}", number=uniform(1, 100_000))
    with ThreadServer(app) as server, Generator() as generator:
        busy = generator.connect(server.url, numbers, concurrency=8, seed=3)
        alone = generator.connect(server.url, numbers, seed=3)
        for _ in range(3):
            result = generator.closed(busy, keep=5, **length)  # type: ignore[arg-type]
            assert 0 < len(result.kept) <= 5
            assert result.error_count == 0
            again = generator.sample(alone, numbers=[answer.number for answer in result.kept])
            assert [each.request_text for each in again] == [
                each.request_text for each in result.kept
            ]
            assert [each.body for each in again] == [each.body for each in result.kept]
        assert not generator.closed(busy, requests=20).kept
