"""Frames of a running loop's thread can be read, whatever is collected meanwhile."""

import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

from course_app.serving.frames import CollectionsInTurn

#: Coroutines come and go, and each cyclic garbage calls a function when it is collected; a thread
#: reads the stacks all the time. Without the pause this ends by signal 11 within seconds, or reads
#: a frame that has become another object, on Python 3.11.
READ_WHILE_COLLECTED = """
import asyncio, gc, sys, threading, time, weakref
from course_app.examine.instruments import code
from course_app.serving.frames import no_collections

sys.setswitchinterval(1e-5)
gc.set_threshold(50, 2, 2)
kept = []

class Node:
    def __init__(self):
        self.me = self

def collected(_):
    for _ in range(30):
        pass

def nested(depth):
    if depth:
        return nested(depth - 1)
    kept.append(weakref.ref(Node(), collected))
    del kept[:-50]

async def inner(depth):
    if depth:
        return await inner(depth - 1)
    nested(10)
    await asyncio.sleep(0)
    nested(5)

async def client():
    while not done.is_set():
        await inner(5)

def sample():
    global read
    while not done.is_set():
        with no_collections():
            code.stack(sys._current_frames()[main])
            for task in tasks:
                read += len(code.awaited(task.get_coro()))
        time.sleep(0)

async def go():
    tasks.extend(asyncio.ensure_future(client()) for _ in range(20))
    reader = threading.Thread(target=sample)
    reader.start()
    await asyncio.sleep(4)
    done.set()
    await asyncio.gather(*tasks)
    reader.join()

done, main, tasks, read = threading.Event(), threading.get_ident(), [], 0
asyncio.run(go())
assert gc.isenabled()
print(read)
"""


@pytest.mark.slow
def test_a_thread_reads_anothers_frames_while_garbage_is_collected() -> None:
    command = [sys.executable, "-c", READ_WHILE_COLLECTED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 0


class Cycle:
    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def thresholds() -> Iterator[None]:
    """Collections begin often, and are on again afterwards."""
    usual = gc.get_threshold()
    gc.set_threshold(100, 2, 2)
    gc.collect()
    gc.freeze()  # the tests' own objects, of which a quarter is much
    yield
    gc.unfreeze()
    gc.set_threshold(*usual)
    gc.enable()


def _garbage() -> "weakref.ref[Cycle]":
    """A cycle that nobody holds any more."""
    return weakref.ref(Cycle())


@pytest.mark.usefixtures("thresholds")
def test_while_a_loop_is_watched_garbage_waits_for_its_next_turn() -> None:
    watched, young = CollectionsInTurn(needed=True), []
    watched.begin()
    cycle = _garbage()
    young += [[] for _ in range(500)]
    assert cycle() is not None, "an allocation collected it"
    watched.turn()
    assert cycle() is None
    watched.end()
    assert gc.isenabled()


@pytest.mark.usefixtures("thresholds")
def test_what_is_young_waits_for_as_many_allocations_as_ever() -> None:
    watched = CollectionsInTurn(needed=True)
    watched.begin()
    cycle = _garbage()
    watched.turn()
    assert cycle() is not None
    watched.end()


@pytest.mark.usefixtures("thresholds")
def test_garbage_that_has_aged_is_collected_and_what_lives_is_not_looked_at_each_time() -> None:
    watched, living = CollectionsInTurn(needed=True), []
    watched.begin()
    cycle = Cycle()
    aged = weakref.ref(cycle)
    full = gc.get_stats()[2]["collections"]
    for turn in range(60):
        living += [[] for _ in range(200)]
        watched.turn()
        if turn == 20:
            del cycle
    watched.end()
    assert aged() is None
    # each full one needs a quarter more objects than the last one left
    assert 1 <= gc.get_stats()[2]["collections"] - full <= 12


@pytest.mark.parametrize("needed", [True, False])
@pytest.mark.usefixtures("thresholds")
def test_who_has_turned_the_collector_off_keeps_it_off(needed: bool) -> None:
    gc.disable()
    watched = CollectionsInTurn(needed=needed)
    watched.begin()
    cycle, young = _garbage(), [[] for _ in range(500)]
    watched.turn()
    assert cycle() is not None
    watched.end()
    assert not gc.isenabled()
    assert young


@pytest.mark.usefixtures("thresholds")
def test_where_the_collector_is_safe_it_goes_on() -> None:
    watched = CollectionsInTurn(needed=False)
    watched.begin()
    assert gc.isenabled()
    watched.end()
    assert gc.isenabled()
