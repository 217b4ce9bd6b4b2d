"""Frames of a running loop's thread can be read, whatever is collected meanwhile."""

import subprocess
import sys

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


def test_a_thread_reads_anothers_frames_while_garbage_is_collected() -> None:
    command = [sys.executable, "-c", READ_WHILE_COLLECTED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 0
