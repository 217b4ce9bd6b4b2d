"""Lesson 12 starts as many workers as there are cores: no number of cores may be too many."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

LESSON = Path(__file__).parent.parent / "content/lessons/12_workers.py"
#: PostgreSQL's own default, which the lab's server keeps; three are the administrator's.
ROOM = 100 - 3
#: Of the lab itself: a probe, a question to PostgreSQL now and then, the reader's own psql.
OTHERS = 5


class Server:
    def __init__(self, lab: "Lab", workers: int, env: dict[str, str]) -> None:
        self.lab, self.workers, self.connections = lab, workers, workers * int(env["POOL_SIZE"])

    def processes(self) -> list[int]:
        return list(range(self.workers))

    def stop(self) -> None:
        self.lab.running.discard(self)


class Lab:
    """Starts nothing, and knows what would run."""

    postgres_dsn = ""

    def __init__(self, cores: int) -> None:
        self.card = SimpleNamespace(cores=cores)
        self.running: set[Server] = set()

    def serve_processes(self, _app: str, *, workers: int, env: dict, **_: object) -> Server:
        server = Server(self, workers, env)
        self.running.add(server)
        return server

    @property
    def connections(self) -> int:
        return sum(server.connections for server in self.running)


def cell(text: str) -> str:
    """The cell of the lesson that holds this text, without what needs real servers."""
    found = [c for c in re.split(r"^# %%.*\n", LESSON.read_text(), flags=re.M) if text in c]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("cores", [1, 2, 4, 8, 16, 64])
def test_no_number_of_cores_uses_up_the_connections(cores: int) -> None:
    lab = Lab(cores)
    names = {"lab": lab}
    exec(cell("def serve("), names)
    first = lab.connections
    assert first + OTHERS <= ROOM
    assert {1, 2, 5, 9} <= set(names["uvicorn"])
    assert len(names["started"]) <= 17 + 9

    for workers in (5, 9):
        names["uvicorn"][workers].stop()
    # The five workers that are refused must be so because of their own pools.
    assert lab.connections + 5 * 20 > ROOM
    exec(cell("servers = {").partition("says = ")[0], names)
    assert lab.connections + OTHERS <= ROOM
