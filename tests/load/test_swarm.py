"""Locust runs beside this process: its figures come back, and nothing of it stays."""

import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from representatives import others_slow

from course_app.load.limits import NotLoopback, OutOfBounds
from course_app.load.swarm import LocustFailed, SwarmReport, run_swarm

READER = """
from locust import FastHttpUser, between, task

class Reader(FastHttpUser):
    wait_time = between(0.01, 0.02)

    @task
    def good(self):
        self.client.get("/good")

    @task
    def bad(self):
        self.client.get("/bad/7", name="/bad/[id]")
"""


@pytest.fixture
def served() -> Iterator[tuple[str, Counter[str]]]:
    """A server that answers /bad with 500, and what it has been asked for."""
    seen: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            seen[self.path] += 1
            self.send_response(500 if "bad" in self.path else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()
    server.server_close()


def swarm(url: str, **options: int) -> tuple[SwarmReport, ...]:
    return run_swarm(READER, url, users=4, seconds=1, **options)


def test_figures_agree_with_what_the_server_saw(served: tuple[str, Counter[str]]) -> None:
    url, seen = served
    told: list[str] = []
    reports = run_swarm(READER, url, users=4, seconds=1, progress=told.append)
    last = reports[-1]
    assert {e.name: e.requests for e in last.endpoints} == {
        "/good": seen["/good"],
        "/bad/[id]": seen["/bad/7"],
    }
    assert last.failures == seen["/bad/7"]
    assert last.routes == {"/good": (seen["/good"], 0), "/bad": (seen["/bad/7"], seen["/bad/7"])}
    assert [r.requests for r in reports] == sorted(r.requests for r in reports)
    assert any("4 users" in text for text in told)


@pytest.mark.slow
def test_a_master_adds_up_what_its_workers_did(served: tuple[str, Counter[str]]) -> None:
    url, seen = served
    reports = swarm(url, workers=2)
    assert max(report.processes for report in reports) == 3
    assert reports[-1].requests == pytest.approx(seen.total(), abs=4)


@pytest.mark.parametrize("workers", others_slow(1, [0, 2]))
def test_nothing_of_it_stays(served: tuple[str, Counter[str]], workers: int) -> None:
    # Children only: a PostgreSQL of other tests starts some below them whenever it likes.
    before = {child.pid for child in psutil.Process().children()}
    swarm(served[0], workers=workers)
    assert {child.pid for child in psutil.Process().children()} <= before
    locusts = [
        p for p in psutil.process_iter(["cmdline"]) if served[0] in (p.info["cmdline"] or [])
    ]
    assert not locusts


@pytest.mark.slow
def test_importing_locust_is_left_to_its_own_process(served: tuple[str, Counter[str]]) -> None:
    swarm(served[0])
    assert "locust" not in sys.modules
    assert "gevent" not in sys.modules


def test_other_machines_are_refused() -> None:
    with pytest.raises(NotLoopback):
        swarm("http://192.0.2.1:80")


def test_a_locustfile_cannot_leave_the_machine_either(served: tuple[str, Counter[str]]) -> None:
    text = READER.replace('"/good"', '"http://192.0.2.1/", name="away"')
    last = run_swarm(text, served[0], users=1, seconds=0.5)[-1]
    away = next(endpoint for endpoint in last.endpoints if endpoint.name == "away")
    assert away.failures == away.requests > 0
    assert any("stay on this machine" in error for error in last.errors)


@pytest.mark.parametrize(
    "wrong", [{"users": 0}, {"users": 10_000}, {"seconds": 3600}, {"workers": 64}]
)
def test_a_load_without_a_sensible_bound_is_refused(wrong: dict[str, int]) -> None:
    options = {"users": 1, "seconds": 1, **wrong}
    with pytest.raises(OutOfBounds):
        run_swarm(READER, "http://127.0.0.1:9", **options)


def test_a_locustfile_that_does_not_run_says_why(served: tuple[str, Counter[str]]) -> None:
    with pytest.raises(LocustFailed, match="no_such_module"):
        run_swarm("import no_such_module", served[0], users=1, seconds=1)


def test_one_that_ends_without_a_word_is_told_with_what_to_do(
    served: tuple[str, Counter[str]],
) -> None:
    with pytest.raises(LocustFailed, match=r"run the cell once more. It said nothing"):
        run_swarm("import os\nos._exit(0)", served[0], users=1, seconds=1)


@pytest.mark.slow
def test_it_ends_when_its_users_have_gone(served: tuple[str, Counter[str]]) -> None:
    text = READER.replace(
        'self.client.get("/good")',
        'self.client.get("/good"); from locust.exception import StopUser; raise StopUser',
    )
    reports = run_swarm(text, served[0], users=1, seconds=20)
    assert reports[-1].seconds < 10


@pytest.mark.parametrize(
    ("locustfile", "env"), [("no text: \ud800", None), (READER, {"no variable": "\0"})]
)
def test_what_cannot_be_started_leaves_no_folder(
    locustfile: str,
    env: dict[str, str] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(ValueError):  # noqa: PT011 - Python's own
        run_swarm(locustfile, "http://127.0.0.1:1", users=1, seconds=1, env=env)
    assert not list(tmp_path.iterdir())
