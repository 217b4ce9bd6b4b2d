"""What other processes use; what cannot be known is None, never 0."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy as np
import psutil
import pytest

from course_app.measure.noise import NoiseMeter
from course_app.measure.statistics import speedup_interval
from course_app.measure.subject import cpu_per_request_us
from course_app.system import libproc, platforms, usage

ME = os.getpid()


@pytest.fixture
def ended() -> int:
    """The id of a process that is no more."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_linux_tells_all(ended: int) -> None:
    wait = [sys.executable, "-c", "print(flush=True); input()"]
    child = subprocess.Popen(wait, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()  # it has used CPU by now
    try:
        for pid in (ME, child.pid):
            assert usage.cpu_seconds(pid)
            assert 0 < usage.own_memory_bytes(pid) <= usage.resident_bytes(pid)
        single = usage.cpu_seconds(ME) + usage.cpu_seconds(child.pid)
        assert usage.total_cpu_seconds([ME, child.pid, ended]) >= single
        assert usage.number_of_processes() > 1
    finally:
        child.communicate(b"\n")
    assert usage.run_queue_wait_seconds(threading.get_native_id()) is not None


def test_a_sandbox_without_clocks_of_others_is_asked_otherwise(
    monkeypatch: pytest.MonkeyPatch, ended: int
) -> None:
    def refuse(_clock: int) -> float:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr("time.clock_gettime", refuse)
    assert usage.cpu_seconds(ME)
    assert usage.cpu_seconds(ended) is None


@pytest.mark.usefixtures("no_linux")
def test_without_proc_psutil_tells_most() -> None:
    assert usage.cpu_seconds(ME)
    assert usage.resident_bytes(ME)
    assert usage.own_memory_bytes(ME)
    assert usage.number_of_processes() > 1
    assert usage.run_queue_wait_seconds(threading.get_native_id()) is None


@pytest.mark.usefixtures("no_linux")
def test_memory_of_its_own_that_is_refused_is_the_resident_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_process: psutil.Process) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil.Process, "memory_full_info", refuse)
    assert usage.own_memory_bytes(ME) == pytest.approx(usage.resident_bytes(ME), rel=0.1)


@pytest.mark.usefixtures("no_readings")
def test_what_may_not_be_read_is_none_for_one_and_for_many(ended: int) -> None:
    assert usage.cpu_seconds(ME) is None
    assert usage.own_memory_bytes(ME) is None
    assert usage.resident_bytes(ME) is None
    assert usage.tree_cpu_seconds(psutil.Process()) is None
    assert usage.total_cpu_seconds([ME, ended]) is None
    assert usage.total_memory_bytes([ME]) is None


def test_what_has_ended_is_none_and_adds_nothing(ended: int) -> None:
    assert usage.cpu_seconds(ended) is None
    assert usage.own_memory_bytes(ended) is None
    assert usage.total_cpu_seconds([ended]) is None
    assert usage.total_memory_bytes([ME, ended])


@pytest.mark.usefixtures("no_linux")
def test_a_zero_is_no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    zero = psutil.Process().memory_info()._replace(rss=0)
    monkeypatch.setattr(psutil.Process, "memory_info", lambda _: zero)
    assert usage.resident_bytes(ME) is None


class FakeLibrary:
    """libproc of an Apple silicon Mac: Mach's clock ticks every 125/3 ns."""

    def proc_pid_rusage(self, pid: int, flavor: int, buffer: object) -> int:
        if pid != ME:
            return -1
        told = buffer._obj
        told.ri_user_time, told.ri_system_time = 24_000_000, 12_000_000
        told.ri_child_user_time, told.ri_child_system_time = 2_400_000, 0
        told.ri_phys_footprint = 5_000_000
        return 0 if flavor == 1 else -1

    def mach_timebase_info(self, buffer: object) -> int:
        buffer._obj.numer, buffer._obj.denom = 125, 3
        return 0


@pytest.fixture
def macos(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """macOS, whose libproc tells what psutil may not."""
    monkeypatch.setattr(platforms, "is_macos", lambda: True)
    monkeypatch.setattr(libproc, "_library", FakeLibrary)
    libproc._nanoseconds_per_tick.cache_clear()
    yield
    libproc._nanoseconds_per_tick.cache_clear()


@pytest.mark.usefixtures("no_readings", "macos")
def test_macos_tells_memory_and_the_cpu_of_ended_children(monkeypatch: pytest.MonkeyPatch) -> None:
    # Servers that other tests share live as this process's children.
    monkeypatch.setattr(psutil.Process, "children", lambda *_, **__: [])
    assert usage.cpu_seconds(ME) == pytest.approx(1.5)
    assert usage.own_memory_bytes(ME) == 5_000_000
    assert usage.tree_cpu_seconds(psutil.Process()) == pytest.approx(1.6)


@pytest.mark.usefixtures("no_linux")
def test_children_whose_cpu_is_lost_make_no_machine_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platforms, "is_macos", lambda: True)  # and its libproc is not there
    meter = NoiseMeter()
    meter.resume()
    spin = "import time\nwhile time.process_time() < 0.4: pass"
    subprocess.run([sys.executable, "-c", spin], check=True)
    meter.pause()
    assert meter.report().badge == "not known"
    assert "does not tell" in str(meter.report())


@pytest.mark.parametrize("after", [None, 1.0, 0.5])
def test_cpu_that_is_not_known_is_no_cost(after: float | None) -> None:
    cost = cpu_per_request_us((1.0, None), (after, None), 10)
    assert np.isnan(cost)
    interval = speedup_interval(np.full(8, np.log(cost)))
    assert interval.above(1.1) is interval.below(1.1) is None
    assert str(interval) == interval.factor == "not known"


def test_single_pairs_that_are_not_known_are_left_out() -> None:
    pairs = np.log([2.0, 2.1, 1.9, 2.0, float("nan"), 2.0, 2.1])
    assert speedup_interval(pairs).above(1.5) is True
