"""SIGTERM ends a process in order, whatever it is doing."""

import signal
import subprocess
import sys

import pytest

ENDING = """
import time
from course_app.system.signals import leave_when_told

leave_when_told(7, first=lambda: print("told", flush=True))

class Slow:
    def __del__(self):
        self.wait()

    def wait(self):
        print("ready", flush=True)
        time.sleep(60)

try:
    {where}
    time.sleep(60)
finally:
    print("cleaned", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    ("where", "told"), [("Slow.wait(None)", 1), ("Slow()", 2)], ids=["in a function", "in __del__"]
)
def test_a_process_that_is_told_to_end_cleans_up_once(
    where: str, told: int, number: signal.Signals
) -> None:
    code = ENDING.format(where=where)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    output, said = process.communicate(timeout=20)
    assert (output.split(), said, process.returncode) == (["told"] * told + ["cleaned"], "", 7)


def test_other_ignored_exceptions_are_said() -> None:
    code = ENDING.format(where="Slow.__del__ = lambda self: 1 / 0; Slow(); raise SystemExit(3)")
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert ended.returncode == 3
    assert "ZeroDivisionError" in ended.stderr


def test_a_hangup_that_is_ignored_stays_so() -> None:
    code = (
        "import signal; from course_app.system.signals import leave_when_told; "
        "signal.signal(signal.SIGHUP, signal.SIG_IGN); leave_when_told(7); "
        "signal.raise_signal(signal.SIGHUP); print('goes on')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert (ended.stdout, ended.returncode) == ("goes on\n", 0)


def test_another_signal_does_not_cut_the_end_short() -> None:
    code = (
        "import signal; from course_app.system.signals import leave_when_told\n"
        "leave_when_told(7)\n"
        "try:\n    signal.raise_signal(signal.SIGTERM)\n"
        "finally:\n    signal.raise_signal(signal.SIGHUP); print('cleaned', flush=True)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert (ended.stdout, ended.returncode) == ("cleaned\n", 7)
