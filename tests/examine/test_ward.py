"""Whatever ends the owner, nothing of the examined app stays: no process and no folder."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from representatives import others_slow

from course_app.examine.target import parse_target
from course_app.examine.ward import Ward, WardGone
from course_app.system.waiting import wait_until

APP = """
from fastapi import FastAPI
app = FastAPI()
"""
OWNER = """
import sys, time
from course_app.examine.target import parse_target
from course_app.examine.ward import Ward
ward = Ward(parse_target(sys.argv[1]), {})
print(ward._process.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def temporary() -> Iterator[Path]:
    """With a name so short that a socket fits in."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def test_an_app_can_be_served_without_instruments(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text(APP)
    with Ward(parse_target(str(file)), {}, observed=False) as ward:
        assert httpx.get(f"{ward.url}/docs").status_code == 200
        assert not ward.ends_within(0.1)
    assert not ward.running
    assert not ward.crashed


@pytest.mark.parametrize(("late", "turns"), [(0.01, True), (9.0, False), (None, False)])
def test_a_loop_turns_if_it_was_not_late_for_long(
    monkeypatch: pytest.MonkeyPatch, late: float | None, turns: bool
) -> None:
    def ask(_ward: Ward, do: str, **_: object) -> dict[str, object]:
        assert do == "held"
        if late is None:
            raise WardGone("It does not react any more.")
        return {"late": late, "place": None}

    monkeypatch.setattr(Ward, "ask", ask)
    assert Ward.__new__(Ward).held() == (turns, None)


@pytest.mark.parametrize("number", others_slow(1, [signal.SIGKILL, signal.SIGTERM]))
def test_nothing_stays_of_an_app_whose_examiner_was_killed(
    number: int, tmp_path: Path, temporary: Path
) -> None:
    file = tmp_path / "app.py"
    file.write_text(APP)
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, f"{file}:app"],
        env=os.environ | {"TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout
    pid = int(owner.stdout.readline())
    assert any(temporary.iterdir())
    owner.send_signal(number)
    owner.wait(timeout=20)
    assert wait_until(lambda: not psutil.pid_exists(pid), 20)
    assert wait_until(lambda: not any(temporary.iterdir()), 20)
