# %% [markdown]
# # 04 - Connection pooling
#
# The guide shows two ways to reach PostgreSQL. First, as an example of "true async": open a
# connection for each request, use it, close it. One section later: never do that, use a pool.
#
# Both cannot be good advice. In this lesson you measure how far apart they are, count what
# makes the difference, and find out how large a pool should be. It takes about a minute of
# measuring.

# %% [markdown]
# ## Do you remember?
#
# <details><summary>For one <code>SELECT</code> a driver on autocommit makes one round trip, and
# SQLAlchemy on the same driver makes three. What are the other two for?</summary>
#
# For a transaction: it is opened before the query, and rolled back when the connection returns to
# SQLAlchemy's pool. With `AUTOCOMMIT` on a connection that one keeps, they are not needed.
#
# </details>
#
# <details><summary>A handler calls another service by plain <code>http</code>, with <code>async
# with httpx.AsyncClient()</code> around each call. What does every request pay for that it need
# not?</summary>
#
# A new TCP connection; and httpx 0.28 reads the certificates of all authorities that it trusts,
# even for `http`, while the event loop stands still. One client, made in the lifespan and shared,
# keeps both.
#
# </details>
#
# <details><summary>Lesson 02: three blocking calls are wrapped in <code>async def</code> and
# handed to <code>asyncio.gather</code>. Why does it take as long as one after another?</summary>
#
# `gather` starts coroutines, and they take turns only where an `await` really waits. A blocking
# call has no such place, so the first runs to its end before the second begins.
#
# </details>

# %%
from course_app.lab import Lab, get, uniform

lab = Lab("04")

# %% [markdown]
# ## Your prediction
#
# The handler reads one user by primary key, which takes PostgreSQL a fraction of a millisecond.
# How many times as fast will it answer when it does not have to connect first? Write your guess in
# place of the dots. Being wrong now is how the result will stay in your mind.

# %%
guess = lab.predict(..., "times as fast with a pool")

# %% [markdown]
# ## A connection for each request
#
# A dependency with `yield` opens a connection before the handler runs and closes it after.
# It is correct, tidy code. `await` is where it should be. (A function makes the app, because we
# shall want it again with other logins.)

# %%
from typing import Annotated

import asyncpg
from fastapi import Depends, FastAPI, HTTPException


def connecting(scope: str = "request", **login: str) -> FastAPI:
    app = FastAPI()

    async def connection():
        conn = await asyncpg.connect(lab.postgres_dsn, **login)
        try:
            yield conn
        finally:
            await conn.close()

    @app.get("/users/{user_id}")
    async def read_user(
        user_id: int, conn: Annotated[asyncpg.Connection, Depends(connection, scope=scope)]
    ):
        row = await conn.fetchrow("SELECT id, name, email FROM users WHERE id = $1", user_id)
        if row is None:
            raise HTTPException(404, "No such user")
        return dict(row)

    return app


# %% [markdown]
# Sixteen clients ask for random users, each sending its next request as soon as it has its
# answer.

# %%
one_user = get("/users/{user_id}", user_id=uniform(1, lab.users))
lab.measure(connecting(), one_user, concurrency=16, name="connect per request")

# %% [markdown]
# Look at the counts, not at the clock: **one PostgreSQL session for each request**. Behind each
# of them PostgreSQL starts a process, checks a password, and throws the process away again.
#
# ## A pool
#
# The pool is opened once, when the app starts, and closed when it ends: that is its `lifespan`. A
# request borrows a connection (`acquire`) and gives it back; `pool.fetchrow` does both.

# %%
from contextlib import asynccontextmanager


def pooled(size: int = 8) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI):
        async with asyncpg.create_pool(lab.postgres_dsn, min_size=size, max_size=size) as app.pool:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/users/{user_id}")
    async def read_user(user_id: int):
        row = await app.pool.fetchrow("SELECT id, name, email FROM users WHERE id = $1", user_id)
        if row is None:
            raise HTTPException(404, "No such user")
        return dict(row)

    return app


# %% [markdown]
# Both apps now serve at the same time and take turns under the same requests, in windows of a fifth
# of a second or somewhat more: connect, pool, pool, connect, and so on. Each pair of windows gives
# one ratio. The speed-up is their mean without the largest and the smallest fifth (a *trimmed
# mean*); how much they differ gives its interval.

# %%
comparison = lab.compare(
    {"connect per request": connecting(), "pool": pooled()}, one_user, concurrency=16
)
print(guess.against(comparison.speedup()))
comparison

# %% tags=["readme"]
comparison.plot(predicted=guess, counters=["PostgreSQL sessions / request"])

# %% [markdown]
# ## The cause, in parts
#
# Three things could make a connection dear. PostgreSQL starts **a process** for it and fills that
# with what a session needs. Both sides prove to each other that they know the **password**, without
# sending it (this is called SCRAM); to make guessing dear, it is hashed 4,096 times. And all this
# takes **round trips**, in which one side waits for the other.
#
# PostgreSQL can store a password for fewer rounds, so here are two logins that differ in nothing
# else. (Keep the 4,096: one round makes passwords cheap to guess.)

# %%
import psycopg

LOGINS = {4096: {}}  # on a server of your own we make no roles
if lab.services.embedded:
    LOGINS = {n: {"user": f"reader_{n}", "password": "secret"} for n in (4096, 1)}
    with psycopg.connect(lab.postgres_dsn, autocommit=True) as admin:
        for rounds, login in LOGINS.items():
            admin.execute(f"SET scram_iterations = {rounds}")
            admin.execute(f"DROP ROLE IF EXISTS {login['user']}")
            admin.execute(
                f"CREATE ROLE {login['user']} LOGIN PASSWORD 'secret' IN ROLE pg_read_all_data"
            )

# %% [markdown]
# Without FastAPI: twenty times connect, ask, close, then twenty times ask over a connection that is
# open, in turns. We read three clocks: the wall's, the CPU of this process, and that of PostgreSQL
# with all the processes that it started meanwhile.

# %%
import asyncio
import time
from contextlib import closing
from functools import partial

import numpy as np

from course_app.measure.probes.postgres import PostgresProbe

TIMES = 20
QUERY = "SELECT id, name, email FROM users WHERE id = 7"


async def connect_and_ask(login: dict[str, str]) -> None:
    conn = await asyncpg.connect(lab.postgres_dsn, **login)
    await conn.fetchrow(QUERY)
    await conn.close()


async def block(call, postgres: PostgresProbe) -> list[float]:
    """Milliseconds of one call: how long it takes, CPU of this process, CPU of PostgreSQL."""
    postgres.start()
    began, cpu_began = time.perf_counter(), time.process_time()
    for _ in range(TIMES):
        await call()
    took, cpu = time.perf_counter() - began, time.process_time() - cpu_began
    counted = {reading.name: reading.value for reading in postgres.stop()}
    return [
        1e3 * took / TIMES,
        1e3 * cpu / TIMES,
        counted.get("PostgreSQL CPU", np.nan) / TIMES / 1e3,
    ]


# %%
async def in_turns(rounds: int) -> dict[int, np.ndarray]:
    """By login (0: the open connection), an array of rounds x 3 clocks."""
    pool = asyncpg.create_pool(lab.postgres_dsn, min_size=1, max_size=1)
    with closing(PostgresProbe(lab.postgres_dsn)) as postgres:
        async with pool:
            ways = {n: partial(connect_and_ask, login) for n, login in LOGINS.items()}
            ways[0] = partial(pool.fetchrow, QUERY)
            seen = {n: [] for n in ways}
            for number in range(rounds):
                for n in list(ways) if number % 2 else reversed(ways):
                    seen[n].append(await block(ways[n], postgres))
    return {n: np.array(each) for n, each in seen.items()}


clocks = asyncio.run(in_turns(8))

# %% [markdown]
# Each part is a difference between two ways in the same round. (CPU can be more than the time that
# passes, and waiting less than nothing: PostgreSQL's process ends while the client goes on.)

# %%
from course_app.measure.statistics import mean_interval
from course_app.plots import Dot, plot_dots, plot_lines

least = min(LOGINS)
dear, cheap_login, pool_call = (clocks[n] for n in (4096, least, 0))
in_all, in_app, in_postgres = (dear - pool_call).T
parts = {
    "together": in_all,
    "PostgreSQL: a process and its session": (cheap_login - pool_call)[:, 2],
    "the app: messages, objects, a socket": (cheap_login - pool_call)[:, 1],
}
if least != 4096:
    _, parts["the app: hashing"], parts["PostgreSQL: hashing"] = (dear - cheap_login).T
parts["waiting in between"] = in_all - in_app - in_postgres
parts = {name: mean_interval(values) for name, values in parts.items()}
plot_dots(
    [Dot(name, part) for name, part in parts.items()],
    x_label="what a new connection adds to a query, ms",
    unit="ms",
    title=f"On one machine a connection takes {parts['together']:significant} ms, and "
    f"{mean_interval(in_app + in_postgres):significant} ms of CPU",
)

# %%
HALF = {
    True: "over half of it",
    False: "less than half of it",
    None: "whether over half, cannot be told",
}
share = mean_interval((in_app + in_postgres) / in_all)
print(f"CPU is {share:.0%} of what a connection adds here: {HALF[share.above(0.5)]}.")
if "the app: hashing" in parts:
    here, there = parts["the app: hashing"], parts["PostgreSQL: hashing"]
    costs = {True: "costs CPU", False: "saves CPU", None: "cannot be told from nothing"}
    print(f"Hashing {costs[here.above(0)]} in the app: {here:.2f} ms,", end=" ")
    print(f"and {costs[there.above(0)]} in PostgreSQL: {there:.2f} ms")

# %% [markdown]
# The 4,096 rounds are the client's: PostgreSQL has stored their result, and an app that connects
# computes it anew each time, on the thread of its event loop, where everybody waits for it.
#
# ## The round trips
#
# An app connects with a password, asks for one user, and hangs up. How many round trips to
# PostgreSQL does that take?

# %%
guess_trips = lab.predict(..., "round trips to connect, ask, and hang up")

# %% [markdown]
# The last row of the figure is what remains for waiting for messages on one machine. To see what it
# means elsewhere, the same through the whole app: with PostgreSQL on this machine, and then as if
# each round trip to it took 1 ms longer, as to a database in another building. Requests come one at
# a time here, so that none waits for another: do not expect the factor from above. (That takes one
# thing more. A dependency ends when its answer has been sent, and would hang up on the next
# request's time; with `scope="function"` it ends before.)


# %%
def all_ways() -> dict[str, FastAPI]:
    ways = {f"connect, {n} x hashed": login for n, login in LOGINS.items()}
    connect = {name: connecting("function", **login) for name, login in ways.items()}
    return {**connect, "pool": pooled()}


away = {}
for ms in (0, 1):
    with lab.network_delay(ms):
        away[ms] = lab.compare_requests(all_ways(), one_user, metric="p50", at_least=1.5)
away[0]


# %%
def latency(name: str, ms: float) -> tuple[float, float, float, float]:
    found = away[ms][name].interval("p50")
    return ms, found.estimate, found.low, found.high


near, far = (away[ms].speedup("pool") for ms in (0, 1))
plot_lines(
    {name: [latency(name, ms) for ms in (0, 1)] for name in all_ways()},
    x_label="added to each round trip to PostgreSQL, ms",
    y_label="median latency, ms\n(bars: 99 % intervals)",
    y_log=False,
    title=f"A pool is {near.times} as fast here, {far.times} with 1 ms to PostgreSQL",
)

# %% [markdown]
# Compare the lines in milliseconds: each round trip that connecting adds pulls them further apart.
# The ratio need not grow, because the pool's own round trips become longer, too. (Left and right
# were measured one after the other, so a change of the machine between them shifts all lines.)
#
# A wire tap, a proxy that counts, between app and PostgreSQL tells how many **round trips** there
# are.

# %%
with lab.wire_tap() as tap:
    counted = {
        name: tap.count(app, one_user)
        for name, app in {"connect, 4096 x hashed": connecting(), "pool": pooled()}.items()
    }
for name, wire in counted.items():
    before, after = (away[ms][name].interval("p50") for ms in (0, 1))
    print(f"{name}: {wire.round_trips:.1f} round trips; {before:.1f} ms, {after:.1f} ms with 1 ms")
print(guess_trips.against(round(counted["connect, 4096 x hashed"].round_trips, 1)))

# %% [markdown]
# Connecting with a password takes several round trips: TLS offered and declined, start-up, and the
# messages of SCRAM. Then the query is prepared and run. On a pooled connection the statement is
# prepared already: one round trip for the query, and one in which the pool resets the connection
# when it comes back.
#
# (The farewell counts as one: asyncpg waits until PostgreSQL hangs up. TCP's handshake is waited
# for and not counted. The lines may rise by more than 1 ms for each: what delays the messages needs
# some CPU as well.)
#
# So a connection costs CPU, the app's and PostgreSQL's, wherever they run; and the farther away the
# database is, the more of it is round trips. A pool saves both.
#
# ## How large should the pool be?
#
# The guide says `min_size=5, max_size=20`, without a reason. We try 1 to 32 connections for 32
# concurrent clients, and two queries: the cheap one from above, and one in which PostgreSQL
# waits 10 ms, as for a lock, a disk, or a slow replica.
#
# How many times as many of the cheap ones per second does the app do with 16 connections as with
# one?

# %%
guess_size = lab.predict(..., "times as many cheap queries with 16 connections as with one")


# %%
def pool_of(size: float) -> FastAPI:
    app = pooled(int(size))

    @app.get("/waiting")
    async def waiting():
        await app.pool.execute("SELECT pg_sleep(0.010)")

    return app


sizes = lab.sweep(
    {"cheap query": pool_of, "query that waits 10 ms": pool_of},
    {"cheap query": one_user, "query that waits 10 ms": get("/waiting")},
    parameter="pool size",
    values=[1, 4, 16, 32],
    concurrency=32,
)

# %%
NO_LIMITS = (float("nan"), float("nan"))
cheap = sizes.growth("cheap query", 1, 16)
waiting = sizes.growth("query that waits 10 ms", 1, 16)
lines = {
    name: [(p.value, p.middle("throughput"), *p.span("throughput")) for p in points]
    for name, points in sizes.series.items()
}
lines["pool size / 10 ms"] = [(n, n / 0.010, *NO_LIMITS) for n in sizes.values]
print(guess_size.against(cheap))
plot_lines(
    lines,
    x_label="connections in the pool",
    y_label="throughput, requests/s\n(bars: lowest and highest of 3 windows)",
    title=f"16 connections do {waiting.times} as much as one if the query waits, else {cheap}",
    x_log=True,
    y_log=True,
    laws=["pool size / 10 ms"],
)

# %% [markdown]
# Two different laws. A query that **waits** obeys Little's law: a pool of `n` connections, each
# busy for 10 ms, cannot do more than `n / 0.010` queries per second: the thin line. A query that
# **works** needs CPU: in PostgreSQL, which has all cores, and in the app, whose one event loop has
# one. More connections than keep the first of them busy cannot make it quicker, and may make it
# slower: below, *slower* and *helps* mean by a tenth or more. The same CPU is a ceiling for the
# query that waits, too.


# %%
from course_app.measure.statistics import Interval


def in_words(more: Interval) -> str:
    """1.1 times as much is the least that pays for more connections."""
    if more.below(1 / 1.1):
        return "more makes it slower"
    answers = {True: "more still helps", False: "more does not help"}
    return answers.get(more.above(1.1), "cannot tell")


for name in sizes.series:
    alone, more = sizes.growth(name, 16, 1), sizes.growth(name, 16, 32)
    print(f"{name}: one connection does {alone} of what 16 do")
    print(f"  from 16 to 32: {more}, {in_words(more)}")
sizes

# %% [markdown]
# Size a pool by how long its connections are held, not by how many users there are. Little's law:
# requests per second times the seconds for which each **holds** a connection are in use on
# average. That is the least, not the size: a pool that is always busy has a queue that grows
# without end. Take so many that at your peak about 70 % are in use, and then watch how long
# `acquire` waits.
#
# ## What holds a connection
#
# A handler fetches a text over a connection that a dependency with `yield` lends it from a pool of
# four, and streams it to its client for 25 ms. Sixteen clients download at once: how many
# times as fast will it be if the connection goes back as soon as the handler returns?

# %%
guess_held = lab.predict(..., "times as fast with a connection that the handler gives back")

# %% [markdown]
# Not the query alone holds a connection. Since FastAPI 0.118 the code after `yield` runs when the
# answer **has been sent**, so that a streamed answer may still use what was yielded. (Where a table
# above counts more requests in flight than clients, some are closing their connections after their
# answers.) A client on a slow link then holds a connection for as long as it downloads.
# `scope="function"`, since 0.121, gives it back when the handler returns. Here the download takes
# 25 ms:

# %%
from fastapi.responses import StreamingResponse


async def slowly(text: str):
    await asyncio.sleep(0.025)
    yield text


# %%
def downloads(scope: str) -> FastAPI:
    app = pooled(4)

    async def connection():
        async with app.pool.acquire() as conn:
            yield conn

    @app.get("/posts/{post_id}")
    async def download(
        post_id: int, conn: Annotated[asyncpg.Connection, Depends(connection, scope=scope)]
    ):
        text = await conn.fetchval("SELECT body FROM posts WHERE id = $1", post_id)
        return StreamingResponse(slowly(text))

    return app


# %%
held = lab.compare(
    {"held until sent": downloads("request"), "scope=function": downloads("function")},
    get("/posts/{post_id}", post_id=uniform(1, lab.posts)),
    concurrency=16,
    at_least=2,
    most_rounds=8,
)
print(guess_held.against(held.speedup()))
held.plot(
    title=f"A connection given back by the handler: {held.speedup().times} as fast",
    predicted=guess_held,
    counters=[],
)

# %% [markdown]
# The pool of 4 lets four downloads run at a time, or all of them. Where an answer does not need
# the connection any more, say so.
#
# Try it yourself: choose a pool and a number of clients, press **Measure**, and see whether you
# find a better pair. (Where nobody can press it, you see three pairs. Each is measured once: its
# interval is from within that run, and the next run of the same pair may lie outside of it.)

# %%
from course_app.explore import explore


def try_out(pool_size: int, clients: int):
    app = pooled(pool_size)
    return lab.measure(app, one_user, concurrency=clients, seconds=0.8, name="your choice")


explore(try_out, pool_size=[1, 2, 4, 8, 16, 32], clients=[1, 4, 16, 64])

# %% [markdown]
# ## When it hurts
#
# **A second connection while holding the first.** With a pool of two and two requests that each
# want two connections, both hold one and wait for the other's. Forever, unless `acquire` has a
# time-out.


# %%
async def two_requests_at_once(pool_size: int) -> str:
    async with asyncpg.create_pool(lab.postgres_dsn, min_size=1, max_size=pool_size) as pool:
        both_hold_one = asyncio.Barrier(2)

        async def request():
            async with pool.acquire():
                await both_hold_one.wait()
                async with pool.acquire(timeout=0.5):
                    return "served"

        return str(await asyncio.gather(request(), request(), return_exceptions=True))


for pool_size in (2, 3):
    print(f"pool of {pool_size}:", asyncio.run(two_requests_at_once(pool_size)))

# %% [markdown]
# **Pools times workers.** Each worker process has a pool of its own. PostgreSQL accepts 100
# connections by default and keeps three of them for superusers. With `max_size=20`, five workers
# are enough to be turned away. We log in as an ordinary role, as an app should:


# %%
async def connect_until_refused(**login: str) -> str:
    connections = []
    try:
        while len(connections) < 150:
            connections.append(await asyncpg.connect(lab.postgres_dsn, **login))
        return f"{len(connections)} connections, none refused"
    except asyncpg.TooManyConnectionsError as error:
        return f"{len(connections)} connections, then: {error}"
    finally:
        await asyncio.gather(*(conn.close() for conn in connections))


print(asyncio.run(connect_until_refused(**LOGINS[min(LOGINS)])))

# %% [markdown]
# (Whatever is open already counts, too; the lab itself has one.) If a sentence follows the number,
# it is one of two that you may read in production. The other, *sorry, too many clients already*,
# comes when the three for superusers are taken as well.
#
# ## The verdicts

# %% jupyter={"source_hidden": true}
sessions = {side.name: side.counts["PostgreSQL sessions"] for side in comparison.variants}
lab.verdict(
    9,
    "wrong",
    "It awaits properly, but every request pays for a new session: with CPU on both sides, and "
    "across a network with round trips as well.",
    {
        "the pool is at least 3 times as fast": comparison.faster(at_least=3),
        "connecting costs one session per request": 0.9 < sessions["connect per request"] < 1.1,
        "with a pool the app needs less than half the CPU": (
            comparison.speedup(metric="cpu").above(2)
        ),
        "connecting takes at least twice the round trips": (
            counted["connect, 4096 x hashed"].round_trips >= 2 * counted["pool"].round_trips
        ),
    },
    evidence=comparison,
)

# %% jupyter={"source_hidden": true}
lab.verdict(
    10,
    "holds",
    "No request opens a connection any more.",
    {
        "the pool is at least 3 times as fast": comparison.faster(at_least=3),
        "the pool opens no session per request": sessions["pool"] < 0.1,
    },
    evidence=comparison,
)

# %% jupyter={"source_hidden": true}
lab.verdict(
    11,
    "holds when",
    "No size suits all: queries that wait want as many connections as are held at once, cheap "
    "ones gain less than 4 times from sixteen, and every worker multiplies the number.",
    {
        "16 connections do more than 4 times as much as one if the query waits": waiting.above(4),
        "they do less than 4 times as much if it does not": cheap.below(4),
    },
    number=f"16 connections against one: {waiting} if the query waits, {cheap} if not",
)

# %% jupyter={"source_hidden": true}
lab.verdict(
    "T6",
    "holds",
    "A connection is expensive to make: keep it, and bound how many there are.",
    {"the pool is at least 3 times as fast": comparison.faster(at_least=3)},
    evidence=comparison,
)

# %% [markdown]
# ## What to take away
#
# - Open connections when the app starts, in its lifespan; borrow them per request. It saves
#   the CPU of connecting on both sides, and its round trips.
# - Count sessions (`pg_stat_database.sessions`). A number that grows with the requests is the
#   finding, whatever the clock says.
# - Size a pool by Little's law: requests per second x seconds that each holds a connection is the
#   least. Add headroom, and check workers x pool size against `max_connections`.
# - A dependency with `yield` holds what it opened until the answer is sent. `scope="function"`
#   gives it back when the handler returns.
# - Give `acquire` a time-out, and never hold one connection while you wait for another.
#
# Next: [the exercise](../exercises/04_connection_pooling.ipynb). You get an app that connects
# per request and turn it into one that does not, also when 100 clients come at once.
#
# ## Read more
#
# - [About Pool Sizing](https://github.com/brettwooldridge/HikariCP/wiki/About-Pool-Sizing), by the
#   makers of a pool for Java: why a small one with a queue does more than a large one, and how
#   many connections keep nested `acquire`s from waiting for each other.
# - A. Freund, [Measuring the Memory Overhead of a Postgres Connection][ram], 2020: what a
#   connection costs while it is kept, and why `top` says too much.
# - J. D. C. Little, [A Proof for the Queuing Formula: L =
#   λW](https://doi.org/10.1287/opre.9.3.383), Operations Research 9 (3), 1961: the law.
# - [Dependencies with
#   yield](https://fastapi.tiangolo.com/tutorial/dependencies/dependencies-with-yield/) in
#   FastAPI's documentation: when the code after `yield` runs.
#
# [ram]: https://blog.anarazel.de/2020/10/07/measuring-the-memory-overhead-of-a-postgres-connection/
#
# **From the field.** At 13:24 UTC on 11 December 2020 Python Discord's site, API and moderation
# stood still. PostgreSQL had reached 100 clients and told everybody else "sorry, too many clients
# already". The cause was never proven; the suspect was the site, as connections of its earlier
# deployments were still open. Since then an alarm rings at more than 32 connections from the site
# or 90 in all ([their
# post-mortem](https://docs.pydis.wtf/post-mortems/2020/12/11/postgres-connection-surge.html)).
