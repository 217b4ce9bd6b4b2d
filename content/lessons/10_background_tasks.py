# %% [markdown]
# # 10 - Background tasks
#
# A customer places an order. It is saved in a moment, but then a confirmation has to be mailed, and
# the mail server takes its time. The guide's advice: answer first, and do such work in a background
# task. "Heavy processing" belongs there too.
#
# The answer does come sooner. But the work has not gone anywhere: somebody still does it. In this
# lesson you find out who waits for it now, what comes of it when a part of it fails, and what is
# left of it when the server is told to go. A good minute of measuring.

# %% [markdown]
# ## Do you remember?
#
# <details><summary>Users are looked up by primary key, and most of them are in Valkey. Why may the
# app be no faster than without the cache?</summary>
#
# A hit saves only the difference between the query and a look into the cache, and a query by
# primary key may be nearly as cheap as that look. A miss costs both and a write on top. Whether any
# share of hits makes up for the misses has to be measured.
#
# </details>
#
# <details><summary>An app deletes the cache entry after each write. How can an old answer get back
# into the cache all the same, and what does a stamp change?</summary>
#
# A slow reader asked PostgreSQL before the write, and stores what it got after the deletion. With a
# stamp it still does that, but its entry bears the stamp of before, and nobody accepts that any
# more.
#
# </details>
#
# <details><summary>Lesson 04: a handler borrows a connection from a dependency with
# <code>yield</code>, and its client downloads the answer over a slow link. When does the pool get
# the connection back, and how could that be sooner?</summary>
#
# When the answer has been sent, and that takes as long as the client's link makes it. With
# `scope="function"` it goes back as soon as the handler returns, which is right wherever the answer
# does not need the connection any more.
#
# </details>

# %%
from course_app.lab import Lab, post

lab = Lab("10")

# %% [markdown]
# ## The work, in the handler and after it
#
# The mail takes 200 ms. In the first shop the handler awaits it and then answers. The others get
# their work as a parameter and hand it to `BackgroundTasks`. Beside the orders, every shop has
# a `/ping` for all the other customers.

# %%
import asyncio
import time

from fastapi import BackgroundTasks, FastAPI

WORK_SECONDS = 0.2
in_the_handler = FastAPI()


async def mail_awaited(seconds: float = WORK_SECONDS):
    await asyncio.sleep(seconds)


@in_the_handler.post("/orders", status_code=202)
async def place_order():
    await mail_awaited()


@in_the_handler.get("/ping")
async def ping():
    return "pong"


# %%
def shop(work) -> FastAPI:
    app = FastAPI()
    app.get("/ping")(ping)

    @app.post("/orders", status_code=202)
    async def place_order(background: BackgroundTasks):
        background.add_task(work)

    return app


# %% [markdown]
# What can such work be? It may *wait* or *compute*, and it may be written as `async def` or as
# `def`. Waiting in an `async def` can be done with `await`, or with a library that blocks.


# %%
def mail(seconds: float = WORK_SECONDS):  # as smtplib: the thread that calls it stands still
    time.sleep(seconds)


async def mail_blocking():
    mail()


def print_invoice():  # Python, busy for 200 ms
    until = time.monotonic() + WORK_SECONDS
    while time.monotonic() < until:
        sum(range(1000))


async def print_invoice_async():
    print_invoice()


# %% [markdown]
# ## Your prediction
#
# Somebody else asks for `/ping` every 10 ms. In the middle of that comes one order, whose task is
# the `async def` that blocks for 200 ms. What does the unluckiest `/ping` take, in ms? Write your
# guess in place of the dots.

# %%
guess = lab.predict(..., "ms for the slowest ping")

# %% [markdown]
# ## Measure: one order among many pings
#
# `lab.bystanders` sends pings all the time and one order in the middle, to one shop after another,
# and repeats that a few times.

# %%
orders = post("/orders", expect_status=202)
six = {
    "in the handler, awaited": in_the_handler,
    "async def that awaits": shop(mail_awaited),
    "def that blocks": shop(mail),
    "async def that blocks": shop(mail_blocking),
    "def that computes": shop(print_invoice),
    "async def that computes": shop(print_invoice_async),
}
around = lab.bystanders(six, orders, "/ping", seconds=0.33)
around

# %%
slowest = around.slowest("async def that blocks")
harmless = around.slowest("async def that awaits")
around.plot(
    title=f"The slowest ping takes {slowest:significant} ms beside a task in async def that "
    f"blocks, {harmless:significant} ms beside one that awaits"
)

# %% [markdown]
# Each dot is a ping, at the time at which it was due; the dashed line is the order's own answer.
# Where the dots form a slope that begins at the order, it is everybody *else* who pays: whoever
# asks first after the order waits for all of the work, who comes later for the rest of it. (What
# came before the order is no part of the numbers.)

# %%
half_ms = 1e3 * WORK_SECONDS / 2


def those(found: dict) -> str:
    """Names of which it is so, and of which nobody can tell."""
    yes, unknown = ([name for name in found if found[name] is held] for held in (True, None))
    return (", ".join(yes) or "nowhere") + (f" (cannot tell: {', '.join(unknown)})" * bool(unknown))


print(guess.against(slowest))
sooner = {name: around.answered(name).below(half_ms) for name in six}
others_pay = {name: around.slowest(name).above(half_ms) for name in six}
print(f"The order is answered in less than half the time of its work: {those(sooner)}.")
print(f"Somebody else waits for more than half of it: {those(others_pay)}.")

# %% [markdown]
# ## The cause, counted
#
# The table above has two more columns. **Max loop lag** is the longest that anything had to wait
# for the event loop, **worker threads busy** how many of FastAPI's threads were at work.
# "Background" says *when* a task runs: after the answer. *Where* it runs is decided as for
# handlers: an `async def` on the event loop, a `def` in a worker thread. (Computing in a thread is
# not free for the others either: all threads share one interpreter, and get it in turns.)
#
# ## When it does not help: many at once
#
# So, always write `def`? The worker threads are 40, and the shop's other `def` handlers need them,
# too. We let 1 to 160 customers order at the same moment, with 50 ms of work each, and ask for a
# page that is a plain `def`. What does the unluckiest page take beside 160 of them, in ms?

# %%
guess_page = lab.predict(..., "ms for the slowest page beside 160 blocking tasks")

# %%
from functools import partial


def with_page(work) -> FastAPI:
    app = shop(work)

    @app.get("/page")
    def page():
        return "some text"

    return app


# %%
BLOCKS, AWAITS = "def that blocks", "async def that awaits"
works = {BLOCKS: partial(mail, 0.05), AWAITS: partial(mail_awaited, 0.05)}
ENDS = (1, 160)
STEPS = dict.fromkeys((1, 20, 39, 45, 80, 160), (BLOCKS,)) | dict.fromkeys(ENDS, tuple(works))
crowds = {
    customers: lab.bystanders(
        {name: with_page(works[name]) for name in names},
        orders,
        "/page",
        triggers=customers,
        seconds=0.15 + 0.05 * customers / 40,
        repeats=2 if customers in (20, 80) else 6,
    )
    for customers, names in STEPS.items()
}

# %% [markdown]
# Tasks queue for a thread first come, first served. So a page waits for as many rounds of 50 ms as
# there are whole forties of tasks before it. That is the law in the figure, for a page that takes
# nothing itself.

# %%
from statistics import median

from course_app.plots import plot_lines


def slowest_page(name: str) -> list[tuple[float, ...]]:
    """The middle of all tries, the lowest and the highest."""
    tries = {n: crowd.series[name] for n, crowd in crowds.items() if name in crowd.series}
    waits = {n: sorted(each.slowest_ms for each in tries[n]) for n in sorted(tries)}
    return [(n, median(ms), ms[0], ms[-1]) for n, ms in waits.items()]


nan = float("nan")
law = [(n, 50 * (n // 40), nan, nan) for n in (1, 39, 40, 79, 80, 119, 120, 159, 160)]
few, many = (crowds[n].slowest(BLOCKS) for n in ENDS)
plot_lines(
    {BLOCKS: slowest_page(BLOCKS), AWAITS: slowest_page(AWAITS), "the law": law},
    x_label="orders at the same moment (bars: lowest and highest try)",
    y_label="slowest page, ms",
    title=f"The slowest page beside 160 blocking tasks takes {many:significant} ms, beside one "
    f"{few:significant} ms; beside 160 that await {crowds[160].slowest(AWAITS):significant} ms",
    x_log=False,
    y_log=False,
    marks={40: "40 worker threads"},
    laws=["the law"],
)

# %%
busy = {name: crowds[160].counts[name]["worker threads busy"] for name in works}
print(guess_page.against(many))
print("By the law it is 200 ms.")
print("worker threads busy:", {name: round(count) for name, count in busy.items()})

# %% [markdown]
# Who comes 41st queues, be it a task or the handler of a page. Tasks that await need no thread; a
# thread that is busy beside them runs the page. What a page waits for then, and beyond the law, is
# the crowd itself: one loop has to answer all these orders first, on what others leave of a core.
# (Where a bar is long, the tries differ, and its dot says little. Of those that await there are two
# points: what lies between them the line does not know.)
#
# ## When it hurts: a task that fails
#
# Two tasks for each order: a mail to the customer, whose address is wrong, and a note to the
# warehouse. 20 orders are placed. How many notes does the warehouse get?

# %%
guess_notes = lab.predict(..., "of 20 notes to the warehouse, after a mail that failed")

# %%
import httpx

failures = []


def notify(guard) -> tuple[FastAPI, list[str]]:
    app, done = FastAPI(), []

    def mail_customer():
        raise ValueError("no such address")

    @app.post("/orders", status_code=202)
    async def place_order(background: BackgroundTasks):
        background.add_task(guard(mail_customer))
        background.add_task(guard(done.append), "note to the warehouse")

    return app, done


# %%
def unguarded(task):
    return task


def guarded(task):
    def attempt(*arguments):  # for a task in def; async def needs an attempt that awaits it
        try:
            task(*arguments)
        except Exception as error:
            failures.append(error)  # in production: log it, where somebody looks

    return attempt


def place_20(app: FastAPI) -> list[int]:
    with lab.serve(app) as server:
        return [httpx.post(f"{server.url}/orders").status_code for _ in range(20)]


# %%
noted = {}
for guard in (unguarded, guarded):
    app, done = notify(guard)
    accepted = place_20(app).count(202)
    noted[guard.__name__] = len(done)
    print(f"{guard.__name__}: {accepted} orders accepted, {len(done)} notes to the warehouse")
print(guess_notes.against(noted["unguarded"]))

# %% [markdown]
# The tasks of a response run one after another, and an exception ends them all. The customer has a
# 202 (accepted, but not yet done) by then and never learns of it (but uvicorn closes the
# connection, so a client that wanted to use it again has to connect anew, and a request that it
# has sent over it meanwhile may never be answered). Every task needs a `try` of its own.
#
# ## When it hurts: the server is told to go
#
# Each deployment ends the server that runs: it gets a **SIGTERM**, the signal that asks a process
# to end, and some seconds later, if it is still there, a SIGKILL, which nobody can catch
# (`docker stop` waits for 10 s, Kubernetes for 30). Sooner or later there is a crash, too. We try
# it with real processes. Here is the shop for it: three doors that differ in who does the work. One
# mail takes 0.6 s, one in a thread 0.4 s, and as this shop has five threads only, most of those
# have to queue.

# %%
import inspect

from IPython.display import Code

from course_app.apps import orders as by_orders

doors = (
    by_orders.confirm,
    by_orders.order_and_background_task,
    by_orders.confirm_in_thread,
    by_orders.order_and_blocking_task,
    by_orders.order_and_loose_task,
)
Code("\n\n".join(inspect.getsource(part) for part in doors), language="python")

# %% [markdown]
# Twenty orders are accepted with a 202. At once afterwards uvicorn gets its SIGTERM. How many
# customers never get their mail, if the work was a background task? (Five other ends follow; each
# prints a line, in the order of the list.)

# %%
guess_lost = lab.predict(..., "of 20 mails lost by a SIGTERM to uvicorn")

# %%
import redis

from course_app.serving import ProcessServer

env = {"VALKEY_URL": lab.valkey_url}
valkey = redis.Redis.from_url(lab.valkey_url, decode_responses=True)


def kill_9(*servers) -> None:
    for server in servers:
        for process in server.processes():
            process.kill()


def sigterm(*servers) -> None:
    for server in servers:
        server.stop()  # SIGTERM; a SIGKILL to what is left after three seconds


def confirmed() -> dict[str, int]:
    times = [int(count) for count in valkey.hvals("confirmations")]
    twice = sum(count > 1 for count in times)
    return {"once": len(times) - twice, "never": 20 - len(times), "twice": twice}


# %%
def order_20(server: ProcessServer, door: str = "orders") -> int:
    valkey.delete("confirmations")
    with httpx.Client(base_url=server.url) as client:
        answers = [client.post(f"/{door}/{number}").status_code for number in range(20)]
    return answers.count(202)


def told_to_go(what: str, end, door: str = "orders", **options) -> dict[str, int]:
    """What became of the work of twenty orders, and for how long their server stayed."""
    with ProcessServer("course_app.apps.orders:by_the_server", env=env, **options) as server:
        accepted, told = order_20(server, door), time.monotonic()
        end(server)
        seconds = time.monotonic() - told
    done = confirmed()
    print(f"{what}: {accepted} accepted, the server ended after {seconds:.1f} s: {done}")
    return {what: done}


# %%
IMPATIENT = ["--timeout-graceful-shutdown", "0"]
fate = {
    **told_to_go("uvicorn, SIGTERM", sigterm),
    **told_to_go("uvicorn, tasks in threads, SIGTERM", sigterm, door="threads"),
    **told_to_go("uvicorn without patience, SIGTERM", sigterm, arguments=IMPATIENT),
    **told_to_go("uvicorn, create_task, SIGTERM", sigterm, door="loose"),
    **told_to_go("granian, SIGTERM", sigterm, program="granian"),
    **told_to_go("uvicorn, kill -9", kill_9),
}

# %% [markdown]
# ### What survives it: a queue
#
# With a **job queue** the handler writes the job into Valkey, and another process, the worker,
# takes it from there. The queue here is [arq](https://arq-docs.helpmanual.io), because it is small
# and shows the idea; since 2025 it has been in [maintenance
# mode](https://github.com/python-arq/arq/issues/510). For something new look at
# [Taskiq](https://taskiq-python.github.io) or [streaQ](https://github.com/tastyware/streaq), which
# are async as well, or at Celery.

# %%
parts = (by_orders.order_and_job, by_orders.confirm_job, by_orders.WorkerSettings)
Code("\n\n".join(inspect.getsource(part) for part in parts), language="python")

# %% [markdown]
# The worst case: as soon as the first mail is out, a `kill -9` hits the server, and the worker with
# it. Then a new worker is started.

# %%
SETTINGS = "course_app.apps.orders.WorkerSettings"


def done_after_restart(end) -> dict[str, int]:
    """What a queue and a worker make of twenty orders, if both are ended in the middle."""
    worker = lab.queue_worker(SETTINGS, env=env)
    with ProcessServer("course_app.apps.orders:by_a_worker", env=env) as server:
        accepted, ordered = order_20(server), time.monotonic()
        while not valkey.exists("confirmations") and time.monotonic() < ordered + 10:
            time.sleep(0.01)
        end(server, worker)
    at_the_end, again = confirmed(), lab.queue_worker(SETTINGS, env=env)
    restarted = time.monotonic()
    while valkey.zcard("arq:queue") and time.monotonic() < restarted + 30:
        time.sleep(0.1)
    seconds = time.monotonic() - restarted
    again.stop()
    print(
        f"{accepted} accepted; right after the end {at_the_end}; "
        f"{seconds:.1f} s after a new worker was up {confirmed()}"
    )
    return confirmed()


fate["queue, kill -9"] = done_after_restart(kill_9)
still_queued = valkey.zcard("arq:queue")

# %%
from course_app.plots import plot_counts

never = {name: counts["never"] for name, counts in fate.items()}


def that_came(counts: dict) -> dict:
    return {name: {k: v for k, v in parts.items() if v} for name, parts in counts.items()}


plot_counts(
    that_came(fate),
    x_label="orders accepted with a 202",
    title=f"Of 20 accepted orders never done: after a SIGTERM {never['uvicorn, SIGTERM']} by "
    f"uvicorn, {never['granian, SIGTERM']} by granian; after kill -9 {never['uvicorn, kill -9']}, "
    f"by a queue {never['queue, kill -9']}",
)

# %%
print(guess_lost.against(never["uvicorn, SIGTERM"]))
print(f"All done: {'; '.join(name for name in fate if not never[name]) or 'nobody'}.")
print(f"Something lost: {'; '.join(name for name in fate if never[name]) or 'nobody'}.")
print(f"Mails that the queue sent twice: {fate['queue, kill -9']['twice']}.")

# %% [markdown]
# Background tasks *are part of* the call of your app, which goes on when the answer's last byte is
# sent. A server that waits for its calls to return waits for the tasks, for those that still queue
# as well; one that waits for answers need not. uvicorn waits, for as long as they take, unless
# `--timeout-graceful-shutdown` ends its patience, or whoever has sent the SIGTERM loses theirs. A
# task made with `asyncio.create_task` is nobody's: no server knows of it. So a clean shutdown is a
# matter of the server program, of its options, of the orchestrator (what starts and ends servers,
# such as Kubernetes) and of how long the work takes. After a kill nothing is left: the work was in
# the server's memory, and nowhere else. The queue's jobs are in Valkey: if a worker dies, they
# stay there until another one has *finished* them.
#
# Two things to know. What a killed worker had begun comes back only after its claim, the note
# that somebody is at it, has expired, with arq ten seconds beyond `job_timeout`. And it is done
# **again**, from the start: a mail that was out already goes out twice. If a worker dies, a queue
# promises *at least once*. "Exactly once" is your part: make the job look whether it is done (a
# key with the order's number, a unique row). Of course a queue is only as durable as its store:
# if Valkey is told to (`appendonly yes`), what was written survives the death of its process;
# when the machine dies, the last second or two may be lost.
#
# That is about workers that die. A job that raises, or outlasts `job_timeout`, counts as finished
# for arq: it is done again only if it raises `Retry`. After five starts, or a day in the queue, it
# is dropped. Other queues have other rules: look them up, and watch what failed.
#
# ## And the heavy processing?
#
# A worker has an interpreter and a loop of its own. Here it gets the invoice that computes.

# %%
from contextlib import asynccontextmanager

from arq import create_pool
from arq.connections import RedisSettings


@asynccontextmanager
async def with_queue(app: FastAPI):
    app.queue = await create_pool(RedisSettings.from_dsn(lab.valkey_url))
    yield
    await app.queue.aclose()


queued = FastAPI(lifespan=with_queue)
queued.get("/ping")(ping)


@queued.post("/orders", status_code=202)
async def place_order_and_job():
    await queued.queue.enqueue_job("print_invoice_job", WORK_SECONDS)


with lab.queue_worker(SETTINGS, env=env):
    heavy = lab.bystanders({"job": queued}, orders, "/ping", seconds=0.33)
heavy

# %% [markdown]
# It is the worker's loop that stands still now: its mails wait, and no time-out can interrupt it.
# Give what computes a queue and workers of its own, or a process pool.
#
# ## The verdicts

# %% jupyter={"source_hidden": true}
answered, slowest_ping = around.answered, around.slowest
lab.verdict(
    19,
    "holds when",
    "The customer's answer comes first. But the work stays in the server: it must be awaited, or "
    "be a def and not too many at once; else all others wait for it.",
    {
        "in the handler the order takes longer than half of the work": (
            answered("in the handler, awaited").above(half_ms)
        ),
        "with a background task that awaits, less than that": (
            answered("async def that awaits").below(half_ms)
        ),
        "and nobody else waits for half of the work": (
            slowest_ping("async def that awaits").below(half_ms)
        ),
        "if it blocks in async def, somebody does": (
            slowest_ping("async def that blocks").above(half_ms)
        ),
        "160 blocking tasks keep all 40 worker threads busy, and no more": (
            None if busy[BLOCKS] < 40 else busy[BLOCKS] == 40  # slow orders overlap less
        ),
    },
    number=f"order {answered('in the handler, awaited'):.0f} to "
    f"{answered('async def that awaits'):.1f} ms; a ping up to {slowest:.0f} ms",
)

# %% jupyter={"source_hidden": true}
lab.verdict(
    "T4",
    "holds when",
    "For light work that may be lost. Heavy work in async def stops the server, and what was "
    "promised to a customer belongs in a durable queue with workers of its own: if one dies, "
    "another does its jobs again.",
    {
        "work that computes in async def makes others wait for more than half of it": (
            slowest_ping("async def that computes").above(half_ms)
        ),
        "as a job of a worker, for less than that": heavy.slowest("job").below(half_ms),
        "a failing task cancels the next, unless it catches": (
            noted["unguarded"] == 0 and noted["guarded"] == 20
        ),
        "SIGTERM loses no accepted work, where the server waits for its tasks": (
            never["uvicorn, SIGTERM"] == 0 or None
        ),
        "and some, where it does not": never["uvicorn without patience, SIGTERM"] > 0 or None,
        "kill -9 loses accepted work of background tasks": never["uvicorn, kill -9"] > 0 or None,
        "and none of the queue's, whose worker dies, too": (
            None if still_queued else never["queue, kill -9"] == 0
        ),
    },
    number=f"of 20 lost: {never['uvicorn, SIGTERM']} by SIGTERM, {never['uvicorn, kill -9']} by "
    f"kill -9, by a queue {never['queue, kill -9']}",
)

# %% [markdown]
# ## What to take away
#
# - A background task is *later*, not *elsewhere*. Await in `async def`, block in `def`, and compute
#   in another process.
# - `def` tasks share 40 threads with all `def` handlers.
# - Catch exceptions task by task, and log what you catch: once it is caught, the server's log
#   does not have it any more.
# - Try a SIGTERM on your own server while tasks are under way, and count. Keep tasks shorter than
#   the orchestrator's patience.
# - Give back what you borrowed before the tasks run: `Depends(..., scope="function")`. The last
#   section of this lesson shows why.
# - May it be lost? Then a background task is the simplest thing that works. If not, use a queue,
#   and make jobs harmless when they are done twice.
#
# Next: [the exercise](../exercises/10_background_tasks.ipynb), a shop whose customers wait for two
# letters, one of which may be refused.
#
# ## Read more
#
# - [Background tasks](https://www.starlette.io/background/) and [thread
#   pool](https://www.starlette.io/threadpool/) of Starlette: where tasks run, and the 40.
# - [Termination of
#   Pods](https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination): who
#   gets which signal when.
# - [create_task](https://docs.python.org/3/library/asyncio-task.html#asyncio.create_task) in
#   Python's documentation: why a task may vanish in the middle if nobody keeps a reference to it.
# - [Persistence](https://valkey.io/topics/persistence/) in Valkey's documentation: what of a queue
#   survives the death of its store, setting by setting.
#
# **From the field.** [Slack](https://slack.engineering/scaling-slacks-job-queue/) puts what is too
# slow for a request through a job queue: in 2017 up to 1.4 billion jobs a day, 33,000 a second at
# the peak. About a year before, a database had become slow, the jobs with it, and the queue's Redis
# reached its limit of memory. Nothing could be queued any more; and as taking a job out needed a
# little memory, too, the queue stayed locked when the database was well again, until much work by
# hand had freed it. Watch how long your queue is, and how full its store.

# %% [markdown]
# ## Going further (optional)
#
# Nothing below belongs to a verdict.
#
# ### Other servers, a worker that may go in peace
#
# The same SIGTERM to more programs, and to a queue's worker. It stops what it has begun and puts it
# back at once, so nobody waits for a claim to expire; the next worker does it from the start, also
# where the mail was sent already. (Here the server ends first and the worker is told afterwards, so
# which of its jobs have mailed by then differs from the kill above: compare what was never done,
# not what was done twice.)

# %%
others = {
    **told_to_go("gunicorn, SIGTERM", sigterm, program="gunicorn"),
    **told_to_go("hypercorn, SIGTERM", sigterm, program="hypercorn"),
    **told_to_go("two uvicorn workers, SIGTERM", sigterm, workers=2),
}
others["queue, SIGTERM"] = done_after_restart(sigterm)
plot_counts(
    that_came(others),
    x_label="orders accepted with a 202",
    title="Never done after a SIGTERM: "
    + ", ".join(f"{name.split(',')[0]} {counts['never']}" for name, counts in others.items()),
)

# %% [markdown]
# ### What the request borrowed
#
# A dependency with `yield` ends after the response, and background tasks are part of the
# response. A connection that the handler borrowed stays away from the pool until the last task has
# ended, though nobody uses it. FastAPI lets a dependency end earlier: `scope="function"`. (The
# dashed line is where the last of the eight orders is answered.)

# %%
from contextlib import asynccontextmanager
from typing import Annotated

import asyncpg
from fastapi import Depends


def with_pool(scope) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI):
        async with asyncpg.create_pool(lab.postgres_dsn, min_size=4, max_size=4) as app.pool:
            yield

    app = FastAPI(lifespan=lifespan)

    async def connection():
        async with app.pool.acquire() as connection:
            yield connection

    Connection = Annotated[asyncpg.Connection, Depends(connection, scope=scope)]

    @app.post("/orders", status_code=202)
    async def place_order(connection: Connection, background: BackgroundTasks):
        background.add_task(mail_awaited)

    @app.get("/users/{user_id}")
    async def read_user(user_id: int, connection: Connection):
        return await connection.fetchval("SELECT name FROM users WHERE id = $1", user_id)

    return app


# %%
borrowed = lab.bystanders(
    {"ends after the tasks": with_pool("request"), "ends before the answer": with_pool("function")},
    orders,
    "/users/1",
    triggers=8,
    seconds=0.5,
)
kept, returned = (borrowed.slowest(name) for name in borrowed.series)
borrowed.plot(
    title=f"Eight orders, four connections: the slowest reader waits for {kept:significant} ms "
    f"if the tasks keep them, {returned:significant} ms if not"
)
