# %% [markdown]
# # 02 - What async buys
#
# "A plain `def` handler blocks the event loop; write `async def` and it is free." So says the
# guide, with a red cross beside the first and a green tick beside the second.
#
# The event loop is the one thread that serves all clients in turn. In this lesson you find out
# what really stops it, how far each kind of handler gets when the crowd grows, and when
# `async` gains nothing. About a minute of measuring.

# %% [markdown]
# ## Do you remember?
#
# <details><summary>The header of a stopwatch inside of the app says 20 ms, and users say half a
# second. Who is wrong?</summary>
#
# Perhaps nobody. The stopwatch starts when the app gets the request; what the request waited
# before, in the queue of a loop that others blocked, no code inside can see. What users wait has
# to be measured from outside.
#
# </details>
#
# <details><summary>Your app stalls now and then. You want to know what users feel of that, and
# your load generator offers sixteen clients that each wait for their answer, or a fixed number of
# requests per second. Which do you take?</summary>
#
# The fixed rate, the open model. In a stall sixteen waiting clients have sent sixteen requests at
# most and send no more, so that all the others who would have come are left out of the result.
# That is coordinated omission.
#
# </details>
#
# <details><summary>Lesson 00: why do two versions take turns of a fifth of a second, and not ten
# seconds each?</summary>
#
# Because something else on the machine may be busy during one of the ten seconds, and would look
# like a fault of the version that it met. In turns mostly both meet it; how much the pairs differ
# all the same is what the interval shows.
#
# </details>

# %%
from course_app.lab import Lab

lab = Lab("02")

# %% [markdown]
# ## Three handlers, one wait
#
# Each handler asks another service, which takes some milliseconds. `ask` does it as a blocking
# library would (psycopg2 for PostgreSQL, requests for HTTP): its thread stands still. `ask_async`
# does it as asyncpg or httpx would: `await` gives the loop back until the answer is there.

# %%
import asyncio
import time

from fastapi import FastAPI


def ask(ms: int) -> str:
    time.sleep(ms / 1000)
    return "done"


async def ask_async(ms: int) -> str:
    await asyncio.sleep(ms / 1000)
    return "done"


# %% [markdown]
# ## Your prediction
#
# Two handlers call the blocking `ask`, 10 ms each, and eight clients ask both. They differ in one
# word, `async`. How many times as fast will the plain `def` be? (Below 1 if you side with the
# guide.) Write your guess in place of the dots.

# %%
guess = lab.predict(..., "times as fast with a plain def")

# %% [markdown]
# Here is the `def` that gets the red cross, and the same blocking call inside of an `async def`.

# %%
plain, blocking = FastAPI(), FastAPI()


@plain.get("/wait/{ms}")
def plain_def(ms: int):
    return ask(ms)


@blocking.get("/wait/{ms}")
async def async_def_that_blocks(ms: int):
    return ask(ms)


# %% [markdown]
# We begin with the one that has the right keyword and the wrong call.

# %%
lab.measure(blocking, "/wait/10", concurrency=8, seconds=0.5, name="async def, blocking call")

# %% [markdown]
# Look at the latency beside the 10 ms that one call takes. Then unfold the rest of the table, for
# the count **max requests in flight**: how many of the eight clients' requests were inside the app
# at the same time.
#
# Now the green tick as it is meant, with something to `await`, and all three in turns.

# %%
awaiting = FastAPI()


@awaiting.get("/wait/{ms}")
async def async_def_that_awaits(ms: int):
    return await ask_async(ms)


three = {
    "async def, blocking call": blocking,
    "def, blocking call": plain,
    "async def, await": awaiting,
}
comparison = lab.compare(three, "/wait/10", concurrency=8, at_least=3, most_rounds=6)

# %%
in_thread = comparison.speedup("def, blocking call").times
awaited_8 = comparison.speedup("async def, await").times
print(guess.against(comparison.speedup("def, blocking call")))
comparison.plot(
    predicted={"def, blocking call": guess},
    counters=["max requests in flight", "worker threads busy"],
    title=f"Against a blocking call in async def: def {in_thread} as fast, await {awaited_8}",
)

# %% [markdown]
# While it waits, the plain `def` does not block the loop. FastAPI runs it in a **worker thread**,
# where it may stand still as long as it likes. An `async def` runs on the loop itself, and there a
# blocking call makes everybody wait: eight clients, eight waits, one after another.
#
# ## The cause: the lag of the loop
#
# A timer on the server's loop is due every 5 ms. How late it fires is the time in which the loop
# could do nothing for anybody. Meanwhile slow requests arrive, eight per second, 50 ms each. The
# greatest lag while a request is under way is called its **stall**.

# %%
lag = lab.loop_lag(three, "/wait/50", rate=8)
lag.plot()

# %%
lag

# %% [markdown]
# In grey a request is under way. Compare each row's lag with what the call takes. (Timers cannot
# tell less than half a millisecond: 0.5 stands for *no stall that can be seen*.) This is
# the number to watch in production: **event-loop lag** tells a blocking call apart from a slow
# service, which latency alone cannot.
#
# ## From 1 to 200 clients
#
# If `def` keeps up with `await` for eight clients, why bother? We let the crowd grow. (The
# blocking one gets a single round per point and stops at 50: its clients queue for seconds.)
#
# From 40 clients to 200, five times as many: how many times as many requests per second does the
# plain `def` answer?

# %%
guess_crowd = lab.predict(..., "times as many requests by def with 200 clients as with 40")

# %%
crowd = lab.sweep(
    {name: three[name] for name in ("async def, await", "def, blocking call")},
    "/wait/50",
    values=[1, 20, 40, 100, 200],
)
one_blocking = {"async def, blocking call": blocking}
queue = lab.sweep(one_blocking, "/wait/50", values=[1, 20, 50], windows=1, rounds=1)

# %% tags=["readme"]
from dataclasses import replace

awaited = crowd.growth("async def, await", 40, 200)
threaded = crowd.growth("def, blocking call", 40, 200)
replace(crowd, series={**crowd.series, **queue.series}).plot(
    title=f"From 40 to 200 clients: await {awaited}, def {threaded}",
    x_log=False,
    y_log=False,
    marks={40: "40 worker threads"},
)

# %%
print(guess_crowd.against(threaded))

# %% [markdown]
# (A point of a sweep has few windows, here three, and one for the blocking `async def`. The limits
# of its ratios are the lowest of one end against the highest of the other, which holds with 90 %,
# not with the 99 % of a comparison.)
#
# Three lines, three reasons. With `await`, a waiting request needs no thread, so throughput can
# follow the clients for as long as there is CPU for them: the title tells how far it did, and the
# lines below how busy the cores were.
# The blocking `async def` does one at a time for any number of clients. The `def` does **40** at a
# time (the mark), as many as FastAPI has worker threads (the default of AnyIO, the library behind
# it). Whoever comes 41st waits for a thread, and 40 waits of 50 ms are 800 requests per second at
# the very most. (If 200 clients get somewhat more than 40, one reason may be that with exactly 40 a
# thread stands idle between an answer and the same client's next request; with more, one is always
# queued.) We count them:

# %%
at_100 = {
    name: lab.measure(three[name], "/wait/50", concurrency=100, seconds=0.4, name=name)
    for name in crowd.series
}
for name, measured in at_100.items():
    in_flight = measured.counts["max requests in flight"]
    busy = measured.counts["worker threads busy"]
    print(f"{name}: {in_flight:.0f} requests in flight, {busy:.0f} worker threads busy")
for clients in (40, 200):
    cores = crowd.at("async def, await", clients).windows["cores"]
    print(f"{clients} clients that await keep {min(cores):.2f} to {max(cores):.2f} cores busy")

# %% [markdown]
# ## More threads
#
# The limit is a number that you may change when the app starts. With 120 clients:

# %%
from contextlib import asynccontextmanager

from anyio.to_thread import current_default_thread_limiter


def with_threads(threads: float) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI):
        current_default_thread_limiter().total_tokens = int(threads)
        yield

    app = FastAPI(lifespan=lifespan)
    app.get("/wait/{ms}")(plain_def)
    return app


threads = lab.sweep(
    {"def, blocking call": with_threads},
    "/wait/50",
    parameter="worker threads",
    values=[40, 80, 120, 240],
    concurrency=120,
)
more_threads = threads.growth("def, blocking call", 40, 120)
threads.plot(
    title=f"120 clients: {more_threads} the throughput with 120 threads instead of 40",
    x_log=False,
)

# %% [markdown]
# Where the interval in the title lies above 1, more threads carried a blocking library further.
# Each thread takes memory and, when it works, a share of the interpreter's lock (the GIL, which
# lets one thread at a time run Python); more of them than clients find nothing to do; and a
# database that takes 100 connections is not helped by 200 threads that ask it. All `def` handlers
# share this limit, the quick ones with the slow.
#
# ## Waiting for several things at once
#
# What `await` can do and a plain `def` cannot easily: wait for three services together. Three
# handlers: the first awaits one service after the other, the second hands the three to `gather`.
# The third does so with the blocking `ask`, dressed as a coroutine, which is what calling an
# `async def` returns.
#
# Each wait takes 10 ms. How many times as fast as the first is the third, the blocking `gather`?

# %%
guess_gather = lab.predict(..., "times as fast with three blocking calls in gather as in a row")

# %%
one_by_one, together, dressed_up = FastAPI(), FastAPI(), FastAPI()


@one_by_one.get("/")
async def three_in_a_row():
    return [await ask_async(10), await ask_async(10), await ask_async(10)]


@together.get("/")
async def three_together():
    return await asyncio.gather(ask_async(10), ask_async(10), ask_async(10))


async def ask_dressed_up(ms: int) -> str:
    return ask(ms)


@dressed_up.get("/")
async def three_dressed_up():
    return await asyncio.gather(ask_dressed_up(10), ask_dressed_up(10), ask_dressed_up(10))


# %%
gathered = lab.compare(
    {"one by one": one_by_one, "gather, blocking": dressed_up, "gather, await": together},
    "/",
    concurrency=1,
    at_least=1.5,
    most_rounds=6,
)
dressed, awaited_3 = (gathered.speedup(f"gather, {how}").times for how in ("blocking", "await"))
print(guess_gather.against(gathered.speedup("gather, blocking")))
gathered.plot(
    predicted={"gather, blocking": guess_gather},
    counters=["max loop lag, ms"],
    title=f"gather of blocking calls: {dressed} as fast; of awaits: {awaited_3}",
)

# %% [markdown]
# `gather` alone makes nothing concurrent. It starts coroutines, and they take turns at each
# `await` that really waits. Without one the first runs to its end before the second begins.
#
# ## When there is nothing to wait for
#
# Should every handler be `async` then? First the handler that only computes a small answer.

# %%
small_def, small_async = FastAPI(), FastAPI()


@small_def.get("/")
def greet():
    return {"Hello": "World"}


@small_async.get("/")
async def greet_async():
    return {"Hello": "World"}


small = lab.compare_requests({"def": small_def, "async def": small_async}, "/", at_least=1)
small.plot(
    title=f"Nothing to wait for: by CPU async def is {small.speedup().times} as fast as def",
    counters=["worker threads busy"],
)

# %% [markdown]
# There is nothing to wait for, and yet a `def` goes to a worker thread and back, and an `async def`
# does not. The title tells what that costs. Short handlers that never block belong on the loop.
#
# ## When it hurts: work for the CPU
#
# `await` only helps while somebody *else* works. Here the handler itself computes for a while: on
# the loop, in a worker thread, and in another process. That process imports what it is to compute,
# so the function lives in a module.

# %%
import inspect

from course_app.apps.computing import compute

print(inspect.getsource(compute))

# %% [markdown]
# `compute` takes a fraction of a second (the first stall below tells how long). In a plain `def` it
# runs in a worker thread: for how many milliseconds at a stretch does a request stop the event loop
# then? (The stall, as above: the longest of them counts.)

# %%
guess_thread = lab.predict(..., "ms without a turn for the loop while a def computes")

# %% [markdown]
# The pool has two processes, and `spawn` starts a new interpreter for each. (A `fork` would copy
# this one with its threads, and with locks that one of them happens to hold: the copy may hang, and
# on macOS it may crash.) That takes a moment, so both are launched before the first request: `abs`
# is the least that one can ask of them.

# %%
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context


@asynccontextmanager
async def with_processes(app: FastAPI):
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as app.pool:
        list(app.pool.map(abs, range(2)))
        yield


on_the_loop, in_a_thread, in_a_process = FastAPI(), FastAPI(), FastAPI(lifespan=with_processes)


# %%
@on_the_loop.get("/")
async def compute_on_the_loop():
    return compute()


@in_a_thread.get("/")
def compute_in_a_thread():
    return compute()


@in_a_process.get("/")
async def compute_in_a_process():
    return await asyncio.get_running_loop().run_in_executor(in_a_process.pool, compute)


computing = lab.loop_lag(
    {"async def": on_the_loop, "def": in_a_thread, "process pool": in_a_process},
    "/",
    requests=8,
    rate=3,
)
print(guess_thread.against(computing.stall("def")))
computing.plot()

# %% [markdown]
# In `async def` the work blocks the loop as `time.sleep` did. In a thread it is not out of the way:
# Python lets one thread compute at a time, and one that wants a turn has to wait 5 ms before it may
# ask for it. So the loop gets its turns late, again and again while the request is under way (the
# table tells how late; it calls a loop unresponsive only above 10 ms). In another **process** the
# work is out of the loop's way, as long as there is a core for each.
#
# A process pool does not make the work shorter. It keeps it from everybody else's requests, and
# it can use the other cores.

# %%
computing

# %% [markdown]
# ## The verdicts

# %% jupyter={"source_hidden": true}
def_stall, blocking_stall = lag.stall("def, blocking call"), lag.stall("async def, blocking call")
lab.verdict(
    2,
    "wrong",
    "FastAPI runs a plain def in one of 40 worker threads. What blocks the loop is a blocking "
    "call in async def.",
    {
        "during a 50 ms wait in def the loop stalls for less than 25 ms": def_stall.below(25),
        "in async def the same call stalls it for more than 25 ms": blocking_stall.above(25),
        "8 clients: def is at least 3 times as fast as async def with that call": (
            comparison.faster("def, blocking call", at_least=3)
        ),
    },
    evidence=comparison.speedup("def, blocking call"),
)

# %% jupyter={"source_hidden": true}
lab.verdict(
    3,
    "holds when",
    "What the handler waits for must be awaited: then it waits for any number of clients at once.",
    {
        "during an awaited 50 ms the loop stalls for less than 25 ms": (
            lag.stall("async def, await").below(25)
        ),
        "more than 40 requests wait at once": (
            at_100["async def, await"].counts["max requests in flight"] > 40
        ),
        "no worker thread is needed": (
            at_100["async def, await"].counts["worker threads busy"] == 0
        ),
    },
    number=f"40 to 200 clients: {awaited}",
)

# %% jupyter={"source_hidden": true}
lab.verdict(
    4,
    "holds when",
    "Whatever the handler calls must be async too, or short. Blocking libraries belong in def, "
    "work for the CPU in another process.",
    {
        "with nothing to wait for, async def costs less CPU": small.faster(at_least=1),
        "with a blocking call, def is at least 3 times as fast as async def": (
            comparison.faster("def, blocking call", at_least=3)
        ),
        "CPU work in async def stalls the loop for more than 10 ms": (
            computing.stall("async def").above(10)
        ),
        "in a process pool for less than 10 ms": computing.stall("process pool").below(10),
    },
    number=f"nothing to wait for: {small.speedup()}",
)

# %% jupyter={"source_hidden": true}
lab.verdict(
    "T1",
    "holds",
    "Await with async libraries waits for all clients at once, def for 40 of them, and a blocking "
    "call in async def for one.",
    {
        "8 clients: await is at least 3 times as fast as the blocking call in async def": (
            comparison.faster("async def, await", at_least=3)
        ),
        "three awaits in gather are at least 1.5 times as fast as in a row": (
            gathered.faster("gather, await", at_least=1.5)
        ),
        "of 100 clients all are waited for at once by await": (
            at_100["async def, await"].counts["max requests in flight"] == 100
        ),
        "40 by def, which uses 40 worker threads": (
            at_100["def, blocking call"].counts["worker threads busy"] == 40
        ),
        "one by the blocking call in async def": (
            comparison["async def, blocking call"].counts["max requests in flight"] == 1
        ),
    },
    evidence=comparison.speedup("async def, await"),
)

# %% jupyter={"source_hidden": true}
lab.verdict(
    "P1",
    "holds",
    "One blocking call in async def stops the loop for all clients, also those of other handlers.",
    {
        "8 clients: the same call in def is at least 3 times as fast": (
            comparison.faster("def, blocking call", at_least=3)
        ),
        "a 50 ms call stalls the loop for more than 25 ms": blocking_stall.above(25),
        "one request is in the app at a time": (
            comparison["async def, blocking call"].counts["max requests in flight"] == 1
        ),
    },
    number=f"{blocking_stall:significant} ms of lag per request",
)

# %% [markdown]
# ## What to take away
#
# - Ask of every handler: what does it wait for? Something awaitable: `async def` and `await`. A
#   blocking library: plain `def`. Nothing, and short: `async def`. The CPU: another process.
# - A blocking call in `async def` stops everybody, and no error tells you. Watch the loop's lag.
# - Plain `def` is good for 40 requests at a time, all handlers together. Raise the limit knowingly.
# - `gather` overlaps waits, not work.
#
# Next: [the exercise](../exercises/02_async.ipynb), an app whose endpoints block in three
# different ways, one of them out of sight.
#
# ## Read more
#
# - [Concurrency and async / await](https://fastapi.tiangolo.com/async/) in FastAPI's
#   documentation: which of `def` and `async def` to write, and where each of them runs.
# - [Developing with asyncio](https://docs.python.org/3/library/asyncio-dev.html) in Python's: the
#   debug mode, which logs what keeps the loop for longer than 100 ms.
# - [Working with threads](https://anyio.readthedocs.io/en/stable/threads.html) in AnyIO's: the
#   limit of 40, and how it is changed.
# - [A pull request of titiler-openeo](https://github.com/sentinel-hub/titiler-openeo/pull/303):
#   the opposite trap, a health check in plain `def` that found none of the 40 threads free, so
#   that pods were restarted under load.
#
# **From the field.** In March 2026 the production pods of GenLayer Studio were restarted over and
# over. A health checker did blocking calls on the event loop every 10 seconds, one of which stands
# still for 100 ms to measure the CPU. By its author's account this starved the async connection to
# Redis at start: less than a second's work took about 2.5 minutes, and until then uvicorn answered
# no probe ([pull request 1537](https://github.com/genlayerlabs/genlayer-studio/pull/1537)).
