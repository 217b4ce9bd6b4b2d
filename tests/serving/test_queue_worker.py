"""A worker of a job queue in a process of its own."""

import asyncio
import signal

import psutil
import pytest
import redis
from arq import create_pool
from arq.connections import RedisSettings

from course_app.services import Services
from course_app.serving import AppFailedToStart, QueueWorker
from course_app.system.waiting import wait_until

SETTINGS = "course_app.apps.orders.WorkerSettings"
PATIENCE_SECONDS = 10.0


@pytest.fixture
def valkey_url(services: Services) -> str:
    return services.new_valkey_database()


def order(valkey_url: str, *numbers: int) -> None:
    async def enqueue() -> None:
        queue = await create_pool(RedisSettings.from_dsn(valkey_url))
        for number in numbers:
            await queue.enqueue_job("confirm_job", number)
        await queue.aclose()

    asyncio.run(enqueue())


def confirmed(valkey_url: str) -> set[str]:
    with redis.Redis.from_url(valkey_url, decode_responses=True) as client:
        return set(client.hkeys("confirmations"))  # type: ignore[arg-type]


def test_jobs_wait_for_a_worker_and_are_done_by_it(valkey_url: str) -> None:
    order(valkey_url, 1, 2)
    assert confirmed(valkey_url) == set()
    with QueueWorker(SETTINGS, env={"VALKEY_URL": valkey_url}):
        assert wait_until(lambda: confirmed(valkey_url) == {"1", "2"}, PATIENCE_SECONDS)


def test_nothing_of_a_worker_is_left_when_it_is_stopped(valkey_url: str) -> None:
    with QueueWorker(SETTINGS, env={"VALKEY_URL": valkey_url}) as worker:
        pids = [process.pid for process in worker.processes()]
        assert pids
    assert not any(psutil.pid_exists(pid) for pid in pids)
    worker.stop()  # again: nothing happens


def test_a_killed_worker_has_no_processes(valkey_url: str) -> None:
    with QueueWorker(SETTINGS, env={"VALKEY_URL": valkey_url}) as worker:
        for process in worker.processes():
            process.send_signal(signal.SIGKILL)
        assert wait_until(lambda: not worker.processes(), PATIENCE_SECONDS)
        assert wait_until(lambda: "ended" in repr(worker), PATIENCE_SECONDS)


def test_settings_that_do_not_exist_are_told() -> None:
    with pytest.raises(AppFailedToStart, match=r"(?s)ended while it started.*no_such_module"):
        QueueWorker("course_app.no_such_module.Settings")


def test_a_queue_that_is_not_there_is_told() -> None:
    nobody = {"VALKEY_URL": "redis://127.0.0.1:1"}
    with pytest.raises(AppFailedToStart, match="was not connected within 1 s"):
        QueueWorker(SETTINGS, env=nobody, startup_timeout_seconds=1)
