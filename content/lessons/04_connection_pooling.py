# %% [markdown]
# # 04 - Connection pooling
#
# The guide shows two ways to reach PostgreSQL. First, as an example of "true async": open a
# connection for each request, use it, close it. One section later: never do that, use a pool.
#
# Both cannot be good advice. In this lesson you measure how far apart they are, count what
# makes the difference, and find out how large a pool should be. It takes about a minute of
# measuring.

# %%
from course_app.lab import Lab, get, uniform

lab = Lab()

# %% [markdown]
# ## Your prediction
#
# The handler reads one user by primary key, which takes PostgreSQL about 0.05 ms. How many
# times as fast will it answer when it does not have to connect first? Change the number to
# what you believe. Being wrong now is how the result will stay in your mind.

# %%
guess = lab.predict(2, "times as fast with a pool")

# %% [markdown]
# ## A connection for each request
#
# A dependency with `yield` opens a connection before the handler runs and closes it after.
# It is correct, tidy code. `await` is where it should be.

# %%
from typing import Annotated

import asyncpg
from fastapi import Depends, FastAPI, HTTPException

per_request = FastAPI()


async def connection():
    conn = await asyncpg.connect(lab.postgres_dsn)
    try:
        yield conn
    finally:
        await conn.close()


@per_request.get("/users/{user_id}")
async def read_user(user_id: int, conn: Annotated[asyncpg.Connection, Depends(connection)]):
    row = await conn.fetchrow("SELECT id, name, email FROM users WHERE id = $1", user_id)
    if row is None:
        raise HTTPException(404, "No such user")
    return dict(row)


# %% [markdown]
# Sixteen clients ask for random users, each sending its next request as soon as it has its
# answer.

# %%
one_user = get("/users/{user_id}", user_id=uniform(1, lab.users))
lab.measure(per_request, one_user, concurrency=16, name="connect per request")

# %% [markdown]
# Look at the counts, not at the clock: **one PostgreSQL session for each request**. Behind each
# of them PostgreSQL starts a process, checks a password, and throws both away again.
#
# ## A pool
#
# The pool is opened once, when the app starts, and closed when it ends. A request borrows a
# connection and gives it back.

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
# Both apps now serve at the same time and take turns under the same requests, in windows of a
# quarter of a second: connect, pool, pool, connect, and so on. Each pair of windows gives one
# ratio. Their trimmed mean is the speed-up; how much they differ is its interval.

# %%
comparison = lab.compare(
    {"connect per request": per_request, "pool": pooled()}, one_user, concurrency=16
)
comparison

# %% tags=["readme"]
comparison.plot(predicted=guess.value, counters=["PostgreSQL sessions / request"])

# %% [markdown]
# ## The cause: round trips
#
# A wire tap between the app and PostgreSQL counts how often the app has to wait for an answer
# before it can go on. Here everything is on one machine and a round trip costs a tenth of a
# millisecond. With the database in the next building it costs ten times that, and the
# count stays the same.

# %%
with lab.wire_tap() as tap:
    counted = {
        name: tap.count(app, one_user)
        for name, app in {"connect per request": per_request, "pool": pooled()}.items()
    }
for name, wire in counted.items():
    print(f"{name}: {wire}")

# %% [markdown]
# Connecting with a password alone takes several round trips: TLS offered and declined,
# start-up, and the messages of SCRAM authentication. Then the query is prepared and run, and the
# connection is closed. On a pooled connection the statement is prepared already: one
# round trip for the query, and one in which the pool resets the connection when it comes back.
#
# ## How large should the pool be?
#
# The guide says `min_size=5, max_size=20`, without a reason. We try 1 to 32 connections for 64
# concurrent clients, and two queries: the cheap one from above, and one in which PostgreSQL
# waits 10 ms, as for a lock, a disk, or a slow replica.


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
    values=[1, 2, 4, 8, 16, 32],
    concurrency=64,
    windows=2,
)
cheap = sizes.growth("cheap query", 4, 32)
waiting = sizes.growth("query that waits 10 ms", 4, 32)
sizes.plot(
    title=f"From 4 to 32 connections: {waiting.factor} if the query waits, {cheap.factor} if not",
    x_log=True,
    y_log=True,
)

# %% [markdown]
# Two different laws. A query that **waits** obeys Little's law: a pool of `n` connections, each
# busy for 10 ms, cannot do more than `n / 0.010` queries per second, so throughput doubles with
# the pool. A query that **works** needs a core, and there are only so many; beyond a few
# connections more of them only add switching.
#
# Size a pool by how long its queries wait, not by how many users there are.

# %%
sizes

# %% [markdown]
# Try it yourself: choose a pool and a number of clients, press **Measure**, and see whether you
# find a better pair. (On a page that nobody runs you see three pairs.)

# %%
from course_app.explore import explore


def try_out(pool_size: int, clients: int):
    app = pooled(pool_size)
    return lab.measure(app, one_user, concurrency=clients, seconds=0.5, name="your choice")


explore(try_out, pool_size=[1, 2, 4, 8, 16, 32], clients=[1, 4, 16, 64])

# %% [markdown]
# ## When it hurts
#
# **A second connection while holding the first.** With a pool of two and two requests that each
# want two connections, both hold one and wait for the other's. Forever, unless `acquire` has a
# time-out.

# %%
import asyncio


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
# connections by default and keeps three of them for the administrator. With `max_size=20`, five
# workers are enough to be turned away:


# %%
async def connect_until_refused() -> str:
    connections = []
    try:
        while len(connections) < 150:
            connections.append(await asyncpg.connect(lab.postgres_dsn))
        return f"{len(connections)} connections, none refused"
    except asyncpg.TooManyConnectionsError as error:
        return f"{len(connections)} connections, then: {error}"
    finally:
        await asyncio.gather(*(conn.close() for conn in connections))


print(asyncio.run(connect_until_refused()))

# %% [markdown]
# ## The verdicts

# %%
sessions = {name: comparison[name].counts["PostgreSQL sessions"] for name in counted}
lab.verdict(
    9,
    "wrong",
    "It awaits properly and is many times slower than a pool: every request pays for a new "
    "session and its round trips.",
    {
        "the pool is at least 3 times as fast": comparison.faster(at_least=3),
        "connecting costs one session per request": 0.9 < sessions["connect per request"] < 1.1,
        "connecting takes at least twice the round trips": (
            counted["connect per request"].round_trips >= 2 * counted["pool"].round_trips
        ),
    },
    evidence=comparison,
)

# %%
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

# %%
lab.verdict(
    11,
    "holds when",
    "A pool of 5 to 20 suits queries that wait; cheap ones need only a few connections, and "
    "every worker multiplies the number.",
    {
        "from 4 to 32 connections, waiting queries gain more than 2.5x": waiting.above(2.5),
        "from 4 to 32 connections, cheap queries gain less than 2.5x": cheap.below(2.5),
    },
    number=f"4 to 32 connections: {waiting.factor} if the query waits, {cheap.factor} if not",
)

# %%
lab.verdict(
    "T6",
    "holds",
    "A connection is expensive to make and free to keep.",
    {"the pool is at least 3 times as fast": comparison.faster(at_least=3)},
    evidence=comparison,
)

# %% [markdown]
# ## What to take away
#
# - Open connections when the app starts, in its lifespan; borrow them per request. That is worth
#   more than any other line of database code in this course.
# - Count sessions (`pg_stat_database.sessions`). A number that grows with the requests is the
#   finding, whatever the clock says.
# - Size a pool by Little's law: connections = queries per second x seconds that each query holds
#   one. Then check workers x pool size against `max_connections`.
# - Give `acquire` a time-out, and never hold one connection while you wait for another.
#
# Next: [the exercise](../exercises/04_connection_pooling.ipynb). You get an app that connects
# per request and turn it into one that does not, also when 200 clients come at once.
