"""An app whose handler raises: uvicorn answers 500 and hangs up without saying so."""

from fastapi import FastAPI

from course_app.load import Generator
from course_app.serving import ThreadServer

app = FastAPI()


@app.get("/")
async def root() -> None:
    raise RuntimeError("a bug")


def test_each_request_gets_its_500_and_none_counts_as_lost() -> None:
    with ThreadServer(app) as server, Generator() as generator:
        target = generator.connect(server.url, "/", concurrency=2)
        sampled = generator.sample(target, 5)
        load = generator.closed(target, requests=20)
    assert [response.status for response in sampled] == [500] * 5
    assert load.errors_by_kind == {"status": 20}
