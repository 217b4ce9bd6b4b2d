"""Noise is what others do; what this process and its children do is not."""

import subprocess
import sys
import time

import pytest

from course_app.measure import noise
from course_app.measure.noise import NoiseMeter, NoiseReport, family_cpu_seconds
from course_app.system import cores

SPIN_SECONDS = 0.6
SPIN = f"import time\nwhile time.process_time() < {SPIN_SECONDS}: pass"


def clocks(monkeypatch: pytest.MonkeyPatch, everybody: list[float], family: list[float]) -> None:
    """What the meter reads, one value for each look at a clock."""
    everybody_reads, family_reads = iter(everybody), iter(family)
    monkeypatch.setattr(cores, "competing_cpu_seconds", lambda: next(everybody_reads))
    monkeypatch.setattr(noise, "family_cpu_seconds", lambda: next(family_reads))


def others_seconds(meter: NoiseMeter) -> float:
    report = meter.report()
    assert report.others_cores is not None
    return report.others_cores * report.wall_seconds


def test_others_used_what_everybody_used_but_for_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks(monkeypatch, everybody=[10.0, 14.0, 90.0, 91.5], family=[1.0, 2.0, 60.0, 61.0])
    meter = NoiseMeter()
    for _ in range(2):  # what happens between the two stretches is nobody's noise
        meter.resume()
        meter.pause()
    assert others_seconds(meter) == pytest.approx(3.0 + 0.5)


def test_clocks_that_disagree_make_no_negative_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks(monkeypatch, everybody=[10.0, 10.1], family=[1.0, 2.0])
    meter = NoiseMeter()
    meter.resume()
    meter.pause()
    assert others_seconds(meter) == 0


def since(before: float | None, now: float | None) -> float:
    assert before is not None
    assert now is not None
    return now - before


def test_our_own_work_is_work_of_everybody_and_of_the_family() -> None:
    everybody, family = cores.competing_cpu_seconds(), family_cpu_seconds()
    end = time.thread_time() + 0.4
    while time.thread_time() < end:
        pass
    assert since(everybody, cores.competing_cpu_seconds()) > 0.35
    assert since(family, family_cpu_seconds()) > 0.35


def test_the_work_of_strangers_is_work_of_everybody_and_not_of_the_family() -> None:
    # A child that ends at once leaves its own child to the system: no descendant of ours.
    orphan = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SPIN!r}])"
    everybody, family = cores.competing_cpu_seconds(), family_cpu_seconds()
    # The orphan holds the pipe: its end is the orphan's.
    subprocess.run([sys.executable, "-c", orphan], check=True, stdout=subprocess.PIPE)
    assert since(everybody, cores.competing_cpu_seconds()) > 0.9 * SPIN_SECONDS
    assert since(family, family_cpu_seconds()) < 0.5 * SPIN_SECONDS


def test_the_work_of_ended_children_is_our_own() -> None:
    before = family_cpu_seconds()
    subprocess.run([sys.executable, "-c", SPIN], check=True)
    assert since(before, family_cpu_seconds()) > 0.9 * SPIN_SECONDS


def test_a_badge_says_how_much_others_took() -> None:
    def badge(others: float | None, cores: float = 2) -> str:
        return NoiseReport(1.0, cores, others, server_wait_share=0.5).badge

    assert [badge(0.1), badge(0.5), badge(1.5)] == ["calm", "busy", "very busy"]
    assert [badge(n, cores=16) for n in (1.5, 4.0, 8.0)] == ["calm", "busy", "very busy"]
    # With half a core the clock's own steps must not make a machine busy.
    assert [badge(n, cores=0.5) for n in (0.09, 0.3, 0.45)] == ["calm", "busy", "very busy"]
    assert badge(None) == "not known"


def test_the_report_says_what_it_could_not_read() -> None:
    assert "waited" not in str(NoiseReport(1.0, 2, 0.0, server_wait_share=None))
    assert "waited for a core 12%" in str(NoiseReport(1.0, 2, 0.0, server_wait_share=0.12))
