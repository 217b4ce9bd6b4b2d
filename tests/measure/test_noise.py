"""Noise is what others do; what this process and its children do is not."""

import subprocess
import sys
import time

from course_app.measure.noise import NoiseMeter, NoiseReport, family_cpu_seconds
from course_app.system import cores

SPIN = "import time; end = time.time() + 0.6\nwhile time.time() < end: pass"


def test_our_own_work_is_not_counted_as_that_of_others() -> None:
    meter, before = NoiseMeter(), cores.competing_cpu_seconds()
    meter.resume()
    end = time.thread_time() + 0.4
    while time.thread_time() < end:
        pass
    meter.pause()
    report = meter.report()
    all_work = cores.competing_cpu_seconds() - before
    assert all_work - report.others_cores * report.wall_seconds > 0.3


def test_the_work_of_strangers_is_that_of_others() -> None:
    # A child that ends at once leaves its own child to the system: no descendant of ours.
    orphan = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SPIN!r}])"
    meter = NoiseMeter()
    subprocess.run([sys.executable, "-c", orphan], check=True)
    meter.resume()
    time.sleep(0.7)
    meter.pause()
    assert meter.report().others_cores > 0.1


def test_the_work_of_ended_children_is_our_own() -> None:
    before = family_cpu_seconds()
    subprocess.run([sys.executable, "-c", SPIN], check=True)
    assert family_cpu_seconds() - before > 0.3


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
