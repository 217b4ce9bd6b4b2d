"""The generator process lives exactly as long as its owner, and survives what happens to it."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from raw_server import Serve

from course_app.load import Generator, GeneratorEnded, post, sequence
from course_app.system.waiting import wait_until

PLAIN = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
GONE_SECONDS = 3.0


async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(PLAIN)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def interrupt() -> None:
    """What Jupyter's stop button does to the main thread."""
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)


def owner(url: str, then: str) -> tuple[subprocess.Popen[str], int]:
    """A process that owns a generator, says the generator's pid, and goes on with ``then``."""
    program = (
        "from course_app.load import Generator\n"
        f"generator = Generator(); target = generator.connect({url!r}, '/', concurrency=4)\n"
        f"print(generator.pid, flush=True)\n{then}\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


WAITING = "import time; time.sleep(60)"
SENDING = "generator.closed(target, seconds=60)"
PACING = "generator.open(target, rate=10, seconds=60)"


#: What the owner does, and the signal that ends it: one of each by default.
ENDS = list(itertools.product([WAITING, SENDING, PACING], [signal.SIGKILL, signal.SIGTERM]))
REPRESENTATIVES = [(WAITING, signal.SIGTERM), (SENDING, signal.SIGKILL)]
OTHERS = [pytest.param(*end, marks=pytest.mark.slow) for end in ENDS if end not in REPRESENTATIVES]


@pytest.mark.parametrize(("then", "number"), [*REPRESENTATIVES, *OTHERS])
def test_the_process_is_gone_when_its_owner_was_killed(
    serve: Serve, then: str, number: signal.Signals
) -> None:
    asked = threading.Event()

    async def noticing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        writer.write(PLAIN)
        await plain(reader, writer)

    process, pid = owner(serve(noticing), then)
    # Connecting asks nothing: the first request is one of the window's.
    assert then == WAITING or asked.wait(10)
    assert not gone(pid)
    process.send_signal(number)
    process.communicate(timeout=5)
    assert process.returncode == -number
    assert wait_until(lambda: gone(pid), GONE_SECONDS)


def test_the_process_is_gone_when_its_owner_simply_ends(serve: Serve) -> None:
    process, pid = owner(serve(plain), "generator.closed(target, requests=10)")
    assert process.communicate(timeout=10) == ("", "")
    assert process.returncode == 0
    assert wait_until(lambda: gone(pid), GONE_SECONDS)


def test_the_process_is_gone_though_a_fork_of_the_owner_holds_its_pipe(serve: Serve) -> None:
    fork = "import os, time\nif os.fork() == 0:\n    time.sleep(8); os._exit(0)\n"
    process, pid = owner(serve(plain), f"{fork}print('forked', flush=True)\n{WAITING}")
    assert process.stdout is not None
    assert process.stdout.readline() == "forked\n"
    process.kill()
    process.wait(5)
    assert wait_until(lambda: gone(pid), GONE_SECONDS)


def test_a_generator_that_nobody_holds_ends(serve: Serve) -> None:
    generator = Generator()
    generator.connect(serve(plain), "/")
    pid = generator.pid
    assert pid is not None
    del generator
    assert wait_until(lambda: gone(pid), GONE_SECONDS)


def test_the_process_stands_in_a_session_of_its_own_and_ignores_interrupts(serve: Serve) -> None:
    with Generator() as generator:
        target = generator.connect(serve(plain), "/")
        assert generator.pid is not None
        assert os.getsid(generator.pid) == generator.pid
        os.kill(generator.pid, signal.SIGINT)
        assert generator.closed(target, requests=10).completed == 10


def test_nothing_starts_before_it_is_needed_and_nothing_is_left_afterwards(serve: Serve) -> None:
    with Generator() as generator:
        assert generator.pid is None
        generator.connect(serve(plain), "/")
        pid = generator.pid
        assert pid is not None
    assert generator.pid is None
    generator.close()
    assert gone(pid)


@pytest.mark.parametrize("command", ["closed", "open", "alternate"])
def test_an_interrupted_owner_can_go_on_with_its_targets(serve: Serve, command: str) -> None:
    with Generator() as generator:
        target = generator.connect(serve(plain), "/", concurrency=4)
        pid = generator.pid
        assert pid is not None
        options: dict[str, object] = {"seconds": 30}
        options |= {"rate": 100} if command == "open" else {}
        threading.Timer(0.3, interrupt).start()
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            getattr(generator, command)([target] if command == "alternate" else target, **options)
        assert time.monotonic() - started < 10
        assert wait_until(lambda: gone(pid), GONE_SECONDS)
        result = generator.closed(target, requests=50)
        assert (result.completed, result.error_count) == (50, 0)


def test_interrupts_at_any_moment_never_mix_up_answers(serve: Serve) -> None:
    with Generator() as generator:
        target = generator.connect(serve(plain), "/", concurrency=2)
        for turn in range(12):
            timer = threading.Timer(0.02 * turn, interrupt)
            try:
                timer.start()
                for requests in itertools.count(1):
                    assert generator.closed(target, requests=requests).completed == requests
            except KeyboardInterrupt:
                pass
        assert generator.closed(target, requests=7).completed == 7


def test_a_sequence_repeats_nothing_after_an_interrupt(serve: Serve) -> None:
    seen: list[bytes] = []

    async def collecting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            seen.append((await reader.readuntil(b"}"))[-20:])
            writer.write(PLAIN)

    with Generator() as generator:
        workload = post("/", json={"number": sequence(10**9)})
        target = generator.connect(serve(collecting), workload, concurrency=4)
        threading.Timer(0.3, interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            generator.closed(target, seconds=30)
        result = generator.closed(target, requests=300)
    assert (result.completed, set(result.request_index)) == (300, {0})
    assert len(seen) > 300
    assert len(set(seen)) == len(seen)


def test_a_killed_generator_process_is_told_and_replaced(serve: Serve) -> None:
    with Generator() as generator:
        target = generator.connect(serve(plain), "/")
        assert generator.pid is not None
        threading.Timer(0.2, os.kill, (generator.pid, signal.SIGKILL)).start()
        with pytest.raises(GeneratorEnded, match="next call starts a new one"):
            generator.closed(target, seconds=30)
        assert generator.closed(target, requests=5).completed == 5


def test_two_threads_share_a_generator_without_mixing_their_answers(serve: Serve) -> None:
    counts: list[bool] = []

    def measure(requests: int) -> None:
        target = generator.connect(url, "/")
        results = [generator.closed(target, requests=requests) for _ in range(10)]
        counts.extend(result.completed == requests for result in results)

    url = serve(plain)
    with Generator() as generator:
        threads = [threading.Thread(target=measure, args=(10 * n,)) for n in range(1, 4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert counts == [True] * 30


def test_a_reader_s_modules_do_not_stand_in_for_real_ones(serve: Serve, tmp_path: Path) -> None:
    for name in ("random", "json", "array", "course_app"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('mine')\n")
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        with Generator() as generator:
            target = generator.connect(serve(plain), "/")
            assert generator.closed(target, requests=3).completed == 3
    finally:
        os.chdir(before)


def test_cpu_time_is_kept_over_restarts(serve: Serve) -> None:
    with Generator() as generator:
        assert generator.cpu_seconds == 0
        target = generator.connect(serve(plain), "/")
        first = generator.cpu_seconds
        assert first > 0
        generator.close()
        generator.closed(target, requests=3)
        assert generator.cpu_seconds > first
