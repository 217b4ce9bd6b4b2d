# %% [markdown]
# # 01 - A baseline you can trust
#
# The guide begins with good advice: measure before you optimize. For that it offers a middleware,
# which is code around every request. It takes `time.time()` before and after and writes the
# difference into a header.
#
# A measuring instrument has to be checked like anything else. What does this one cost, what does
# it miss, and what do you use instead? About a minute of measuring.

# %% [markdown]
# ## Do you remember?
#
# About lesson 00. Answer first, then unfold.
#
# <details><summary>A colleague measured once before a change and once after it, and reports "2.9
# times as fast". What is missing before you can believe it?</summary>
#
# Turns, and an interval. One run before and one after differ even if nothing was changed, because
# the machine is busier at one moment than at the next. Only many pairs, taken in turns, tell how
# much of the 2.9 may be chance.
#
# </details>
#
# <details><summary>The lab says "cannot tell" of your change. Did it make no difference?</summary>
#
# That is not what it says: the bar of 1.1 lies inside the interval, so the change may be worth its
# line of code or not. More time or a quieter machine would decide it. The verdict for a change
# that gains little is "not faster".
#
# </details>
#
# <details><summary>A handler asks three services one after another, 20 ms each. Will a faster JSON
# encoder help its users?</summary>
#
# Hardly. Such a request waits for at least 60 ms, whatever is done with the answers afterwards,
# and an encoder saves only CPU. Asking all three at the same time takes away two of the three
# waits.
#
# </details>

# %%
from course_app.lab import Lab

lab = Lab("01")

# %% [markdown]
# ## Your prediction
#
# A stopwatch reads the clock twice. How many times the CPU time does the smallest possible handler
# take when the guide's middleware is around it? (1 means: no more than without.) Write your guess
# in place of the dots.

# %%
guess = lab.predict(..., "times the CPU time per request with the guide's middleware")

# %% [markdown]
# ## The guide's stopwatch
#
# The decorator turns the function into a `BaseHTTPMiddleware`.

# %%
import time

from fastapi import FastAPI, Request


def hello() -> FastAPI:
    app = FastAPI()

    @app.get("/")
    async def root():
        return {"Hello": "World"}

    return app


guide = hello()


@guide.middleware("http")
async def add_process_time_header(request: Request, call_next):
    start = time.time()
    response = await call_next(request)
    response.headers["X-Process-Time"] = str(time.time() - start)
    return response


# %% [markdown]
# ## The same in pure ASGI
#
# ASGI is the interface between a server and an app in Python. An ASGI app is a function of three
# arguments. A middleware is another one around it, which passes messages on and adds a header when
# the response starts.

# %%
from starlette.datastructures import MutableHeaders


class Timing:
    """Writes how long the app took to start its response, in seconds."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()

        async def send_timed(message):
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Process-Time"] = f"{time.perf_counter() - start:.6f}"
            await send(message)

        await self.app(scope, receive, send_timed)


pure = hello()
pure.add_middleware(Timing)

# %% [markdown]
# This is a question of CPU and not of waiting, so single requests take turns: one to each app,
# then the other way round, thousands of times. On a quiet machine that resolves a few per cent in
# seconds; the intervals say how fine it is here.

# %%
stopwatch = lab.compare_requests(
    {"no stopwatch": hello(), "guide's middleware": guide, "pure ASGI": pure}, "/"
)
stopwatch

# %%
from course_app.plots import Bar, plot_bars

cost = {v.name: stopwatch.speedup(v.name).inverse() for v in stopwatch.variants[1:]}
dear = cost["guide's middleware"]
predicted = {"guide's middleware": guess.value}
print(guess.against(dear))
plot_bars(
    [
        Bar("no stopwatch", 1.0),
        *(Bar(name, c.estimate, c, predicted.get(name)) for name, c in cost.items()),
    ],
    title=f"CPU of a request: with the guide's stopwatch {dear.times} as much",
    unit="CPU, as a multiple of",
)

# %% [markdown]
# The trace of the cause is in the counts: **one more asyncio task for each request**.
# `BaseHTTPMiddleware` runs the rest of the app in a task of its own, and the task is only a part of
# what that takes: a task group, an in-memory stream through which the response passes, an event,
# and a response around it that sends all of it a second time. The pure ASGI version only calls a
# function. (One task per request is that of uvicorn, the server. That other task ends a little
# after the answer, which is why the table may count more requests in flight than the one client has
# sent.)

# %% [markdown]
# ## How dear is the ground?
#
# "FastAPI is already built for high performance", says the guide. With the instrument that the
# table above comes from one can ask what FastAPI itself costs: the same answer from an ASGI
# function without any framework, from FastAPI, and from FastAPI after one query by primary key.

# %%
from contextlib import asynccontextmanager

import asyncpg


async def bare(scope, receive, send):
    if scope["type"] == "http":
        headers = [(b"content-type", b"application/json"), (b"content-length", b"17")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"Hello":"World"}'})


@asynccontextmanager
async def pool(app: FastAPI):
    async with asyncpg.create_pool(lab.postgres_dsn, min_size=1, max_size=4) as app.state.pool:
        yield


asking = FastAPI(lifespan=pool)


@asking.get("/")
async def after_a_query():
    await asking.state.pool.fetchrow("SELECT * FROM users WHERE id = $1", 7)
    return {"Hello": "World"}


# %%
ground = lab.compare_requests({"FastAPI": hello(), "bare ASGI": bare, "one query": asking}, "/")
ground

# %%
framework = ground.speedup("bare ASGI")  # how many times bare ASGI's CPU FastAPI takes
query = ground.speedup("one query").inverse()
print(f"FastAPI takes {framework} the CPU of bare ASGI;")
print(f"with one query a request takes {query} the CPU of FastAPI alone.")

# %% [markdown]
# The tables of framework contests show this price. Routing and what surrounds a handler are paid
# once per request; validation and encoding grow with what it takes and returns
# ([lesson 06](06_response_models.ipynb)). This course looks for what the handler does.
#
# ## Three endpoints that are hard to time
#
# One blocks the event loop, the one thread in which all async handlers take turns, for 20 ms; one
# streams for a quarter of a second; one fails. Both stopwatches get them.

# %%
import asyncio
import math

import httpx
import numpy as np
from fastapi.responses import StreamingResponse


def add_hard_cases(app: FastAPI) -> None:
    @app.get("/blocking")
    async def blocking():
        time.sleep(0.020)
        return {"done": True}

    @app.get("/stream")
    async def stream():
        async def lines():
            for number in range(5):
                await asyncio.sleep(0.050)
                yield f"line {number}\n"

        return StreamingResponse(lines())

    @app.get("/error")
    async def error():
        raise RuntimeError("a bug in the handler")


add_hard_cases(guide)
add_hard_cases(pure)

# %% [markdown]
# Twenty clients ask `/blocking` at the same time, so the last to be served waits for 400 ms. What
# is the most that one of the pure ASGI version's headers will say, in ms?

# %%
guess_header = lab.predict(..., "ms in the pure ASGI header that says the most")

# %% [markdown]
# Beside each header we put what its client waited, from the shortest wait to the longest.


# %%
async def ask(url: str) -> tuple[float | None, float]:
    """What the header says and what the client waited, both in ms."""
    async with httpx.AsyncClient(timeout=10) as client:
        await client.get(url.rsplit("/", 1)[0])  # connects
        start = time.perf_counter()
        response = await client.get(url)
        waited_ms = (time.perf_counter() - start) * 1e3
    header = response.headers.get("X-Process-Time")
    return float(header) * 1e3 if header else None, waited_ms


async def crowd(url: str) -> list[tuple[float | None, float]]:
    return await asyncio.gather(*(ask(url) for _ in range(20)))


crowded = {}
for name, app in {"pure ASGI": pure, "the guide's": guide}.items():
    with lab.serve(app) as server:
        answers = asyncio.run(crowd(f"{server.url}/blocking"))
        crowded[name] = np.array(sorted(answers, key=lambda answer: answer[1]))
headers_ms, waited_ms = crowded["pure ASGI"].T
guide_headers_ms, guide_waited_ms = crowded["the guide's"].T

# %%
from course_app.plots import plot_lines


def in_turn(numbers: np.ndarray) -> list[tuple[float, float, float, float]]:
    """One point a client, without an interval."""
    return [(turn, number, math.nan, math.nan) for turn, number in enumerate(numbers, 1)]


print(guess_header.against(round(max(headers_ms))))
for name, answers in crowded.items():
    waits = answers[:, 1]
    print(f"{name}: clients waited {waits.min():.0f} to {waits.max():.0f} ms")
plot_lines(
    {
        "waited, pure ASGI": in_turn(waited_ms),
        "header, pure ASGI": in_turn(headers_ms),
        "waited, the guide's": in_turn(guide_waited_ms),
        "header, the guide's": in_turn(guide_headers_ms),
    },
    x_label="clients, from the shortest wait to the longest",
    y_label="ms",
    x_log=False,
    y_log=False,
    title=f"No header of pure ASGI says more than {max(headers_ms):.0f} ms, its last client waited "
    f"{waited_ms[-1]:.0f} ms; half of the guide's headers say {np.median(guide_headers_ms):.0f} ms "
    "or more",
)

# %%
with lab.serve(guide) as server:
    streamed = asyncio.run(ask(f"{server.url}/stream"))
    failed = asyncio.run(ask(f"{server.url}/error"))

print(f"stream: the header says {streamed[0]:.1f} ms, the client needed {streamed[1]:.0f} ms")
print("error:  there is no header" if failed[0] is None else f"error: {failed[0]:.1f} ms")

# %% [markdown]
# A stopwatch inside starts when it is called. With pure ASGI the handler follows at once, so the
# requests of the others lie in the queue of the blocked loop, where no code of the app can note how
# long: clients are served one after another, and each header tells of one handler only.
#
# The guide's middleware hands each request to a task of its own and waits for it. So the
# stopwatches of all that the loop has read together start before the first of their handlers runs,
# and none of them is answered before the last one has. What such a header says above 20 ms is the
# part of the queue that it has seen, and a step in their line is another batch that the loop has
# read. Its clients have paid for it: all of them waited for the last. Neither sees what waits
# before the app is called.
#
# Both stop when the response starts, so a stream looks instantaneous. And an exception that nobody
# handles passes straight through the stopwatch, so there is no header at all. (An `HTTPException`
# has become an answer before.) Time in a queue is seen **from outside**.
#
# `time.time()` has one more flaw: it is the wall clock, and wall clocks are set.

# %%
for name in ("time", "perf_counter"):
    clock = time.get_clock_info(name)
    print(f"{name:>12}: monotonic={clock.monotonic}, adjustable={clock.adjustable}")

# %% [markdown]
# ## From outside: which question do you ask?
#
# This app stalls: for a quarter of a second in every second and a quarter its loop is
# blocked, as by a garbage collection or a blocking call somewhere. A fifth of the time it
# answers nobody.


# %%
@asynccontextmanager
async def stalls(app: FastAPI):
    async def stall():
        while True:
            await asyncio.sleep(1)
            time.sleep(0.25)

    task = asyncio.create_task(stall())
    yield
    task.cancel()


stalling = FastAPI(lifespan=stalls)


@stalling.get("/")
async def two_milliseconds():
    await asyncio.sleep(0.002)
    return {"Hello": "World"}


# %% [markdown]
# Sixteen clients load this app for five seconds, and each sends its next request when it has its
# answer. How many per cent of all requests take longer than 100 ms?

# %%
guess_slow = lab.predict(..., "% of the requests of sixteen clients over 100 ms")

# %% [markdown]
# Most load generators keep a fixed number of clients, and each waits for its answer before it
# sends again (**closed model**). In a stall they all wait, politely, and *do not send*. Real
# users do not wait for each other (**open model**): they arrive at a rate, and a stall makes
# every one of them wait.

# %%
closed = lab.measure(stalling, "/", concurrency=16, seconds=5, name="16 polite clients")
# No more than the app can do, or its queue would be measured instead of the stall.
rate = min(400, 0.3 * closed.throughput)
arriving = lab.measure(
    stalling, "/", rate=rate, concurrency=256, seconds=5, name=f"{rate:.0f} arrivals/s"
)

# %%
from course_app.plots import plot_latency

plot_latency({"closed model": closed, "open model": arriving})

# %%
over_100_ms, told = {}, {}
for name, measured in {"closed": closed, "open": arriving}.items():
    slow = measured.load.latency_ms > 100
    fifths = [fifth.mean() for fifth in np.array_split(slow, 5)]
    over_100_ms[name] = float(slow.mean())
    told[name] = f"{slow.mean():.1%} (fifths: {min(fifths):.1%} to {max(fifths):.1%})"
    print(f"{name} model: {told[name]} of the requests took more than 100 ms")
print(guess_slow.against(round(100 * over_100_ms["closed"], 1)))

# %% [markdown]
# The same app, for five seconds each. (Fifths: the share in a fifth of the requests, the
# lowest and the highest.) The closed model reports few slow requests, because few were
# *sent* while it was slow. That error has a name, **coordinated omission**, and it is built into
# every benchmark with a fixed number of waiting clients. Use the open model for "what do users
# feel", the closed model for "how much can it do".
#
# ## The client is part of the measurement
#
# Can a loop around `httpx` do as a load generator? The server is a process of its own here, and
# each client has sixteen connections. (The generator is a process, too; httpx runs in this
# notebook, as it would in yours, and the end of the lesson shows how its loop differs from a
# server's.) How many times as many requests per second does the lab's generator get answered?

# %%
guess_client = lab.predict(..., "times as many requests by the generator as by httpx")

# %%
from course_app.measure.statistics import speedup_interval
from course_app.serving import ProcessServer


async def httpx_load(url: str, seconds: float = 0.5) -> float:
    async def client_loop(client: httpx.AsyncClient) -> int:
        answered = 0
        while time.perf_counter() < end:
            await client.get(url)
            answered += 1
        return answered

    async with httpx.AsyncClient() as client:
        end = time.perf_counter() + seconds
        return sum(await asyncio.gather(*(client_loop(client) for _ in range(16)))) / seconds


def by_generator(server: ProcessServer) -> float:
    return lab.measure(server, "/hello", concurrency=16, seconds=0.5).throughput


with ProcessServer("course_app.apps.hello:app") as hello_server:
    turns = [
        (by_generator(hello_server), asyncio.run(httpx_load(f"{hello_server.url}/hello")))
        for _ in range(5)
    ]
generator, by_httpx = np.array(turns[1:]).T  # the first turn warms up
faster = speedup_interval(np.log(generator) - np.log(by_httpx))
print(f"the lab's generator: {generator.min():,.0f} to {generator.max():,.0f} requests/s")
print(f"a loop around httpx: {by_httpx.min():,.0f} to {by_httpx.max():,.0f} requests/s")
print(guess_client.against(faster))

# %% [markdown]
# The server did not change; the second figure is the speed of the *client*. Where a client is the
# slower one, most optimizations in this course would have no effect at all. So where a load
# is measured or compared, the table ends with the line "the load generator used ... of a core".
#
# ## Once is a coin toss
#
# Finally, the same app against itself. Each round below is one before and one after, as in many a
# benchmark, only shorter: a fifth of a second each.

# %%
luck = lab.compare(
    {"hello": hello(), "hello again": hello()}, "/", metric="throughput", concurrency=16
)

# %%
from course_app.plots import plot_pairs

plot_pairs(luck)

# %%
rounds = np.exp(luck.log_ratios())
print(f"single rounds claim {rounds.min():.2f}x to {rounds.max():.2f}x; all of them say:")
print(luck.speedup(), "->", luck.verdict())
if rounds.max() > 1.1:
    print("Alone, the best of these rounds would have reported a speed-up.")
if rounds.min() < 1 / 1.1:
    print("Alone, the worst of these rounds would have reported a slow-down.")
if rounds.max() <= 1.1 and rounds.min() >= 1 / 1.1:
    print("No round was further off than a tenth this time; on a busier machine some may be.")

# %% [markdown]
# Nothing was changed: what single rounds say on either side of 1 is chance. This is why the lab
# lets the sides take turns, and gives an interval.
#
# ## One more thing: the loop in this notebook
#
# A cell runs inside the event loop of the kernel, the process behind a notebook, and there asyncio
# refuses `asyncio.run`. Guides give you `nest_asyncio` for that, a patch that lets a running loop
# be entered once more. It is no longer maintained, and a kernel of today hands out the next cell
# from a task of its own: does a queue of cells ("Run All") survive? Ask two kernels.

# %%
import subprocess
from contextlib import suppress
from queue import Empty

from jupyter_client.manager import run_kernel

CELLS = ["import {0}, asyncio; {0}.apply()", "asyncio.run(asyncio.sleep(0.2))", *"1234"]
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def cells_answered(patch: str) -> int:
    answers = 0
    with run_kernel(**QUIET) as client, suppress(Empty):
        for cell in CELLS:
            client.execute(cell.format(patch))
        while answers < len(CELLS):
            client.get_shell_msg(timeout=2)
            answers += 1
    return answers


for patch in ("nest_asyncio", "nest_asyncio2"):
    print(f"{patch}: {cells_answered(patch)} of {len(CELLS)} queued cells answered")

# %% [markdown]
# How many it loses depends on timing, and a cell without an answer waits for ever. This is why the
# course uses the successor, `nest_asyncio2`. Up to Python 3.13 both put a task class written in
# Python in the place of asyncio's own, which is written in C, for the whole process and so for a
# server in it. uvloop, another event loop that uvicorn can use, keeps the class that it finds when
# it is imported, so this package imports uvloop first.


# %%
async def task_class() -> type:
    return type(asyncio.current_task())


with lab.serve(hello()) as server:
    print(f"the notebook's loop: {asyncio.run(task_class())}")
    print(f"the server's loop:   {server.run(task_class())}")

# %% [markdown]
# ## Two idioms of older guides
#
# Where you meet `on_event` and `class Config` they still run, with a warning. `orm_mode` in it does
# nothing any more: the setting is called `from_attributes`, and without it a model refuses what an
# ORM returns.

# %%
import warnings
from types import SimpleNamespace

from pydantic import BaseModel, ValidationError

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")

    @hello().on_event("startup")
    async def startup(): ...

    class Post(BaseModel):
        id: int

        class Config:
            orm_mode = True


for text in dict.fromkeys(" ".join(str(warning.message).split()) for warning in caught):
    print("-", text)
try:
    Post.model_validate(SimpleNamespace(id=7))
    taken = True
except ValidationError:
    taken = False
print("An object with the right attribute is", "taken." if taken else "refused.")

# %% [markdown]
# ## The verdicts

# %% jupyter={"source_hidden": true}
tasks = {variant.name: variant.counts["asyncio tasks"] for variant in stopwatch.variants}
lab.verdict(
    1,
    "wrong",
    "As an instrument it is dear, and it sees neither the end of a stream nor an error that nobody "
    "handles. Which queues a stopwatch inside sees is an accident. Measure from outside; inside, "
    "use pure ASGI and perf_counter.",
    {
        "with the guide's middleware the smallest handler takes over 1.3 times the CPU": (
            dear.above(1.3)
        ),
        "it adds one asyncio task per request, pure ASGI none": (
            tasks["guide's middleware"] - tasks["pure ASGI"] > 0.9
            and tasks["pure ASGI"] - tasks["no stopwatch"] < 0.1
        ),
        "clients in a queue wait over twice what a pure ASGI stopwatch says": (
            bool(max(waited_ms) > 2 * max(headers_ms))
        ),
        "a stream takes over twice what the header says": streamed[1] > 2 * streamed[0],
        "there is no header on an error that nobody handles": failed[0] is None,
    },
    number=f"{dear} CPU",
)

# %% jupyter={"source_hidden": true}
lab.verdict(
    31,
    "holds when",
    "The handler has work to do. FastAPI takes more CPU than a bare ASGI function, and a request "
    "with one query more than FastAPI alone.",
    {
        "FastAPI takes over 1.5 times the CPU of bare ASGI": framework.above(1.5),
        "with one query a request takes over 1.5 times the CPU of FastAPI alone": query.above(1.5),
    },
    number=f"{framework} bare ASGI's CPU",
)

# %% jupyter={"source_hidden": true}
names = {warning.category.__name__ for warning in caught}
lab.verdict(
    30,
    "outdated",
    "Use FastAPI(lifespan=...) and ConfigDict(from_attributes=True).",
    {
        "both idioms raise a warning": {"DeprecationWarning", "UserWarning"} <= names,
        "orm_mode does nothing: an object is refused": not taken,
    },
    number="warnings; orm_mode is ignored",
)

# %% jupyter={"source_hidden": true}
lab.verdict(
    "T9",
    "holds",
    "Nothing else in this course works without it; but the instrument has to be checked first.",
    {
        "in the open model the share of requests over 100 ms is more than twice as large": (
            over_100_ms["open"] > 2 * over_100_ms["closed"]
        ),
        "a client can be the bottleneck": faster.above(2),
    },
    number=f"over 100 ms: {told['closed']} or {told['open']} of requests",
)

# %% [markdown]
# ## What to take away
#
# - Measure from outside, in turns, with an interval. Count causes inside.
# - `BaseHTTPMiddleware` is convenient and dear. For something on every request write pure ASGI.
# - Use `perf_counter`. Look at p50 and p99, never at an average alone.
# - Closed model for capacity, open model for what users feel.
# - Check that the client is not the bottleneck, and how noisy the machine was.
#
# Next: [the exercise](../exercises/01_baseline.ipynb), in which you write that pure ASGI
# middleware, correct on errors and streams.
#
# ## Read more
#
# - [Middleware](https://www.starlette.dev/middleware/) in Starlette's documentation: how to write
#   it in pure ASGI, and what `BaseHTTPMiddleware` cannot do.
# - B. Schroeder, A. Wierman and M. Harchol-Balter, [Open Versus Closed: A Cautionary
#   Tale](https://www.usenix.org/legacy/event/nsdi06/tech/schroeder.html), NSDI 2006: how far apart
#   the two models are, and eight principles for choosing one.
# - G. Tene, [wrk2](https://github.com/giltene/wrk2): a load generator that measures from when a
#   request should have been sent; the end of its README explains coordinated omission.
# - J. Graham-Cumming, [How and why the leap second affected Cloudflare
#   DNS](https://blog.cloudflare.com/how-and-why-the-leap-second-affected-cloudflare-dns/), 2017:
#   what happens when a wall clock is set back between the two readings of a stopwatch.
#
# **From the field.** In September 2026 the makers of Hindsight, a memory for AI agents, put pure
# ASGI in the place of the two `BaseHTTPMiddleware` of their API. In two runs each, its health
# check went from 2,476 and 2,393 requests per second to 7,917 and 7,545; a route that computes for
# about 23 ms per request gained nothing that could be seen. They had to send from four processes:
# one Python client came to about 950 requests per second, with the server's CPU at 7 % ([pull
# request 4235](https://github.com/vectorize-io/hindsight/pull/4235)).
