"""The benchmark of the servers; what it finds depends on the machine, what it does must not."""

import pytest

from benchmarks.serving import nest_asyncio_cost, thread_against_process
from course_app.load import Generator


@pytest.mark.slow
def test_the_benchmark_of_servers_measures_without_errors() -> None:
    with Generator() as generator:
        servers = thread_against_process(generator, pairs=3)
        nest = nest_asyncio_cost(generator, pairs=3)
    assert servers.errors == nest.errors == 0
    for ratio in (servers.at_once, servers.one_by_one, nest.cpu):
        assert len(ratio.ratios) == 3
        assert all(0.3 < value < 3 for value in ratio.ratios)
