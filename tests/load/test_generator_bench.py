"""The bench against wrk; how fast either is depends on the machine, what it tells must not."""

import shutil

import pytest

from benchmarks import generator as bench


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_the_generator_keeps_up_with_wrk() -> None:
    found = bench.against_wrk(pairs=8)
    assert found.errors == 0
    assert len(found.ours) == len(found.wrk) == 8
    assert found.throughput is not None
    assert found.cpu is not None
    assert found.throughput.above(bench.LEAST_THROUGHPUT_RATIO) is not False
    assert found.cpu.below(bench.MOST_CPU_RATIO) is not False


@pytest.mark.slow
def test_where_wrk_is_missing_the_bench_says_so_and_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bench, "PAIRS", 2)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    result = bench.run()
    assert not result.failed
    assert "wrk is not installed" in result.notes[0]
    assert list(result.requirements.values()) == [None, None, True]
