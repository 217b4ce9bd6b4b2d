"""One answer to how many cores may be used, and who else uses them."""

from collections.abc import Callable

import psutil
import pytest
from control_groups import Groups

from course_app.cli import checks
from course_app.measure.machine import machine_card
from course_app.measure.noise import NoiseMeter, measure_noise
from course_app.system import cores

Machine = Callable[[int], None]


@pytest.mark.parametrize("number", [1, 2, 4, 8, 16, 64])
def test_without_a_quota_they_are_those_of_the_affinity(
    number: int, machine: Machine, groups: Groups
) -> None:
    machine(number)
    groups.version_2("user.slice", {"cpu.max": "max 100000"})
    assert cores.core_budget() == cores.usable_cores() == number


@pytest.mark.parametrize(
    ("quota", "usable"), [(0.5, 1), (1.0, 1), (1.4, 1), (1.9, 2), (2.0, 2), (4.0, 4), (99.0, 16)]
)
@pytest.mark.parametrize("version", [1, 2])
def test_a_quota_bounds_them(
    version: int, quota: float, usable: int, machine: Machine, groups: Groups
) -> None:
    machine(16)
    if version == 1:
        groups.version_1("docker/1f", int(quota * 100_000))
    else:
        groups.version_2("", {"cpu.max": f"{int(quota * 100_000)} 100000"})
    assert cores.core_budget() == min(quota, 16)
    assert cores.usable_cores() == usable


def test_the_tightest_group_above_counts(machine: Machine, groups: Groups) -> None:
    machine(8)
    groups.version_2("pod/a/b", {"cpu.max": "400000 100000"})
    groups.version_2("pod", {"cpu.max": "150000 100000"}, own=False)
    assert cores.core_budget() == 1.5


def test_a_container_that_sees_its_group_as_the_root_is_bound_by_it(
    machine: Machine, groups: Groups
) -> None:
    machine(8)
    groups.version_1("", 200_000)
    groups.places.clear()
    groups._place("4:cpu,cpuacct:/docker/1f")  # a path of the host, which is not there
    assert cores.core_budget() == 2


def test_nonsense_in_the_files_is_no_quota(machine: Machine, groups: Groups) -> None:
    machine(4)
    groups.version_2("a", {"cpu.max": ""})
    groups.version_2("", {"cpu.max": "100000 0"}, own=False)
    groups.version_1("b", -1)
    assert cores.core_budget() == 4


def test_the_setting_overrides_all(
    machine: Machine, groups: Groups, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(4)
    groups.version_2("", {"cpu.max": "200000 100000"})
    for text, budget, usable in (("8", 8.0, 8), ("0.5", 0.5, 1), (" 16 ", 16.0, 16)):
        monkeypatch.setenv("COURSE_CORES", text)
        assert (cores.core_budget(), cores.usable_cores()) == (budget, usable)


@pytest.mark.parametrize("text", ["all", "0", "-2", "nan", "inf", "1e9", "2,5"])
def test_a_setting_that_is_no_number_of_cores_is_refused_in_a_sentence(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COURSE_CORES", text)
    with pytest.raises(cores.NotANumberOfCores, match=r"such as 4 or 0\.5, or unset it"):
        cores.core_budget()


@pytest.mark.usefixtures("no_linux")
def test_a_system_without_control_groups_has_the_cores_of_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("COURSE_CORES", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert cores.usable_cores() == 8
    assert cores.throttled_seconds() is None


@pytest.mark.parametrize("version", [1, 2])
def test_under_a_quota_only_the_group_competes_and_being_held_back_is_waiting(
    version: int, machine: Machine, groups: Groups
) -> None:
    machine(16)

    def after(used: float, throttled: float) -> None:
        if version == 1:
            groups.version_1("", 200_000, used=used, throttled=throttled)
        else:
            stat = f"usage_usec {used * 1e6:.0f}\nthrottled_usec {throttled * 1e6:.0f}"
            groups.version_2("", {"cpu.max": "200000 100000", "cpu.stat": stat})

    after(used=100.0, throttled=3.0)
    meter = NoiseMeter()
    meter.resume()
    after(used=100.0, throttled=1000.0)  # the rest of this machine does what it likes meanwhile
    meter.pause()
    report = meter.report()
    assert (report.cores, report.others_cores, report.badge) == (2.0, 0.0, "calm")
    assert report.server_wait_share == 1.0
    assert cores.competing_cpu_seconds() == 100.0


def test_a_group_whose_use_nobody_counts_is_not_a_calm_machine(
    machine: Machine, groups: Groups
) -> None:
    machine(16)
    groups.version_2("", {"cpu.max": "200000 100000"})
    meter = NoiseMeter()
    meter.resume()
    meter.pause()
    assert meter.report().badge == "not known"


def test_on_some_cores_of_many_only_these_are_looked_at(
    groups: Groups, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups.version_2("", {"cpu.max": "max 100000"})
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {1, 2})
    each = [psutil.cpu_times()._replace(user=10.0**n, system=0.0, idle=0.0) for n in range(4)]
    zeros = dict.fromkeys(set(each[0]._fields) - {"user"}, 0.0)
    monkeypatch.setattr("psutil.cpu_times", lambda **_: [e._replace(**zeros) for e in each])
    assert cores.competing_cpu_seconds() == 110.0


def test_card_noise_and_doctor_give_the_same_answer(machine: Machine, groups: Groups) -> None:
    machine(16)
    stat = "usage_usec 5\nthrottled_usec 0"
    groups.version_2("", {"cpu.max": "50000 100000", "cpu.stat": stat})
    assert machine_card("", "").cores == 1
    assert measure_noise(0.01).cores == 0.5
    found = checks.cores()
    assert (found.state, found.found.partition(",")[0]) == ("note", "0.5 usable")
    assert str(groups.root) in found.found
