# %% [markdown]
# # 10 - Background tasks
#
# A customer places an order. It is saved in a moment, but then a confirmation has to be mailed, and
# the mail server takes its time. The guide's advice: answer first, and do such work in a background
# task. "Heavy processing" belongs there too.
#
# The answer does come sooner. But the work has not gone anywhere: somebody still does it. In this
# lesson you find out who waits for it now, what else it takes down when it fails, and
# what is left of it when the server dies. Less than a minute of measuring.

# %%
from course_app.lab import Lab, post

lab = Lab()

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
# the `async def` that blocks for 200 ms. What does the unluckiest `/ping` take, in ms?

# %%
guess = lab.predict(20, "ms for the slowest ping")

# %% [markdown]
# ## Measure: the slow version
#
# Eight customers order again and again from the shop that mails in its handler:

# %%
orders = post("/orders", expect_status=202)
lab.measure(in_the_handler, orders, concurrency=8, seconds=0.6, name="in the handler")

# %% [markdown]
# Every customer waits for the mail. Now all six shops. `lab.bystanders` sends pings all
# the time and one order in the middle, and repeats that a few times.

# %%
six = {
    "in the handler, awaited": in_the_handler,
    "async def that awaits": shop(mail_awaited),
    "def that blocks": shop(mail),
    "async def that blocks": shop(mail_blocking),
    "def that computes": shop(print_invoice),
    "async def that computes": shop(print_invoice_async),
}
around = lab.bystanders(six, orders, "/ping", seconds=0.36)
around

# %%
slowest = around.slowest("async def that blocks")
harmless = around.slowest("async def that awaits")
around.plot(
    title=f"A background task in async def keeps others waiting for {slowest:.0f} ms if it blocks, "
    f"for {harmless:.0f} ms if it awaits"
)

# %% [markdown]
# Each dot is a ping, at the time at which it was due; the dashed line is the order's own answer.
# Five of six customers have their answer at once. In the two shops where the dots form a slope, it
# is everybody *else* who pays: whoever asks first after the order waits for all of the work,
# who comes later for the rest of it.

# %%
print(f"You said {guess.value:g} ms; it was {slowest:.0f} ms.")

# %% [markdown]
# ## The cause, counted
#
# The table above has two more columns. **Max loop lag** is the time in which the event loop did
# nothing else, **worker threads busy** how many of FastAPI's threads were at work. "Background"
# says *when* a task runs: after the answer. *Where* it runs is decided as for handlers: an
# `async def` on the event loop, a `def` in a worker thread. (Computing in a thread is not
# free for the others either: all threads share one interpreter, and get it in turns.)
#
# ## When it does not help: many at once
#
# So, always write `def`? The worker threads are 40, and the shop's other `def` handlers need them,
# too. We let 1 to 160 customers order at the same moment, with 100 ms of work each, and ask for a
# page that is a plain `def`.


# %%
from functools import partial


def with_page(work) -> FastAPI:
    app = shop(work)

    @app.get("/page")
    def page():
        return "some text"

    return app


# %%
works = {"def that blocks": partial(mail, 0.1), "async def that awaits": partial(mail_awaited, 0.1)}
crowds = {
    customers: lab.bystanders(
        {name: with_page(work) for name, work in works.items()},
        orders,
        "/page",
        triggers=customers,
        seconds=0.2 + 0.1 * customers / 40,
        repeats=2,
    )
    for customers in (1, 40, 80, 160)
}

# %%
from course_app.plots import plot_lines


def slowest_page(name: str) -> list[tuple[float, float, float, float]]:
    waits = {n: [each.slowest_ms for each in crowd.series[name]] for n, crowd in crowds.items()}
    return [(n, min(ms), min(ms), max(ms)) for n, ms in waits.items()]


lines = {name: slowest_page(name) for name in works}
few, many = (lines["def that blocks"][i][1] for i in (0, -1))
plot_lines(
    lines,
    x_label="orders at the same moment",
    y_label="slowest page, ms (lower of two tries)",
    title=f"A page beside 160 blocking tasks takes {many:.0f} ms, beside one {few:.0f} ms",
    x_log=False,
    y_log=False,
    marks={40: "40 worker threads"},
)

# %%
busy = {name: crowds[160].counts[name]["worker threads busy"] for name in works}
print({name: f"{count:.0f} worker threads busy" for name, count in busy.items()})

# %% [markdown]
# While fewer than 40 tasks block, each has a thread. Who comes 41st queues, be it a task or the
# handler of a page. Tasks that await have no such limit.
#
# ## When it hurts: one failure takes the next along
#
# Two tasks for each order: a mail to the customer, whose address is wrong, and a note to the
# warehouse. Here are 20 orders, and what came of them.

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
    def attempt(*arguments):
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

# %% [markdown]
# The tasks of a response run one after another, and an exception ends them all. The customer has a
# 202 by then and never learns of it (but uvicorn closes the connection, so a client that wanted to
# use it again has to connect anew). Every task needs a `try` of its own.
#
# ## When it hurts: what the request borrowed
#
# A dependency with `yield` ends after the response, and background tasks *are part of* the
# response. A connection that the handler borrowed stays away from the pool until the last task has
# ended, though nobody uses it. FastAPI lets a dependency end earlier: `scope="function"`.

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
    repeats=2,
)
kept, returned = (borrowed.slowest(name) for name in borrowed.series)
borrowed.plot(
    title=f"Eight orders, four connections: a reader waits for {kept:.0f} ms if the tasks keep "
    f"them, {returned:.0f} ms if not"
)

# %% [markdown]
# ## When it hurts: the server dies
#
# A deployment, a crash, a machine that runs out of memory: sooner or later a server ends while it
# owes somebody a mail. We try it with real processes. First by background task, then by a **job
# queue**: the handler writes the job into Valkey, and another process, the worker, takes it from
# there. The queue is [arq](https://arq-docs.helpmanual.io); Celery and others work alike.

# %%
import inspect

from IPython.display import Code

from course_app.apps import orders as by_orders

parts = (
    by_orders.confirm,
    by_orders.order_and_background_task,
    by_orders.order_and_job,
    by_orders.confirm_job,
    by_orders.WorkerSettings,
)
Code("\n\n".join(inspect.getsource(part) for part in parts), language="python")

# %% [markdown]
# Twenty orders are accepted. A moment later, when the first mails are out and the last are not, a
# `kill -9` hits the server, and the worker with it. Then they are started again.

# %%
import redis

env = {"VALKEY_URL": lab.valkey_url}
valkey = redis.Redis.from_url(lab.valkey_url, decode_responses=True)
SETTINGS = "course_app.apps.orders.WorkerSettings"


def accept_20_and_die(app: str, with_worker: bool) -> int:
    valkey.delete("confirmations")
    server = lab.serve_processes(f"course_app.apps.orders:{app}", env=env)
    worker = lab.queue_worker(SETTINGS, env=env) if with_worker else None
    with httpx.Client(base_url=server.url) as client:
        answers = []
        for number in range(20):
            answers.append(client.post(f"/orders/{number}").status_code)
            time.sleep(0.015)
    time.sleep(0.2)
    for process in server.processes() + (worker.processes() if worker else []):
        process.kill()
    return answers.count(202)


# %%
def confirmed() -> dict[str, int]:
    times = [int(count) for count in valkey.hvals("confirmations")]
    twice = sum(count > 1 for count in times)
    return {"once": len(times) - twice, "twice": twice, "never": 20 - len(times)}


accepted_by_server = accept_20_and_die("by_the_server", with_worker=False)
with lab.serve_processes("course_app.apps.orders:by_the_server", env=env, name="the server, again"):
    time.sleep(1)
background = confirmed()
print(f"background tasks: {accepted_by_server} accepted; confirmed: {background}")

# %%
accepted_by_queue = accept_20_and_die("by_a_worker", with_worker=True)
at_the_kill = confirmed()
worker = lab.queue_worker(SETTINGS, env=env)
restarted = time.monotonic()
while valkey.zcard("arq:queue") and time.monotonic() < restarted + 30:
    time.sleep(0.1)
queue, still_queued = confirmed(), valkey.zcard("arq:queue")
print(f"queue: {accepted_by_queue} accepted; confirmed at the kill: {at_the_kill}, then: {queue}")
print(f"The last of them took {time.monotonic() - restarted:.0f} s after the restart.")

# %%
from course_app.plots import plot_counts

plot_counts(
    {"BackgroundTasks": background, "queue and worker": queue},
    x_label="orders accepted with a 202",
    title=f"After kill -9, {background['never']} of 20 accepted orders are never confirmed by "
    f"background tasks, {queue['never']} by a queue",
)

# %% [markdown]
# A background task lives in the server's memory, and nowhere else. The queue's jobs are in Valkey
# until a worker has *finished* them, so a worker that starts later does the rest.
#
# Two things to know. What the killed worker had begun comes back only after its claim has
# expired, some seconds beyond `job_timeout`. And it is done **again**, from the start: a mail
# that was out already goes out twice. A queue promises *at least once*. "Exactly once" is
# your part: make the job look whether it is done (a key with the order's number, a unique row).
# Of course a queue is only as durable as its store: Valkey keeps data over its own death if it is
# told to (`appendonly yes`).
#
# ## And the heavy processing?
#
# A worker has an interpreter and a loop of its own. Here it gets the invoice that computes.

# %%
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


heavy = lab.bystanders({"job that computes": queued}, orders, "/ping", seconds=0.36)
heavy

# %%
worker.stop()

# %% [markdown]
# ## The verdicts

# %%
half_ms = 1e3 * WORK_SECONDS / 2
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
        "160 blocking tasks keep all 40 worker threads busy": busy["def that blocks"] == 40,
    },
    number=f"order {answered('in the handler, awaited'):.0f} to "
    f"{answered('async def that awaits'):.1f} ms; a ping up to {slowest:.0f} ms",
)

# %%
lab.verdict(
    "T4",
    "holds when",
    "For light work that may be lost. Heavy work in async def stops the server, and what was "
    "promised to a customer belongs in a durable queue with workers of its own.",
    {
        "work that computes in async def makes others wait for more than half of it": (
            slowest_ping("async def that computes").above(half_ms)
        ),
        "as a job of a worker, for less than that": heavy.slowest("job that computes").below(
            half_ms
        ),
        "a failing task cancels the next, unless it catches": (
            noted["unguarded"] == 0 and noted["guarded"] == 20
        ),
        "kill -9 loses accepted work of background tasks": background["never"] > 0 or None,
        "and none of the queue's": None if still_queued else queue["never"] == 0,
    },
    number=f"kill -9: {background['never']} of 20 lost, by a queue {queue['never']}",
)

# %% [markdown]
# ## What to take away
#
# - A background task is *later*, not *elsewhere*. Await in `async def`, block in `def`, and compute
#   in another process.
# - `def` tasks share 40 threads with all `def` handlers. They, too, end with the server.
# - Catch exceptions task by task, and log them: nobody else will tell you.
# - Give back what you borrowed before the tasks run: `Depends(..., scope="function")`.
# - May it be lost? Then a background task is the simplest thing that works. If not, use a queue,
#   and make jobs harmless when they are done twice.
#
# Next: [the exercise](../exercises/10_background_tasks.ipynb), a shop whose customers wait for two
# letters, one of which may be refused.
