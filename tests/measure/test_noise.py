"""Noise is what others do; what this process and its children do is not."""

import subprocess
import sys
import time

from course_app.measure.noise import NoiseMeter, NoiseReport, busy_cpu_seconds, family_cpu_seconds

SPIN = "import time; end = time.time() + 0.6\nwhile time.time() < end: pass"


def test_our_own_work_is_not_counted_as_that_of_others() -> None:
    meter = NoiseMeter()
    meter.resume()
    end = time.perf_counter() + 0.4
    while time.perf_counter() < end:
        pass
    own_before = family_cpu_seconds()
    meter.pause()
    # Others may be busy too; but a core used by this test must not be among them.
    total = busy_cpu_seconds()
    assert own_before > 0.3
    assert meter.report().others_cores < total


def test_the_work_of_ended_children_is_our_own() -> None:
    before = family_cpu_seconds()
    subprocess.run([sys.executable, "-c", SPIN], check=True)
    assert family_cpu_seconds() - before > 0.3


def test_a_badge_says_how_much_others_took() -> None:
    def badge(others: float) -> str:
        return NoiseReport(1.0, 2, others, server_wait_share=0.5).badge

    assert [badge(0.1), badge(0.5), badge(1.5)] == ["calm", "busy", "very busy"]


def test_the_report_says_what_it_could_not_read() -> None:
    assert "waited" not in str(NoiseReport(1.0, 2, 0.0, server_wait_share=None))
    assert "waited for a core 12%" in str(NoiseReport(1.0, 2, 0.0, server_wait_share=0.12))
