# %% [markdown]
# # 03 - Client libraries
#
# The guide ends its section on async with a shopping list: asyncpg or SQLAlchemy 2 for
# PostgreSQL, Motor for MongoDB, aioredis for Redis, httpx or aiohttp for calls to other services.
# Take these, it says, and your handlers are fast.
#
# Two names on that list are history by now, a third goes on under another one, one is not a rival
# of its neighbour but a layer above it, and for two it matters *how* you use them, not only which
# one you take. It takes less than a minute of measuring to see which is which.

# %% [markdown]
# ## Do you remember?
#
# <details><summary>A library blocks, and there is no other. Does the handler that calls it become
# <code>def</code> or <code>async def</code>?</summary>
#
# `def`. FastAPI then runs it in a worker thread, where it may stand still. In `async def` it would
# run on the event loop, and every other request of the process would wait with it.
#
# </details>
#
# <details><summary>All handlers of a service are plain <code>def</code>. It answers well while 30
# slow requests are under way, and badly with 60, even where the quick ones are concerned, though
# its CPU is nearly idle. Which limit do you look at first?</summary>
#
# The threads. There are 40 for all `def` handlers together, so a quick one queues behind slow
# ones. Raise the limit knowingly, or await what the slow ones wait for.
#
# </details>
#
# <details><summary>Lesson 01: somebody compares two servers by a loop around httpx, and finds both
# equally fast. What do you ask first?</summary>
#
# How busy the client was. If it cannot ask faster than the slower of the two answers, both figures
# are the speed of the client.
#
# </details>

# %%
from course_app.lab import Lab

lab = Lab("03")

# %% [markdown]
# ## Your prediction
#
# The same user is read by primary key, over a connection that is open already: once by asyncpg
# alone, and once by a session of SQLAlchemy's ORM, which makes objects of rows and uses asyncpg
# underneath. How many times as long does the second take? Write your guess in place of the dots.

# %%
guess = lab.predict(..., "times as long by way of the ORM")

# %% [markdown]
# ## Eight ways to ask PostgreSQL
#
# We leave FastAPI out for a moment and call the libraries directly. Each client opens one
# connection, hands out a function that fetches users as dictionaries, and closes what it opened.
# `count` is the number of rows.
#
# First the two drivers (libraries that speak the database's protocol) that wait with `await`.
# asyncpg is here twice, the second time without its cache of prepared statements, which are
# queries that PostgreSQL keeps parsed. Behind some poolers, programs that share few connections
# among many clients, one has to run it so:

# %%
from contextlib import asynccontextmanager

import asyncpg
import psycopg
from psycopg.rows import dict_row


def users(count):
    return f"SELECT id, name, email FROM users WHERE id {'=' if count == 1 else '<='} "


@asynccontextmanager
async def by_asyncpg(count, **settings):
    connection = await asyncpg.connect(lab.postgres_dsn, **settings)

    async def fetch():
        return [dict(row) for row in await connection.fetch(users(count) + "$1", count)]

    yield fetch
    await connection.close()


@asynccontextmanager
async def by_psycopg_async(count):
    connect = psycopg.AsyncConnection.connect
    async with await connect(lab.postgres_dsn, autocommit=True, row_factory=dict_row) as connection:

        async def fetch():
            return await (await connection.execute(users(count) + "%s", [count])).fetchall()

        yield fetch


# %% [markdown]
# Then the two that block: psycopg 3 without `await`, and psycopg2, its predecessor from 2006.
# One call after another, nobody else waits, so here blocking does no harm.

# %%
import psycopg2
from psycopg2.extras import RealDictCursor


@asynccontextmanager
async def by_psycopg(count):
    with psycopg.connect(lab.postgres_dsn, autocommit=True, row_factory=dict_row) as connection:

        async def fetch():
            return connection.execute(users(count) + "%s", [count]).fetchall()

        yield fetch


@asynccontextmanager
async def by_psycopg2(count):
    connection = psycopg2.connect(lab.postgres_dsn, cursor_factory=RealDictCursor)
    connection.autocommit = True

    async def fetch():
        with connection.cursor() as cursor:
            cursor.execute(users(count) + "%s", [count])
            return cursor.fetchall()

    yield fetch
    connection.close()


# %% [markdown]
# SQLAlchemy is not a driver. It is a layer above one, in two storeys: *core* builds SQL and reads
# rows, the *ORM* makes an object of every row and watches it for changes. Core is here twice: once
# as one uses it, and once with a connection that stays and no transaction, as the drivers have it.

# %%
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]


def new_engine():
    dsn = lab.postgres_dsn.replace("postgresql:", "postgresql+asyncpg:")
    return create_async_engine(dsn, pool_size=1, max_overflow=0)


def wanted(count):
    return User.id == 1 if count == 1 else User.id <= count


# %%
@asynccontextmanager
async def by_core(count):
    engine = new_engine()

    async def fetch():
        async with engine.connect() as connection:
            rows = await connection.execute(select(User.__table__).where(wanted(count)))
            return [dict(row) for row in rows.mappings()]

    yield fetch
    await engine.dispose()


@asynccontextmanager
async def by_core_held(count):
    engine = new_engine()
    async with engine.connect() as connection:
        held = await connection.execution_options(isolation_level="AUTOCOMMIT")

        async def fetch():
            rows = await held.execute(select(User.__table__).where(wanted(count)))
            return [dict(row) for row in rows.mappings()]

        yield fetch
    await engine.dispose()


# %%
@asynccontextmanager
async def by_orm(count):
    engine = new_engine()

    async def fetch():
        async with AsyncSession(engine) as session:
            found = await session.scalars(select(User).where(wanted(count)))
            return [{"id": u.id, "name": u.name, "email": u.email} for u in found]

    yield fetch
    await engine.dispose()


# %% [markdown]
# ## One row
#
# All eight hold their connection open and take turns in blocks of some milliseconds. asyncpg is the
# measure; the others are given as multiples of its time. (In the table the time of a call is a
# median, its CPU a mean: a few calls that cost much more than the rest raise only the second.)
#
# psycopg 3 is among them without `await` and with it, one call after another while nobody else
# waits. How many times as long does a call take with `await`?

# %%
guess_await = lab.predict(..., "times as long by psycopg 3 with await")

# %%
from functools import partial

CLIENTS = {
    "asyncpg": by_asyncpg,
    "asyncpg, nothing prepared": partial(by_asyncpg, statement_cache_size=0),
    "psycopg 3": by_psycopg,
    "psycopg 3, async": by_psycopg_async,
    "psycopg2": by_psycopg2,
    "core, held connection": by_core_held,
    "SQLAlchemy core": by_core,
    "SQLAlchemy ORM": by_orm,
}


def fetching(count):
    return {name: partial(client, count) for name, client in CLIENTS.items()}


one_row = lab.compare_calls(fetching(1), "one user by primary key")
one_row

# %%
orm, psycopg2_one = one_row.cost("SQLAlchemy ORM"), one_row.cost("psycopg2")
print(guess.against(orm))
one_row.plot(
    title=f"One row: the ORM takes {orm.times} as long as asyncpg, psycopg2 {psycopg2_one}",
    predicted=guess,
    counters=["SQL statements per call"],
)

# %% [markdown]
# ## The cause
#
# Compare the statements per call. A driver on autocommit, where each statement is a transaction of
# its own, sends one. SQLAlchemy opens a transaction around it and rolls it back when it gives the
# connection to its pool: two more statements, two more round trips (a question to PostgreSQL and
# its answer). How much of a call is that, and how much is Python: building the query, finding its
# compiled form in a cache, making objects?

# %%
import numpy as np

from course_app.measure.statistics import mean_interval, speedup_interval


def share_of_cpu(name: str) -> str:
    """The CPU of this process as a share of the mean time of a call, with its interval."""
    rounds = one_row[name].rounds
    share = mean_interval(np.log(rounds["cpu"] * rounds["throughput"] / 1e6)).exp()
    return f"CPU of the client is {share:.0%} of the time"


for name in ("asyncpg", "core, held connection", "SQLAlchemy core", "SQLAlchemy ORM"):
    cost = f"{one_row.cost(name).times} as long as asyncpg" if name != "asyncpg" else "the measure"
    print(f"{name}: {cost}, {share_of_cpu(name)}")

# %%
blocking, waiting = "psycopg 3", "psycopg 3, async"
of_await = speedup_interval(one_row.log_ratios(blocking) - one_row.log_ratios(waiting))
MORE = {True: "takes longer", False: "is quicker", None: "cannot be told apart"}
print(f"psycopg 3 with await against without: {of_await.times} as long; {MORE[of_await.above(1)]}")
print(guess_await.against(of_await))

# %% [markdown]
# Between asyncpg and core on a held connection there is only Python; in core as one uses it, the
# pool and the transaction come in addition; in the ORM, objects. And `await` is not there to make a
# call faster: the last line says what it does to one when nobody else is waiting.
#
# ## What is unequal
#
# Is this comparison fair? The rows are the same, each has one open connection, all hand out
# dictionaries, and they take turns. The rest is theirs, and a wire tap, a proxy that counts what
# passes between client and database, shows some of it. The difference between 20 calls and 10 is
# what ten calls send, when all is warm:

# %% jupyter={"source_hidden": true}
import asyncio


async def calls(client, number: int) -> None:
    async with client() as fetch:
        for _ in range(number):
            await fetch()


def ten_calls(client) -> list[float]:
    """Round trips, bytes up and bytes down of one call, once ten were made."""
    ten, twenty = (tap.during(lambda n=n: asyncio.run(calls(client, n))) for n in (10, 20))
    kinds = ("round_trips", "bytes_up", "bytes_down")
    return [(getattr(twenty, kind) - getattr(ten, kind)) / 10 for kind in kinds]


with lab.wire_tap() as tap:
    on_the_wire = {name: ten_calls(client) for name, client in fetching(1).items()}
for name, (trips, up, down) in on_the_wire.items():
    print(f"{name}: round trips {trips:.0f}, {up:.0f} bytes up, {down:.0f} bytes down")

# %% [markdown]
# Read a comparison of libraries with this list beside it:
#
# - **Transactions.** On autocommit a driver sends one statement; SQLAlchemy by default three:
#   BEGIN, the query, and ROLLBACK when the connection goes back to its pool.
# - **Prepared statements.** asyncpg prepares at the first call, psycopg 3 after the fifth. psycopg2
#   sends the text each time, and PostgreSQL parses and plans it each time. Without a prepared
#   statement asyncpg makes another round trip.
# - **Format.** asyncpg, and with it SQLAlchemy, gets its values in binary, and the columns' names
#   once, when it prepares. psycopg2 and psycopg 3 get the names each time (look at the bytes down),
#   and the values as text, which they convert.
# - **What a row is.** Dictionaries for all here, and not made alike: psycopg2's `RealDictCursor`
#   fills them cell by cell in Python, so its figure is that of driver and row class together. A
#   `Record`, a tuple or a namedtuple is other work.
# - **Pools.** asyncpg's resets a connection when it comes back (a round trip). psycopg2's only
#   rolls back a transaction that is still open: nothing on autocommit. Where their sizes differ, it
#   is the sizes that you compare.
# - **What is compiled.** psycopg without its extra `binary` or `c` is pure Python.
# - **The loop.** Drivers that wait use uvloop here, another event loop; those that block need none.
#
# The exercise of this lesson is such a comparison.
#
# ## A thousand rows
#
# With more rows the cost of a call counts for less, and the cost of a row for more.

# %%
many_rows = lab.compare_calls(fetching(1000), "1000 users")
many_rows

# %%
psycopg2_many, orm_many = many_rows.cost("psycopg2"), many_rows.cost("SQLAlchemy ORM")
many_rows.plot(
    title=f"1000 rows: psycopg2 takes {psycopg2_many.times} as long as asyncpg, the ORM {orm_many}",
    counters=["SQL statements per call", "rows per call"],
)

# %%
print("Times as long as asyncpg for one row, and for 1000:")
for name in list(CLIENTS)[1:]:
    one, many = one_row.cost(name), many_rows.cost(name)
    apart = one.low > many.high or one.high < many.low
    print(f"{name}: {one}, {many}: {'it depends on the rows' if apart else 'cannot tell'}")

# %% [markdown]
# Never trust a benchmark of drivers that does not say how many rows it read. The layer above the
# driver is a choice of its own: an object for each row is made for changes that are saved, not for
# JSON that is sent at once.
#
# ## Must it be an async driver?
#
# PostgreSQL waits 50 ms, as for a slow report, and 20 clients ask for it all the time: either an
# `async def` with asyncpg or a plain `def` with psycopg2, which blocks. How many times as many
# requests per second does asyncpg do?

# %%
guess_driver = lab.predict(..., "times as many requests by asyncpg, 20 at once")

# %% [markdown]
# A handler written with plain `def` runs in a thread, of which there are 40. There psycopg2 may
# block as it likes. We raise the number of clients. Both pools are open before the clock starts,
# and as large as their handlers can use: one connection for each request, or for each of the 40
# threads.

# %%
from fastapi import FastAPI
from psycopg2.pool import ThreadedConnectionPool

WAIT = "SELECT pg_sleep(0.050)"


def awaiting(at_once: int) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI):
        async with asyncpg.create_pool(
            lab.postgres_dsn, min_size=at_once, max_size=at_once
        ) as app.pool:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/report")
    async def report():
        await app.pool.execute(WAIT)

    return app


# %%
def threaded(at_once: int) -> FastAPI:
    size = min(at_once, 40)

    @asynccontextmanager
    async def lifespan(app: FastAPI):
        app.pool = ThreadedConnectionPool(size, size, lab.postgres_dsn)
        yield
        app.pool.closeall()

    app = FastAPI(lifespan=lifespan)

    @app.get("/report")
    def report():
        connection = app.pool.getconn()
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(WAIT)
        finally:
            app.pool.putconn(connection)

    return app


# %%
drivers = lab.sweep(
    {"asyncpg": awaiting, "psycopg2 in def": threaded},
    "/report",
    parameter="requests at once",
    values=[10, 20, 40, 80],
    concurrency=None,
    rounds=4,
)
few = drivers.growth("psycopg2 in def", 10, 40)
beyond = {name: drivers.growth(name, 40, 80) for name in drivers.series}

# %% jupyter={"source_hidden": true}
from course_app.plots import plot_lines

lines = {
    name: [(p.value, p.middle("throughput"), *p.span("throughput")) for p in points]
    for name, points in drivers.series.items()
}
lines["40 threads / 50 ms"] = [(n, min(n, 40) / 0.050, np.nan, np.nan) for n in drivers.values]
plot_lines(
    lines,
    x_label="requests at once",
    y_label="throughput, requests/s\n(bars: lowest and highest of a point's windows)",
    title=f"From 40 to 80 at once: asyncpg {beyond['asyncpg']}, in def {beyond['psycopg2 in def']}",
    x_log=True,
    y_log=True,
    laws=["40 threads / 50 ms"],
)

# %%
for at_once in drivers.values:
    ratio = drivers.ratio("asyncpg", "psycopg2 in def", at_once)
    print(f"{at_once:3.0f} requests at once: asyncpg does {ratio.times} as many")
print(guess_driver.against(drivers.ratio("asyncpg", "psycopg2 in def", 20)))

# %% [markdown]
# A thread waits for a database just as a coroutine does, as long as there are threads (what asyncpg
# gains up to 40, if anything, the first lines above tell; these are ratios of a sweep, which hold
# with 90 %, not with 99 %): 40 of them, each busy for 50 ms, cannot do more than 800 requests per
# second, however many ask. If your service never has that many requests in flight, look at the rows
# up to 40 before you rewrite its database code with `await`.
#
# ## Calls to other services
#
# For HTTP the guide names httpx and aiohttp. Here is a service of our own in another process, and
# four apps that pass its answer on: with each library, once with a client that lives as long as
# the app, and once with a new one for each request.
#
# A new httpx client for each request, instead of a shared one: how many times the CPU does a
# request of the app take then? (It is plain `http`, to the same machine.)

# %%
guess_client = lab.predict(..., "times the CPU with a new httpx client for each request")

# %%
from course_app.serving import ProcessServer

upstream = ProcessServer("course_app.apps.hello:app")


def relay(make_client, fetch, *, shared: bool, url: str = upstream.url) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI):
        async with make_client() as app.client:
            yield

    app = FastAPI(lifespan=lifespan if shared else None)

    @app.get("/relay")
    async def answer():
        if shared:
            return await fetch(app.client, f"{url}/hello")
        async with make_client() as client:
            return await fetch(client, f"{url}/hello")

    return app


# %%
import aiohttp
import httpx


async def fetch_httpx(client, url):
    return (await client.get(url)).json()


async def fetch_aiohttp(session, url):
    async with session.get(url) as response:
        return await response.json()


def relays(url):
    by_httpx = partial(relay, httpx.AsyncClient, fetch_httpx, url=url)
    by_aiohttp = partial(relay, aiohttp.ClientSession, fetch_aiohttp, url=url)
    return {
        "httpx, new for each request": by_httpx(shared=False),
        "httpx, shared": by_httpx(shared=True),
        "aiohttp, new for each request": by_aiohttp(shared=False),
        "aiohttp, shared": by_aiohttp(shared=True),
    }


# %% [markdown]
# The measure is the CPU that a request costs our app, because that is what a client library
# spends. The service's own work is in another process and does not count.

# %%
http = lab.compare_requests(relays(upstream.url), "/relay")
http

# %%
with lab.wire_tap(upstream=upstream.url) as tap:
    wires = {
        name: tap.count(app, "/relay", server="upstream")
        for name, app in relays(tap.url("upstream")).items()
    }
for name, wire in wires.items():
    print(f"{name}: {wire}")

# %% jupyter={"source_hidden": true}
from course_app.plots import Bar, plot_bars


def dear(name: str, over: str = "httpx, shared"):
    return speedup_interval(http.log_ratios(over) - http.log_ratios(name))


costs = {name: dear(name) for name in wires if name != "httpx, shared"}
opened = {
    name: f"connections opened per request: {wire.connections:g}" for name, wire in wires.items()
}
shared_httpx = costs["httpx, new for each request"]
print(guess_client.against(shared_httpx))
plot_bars(
    [
        Bar("httpx, shared", 1.0, below=opened["httpx, shared"]),
        *(Bar(name, cost.estimate, cost, below=opened[name]) for name, cost in costs.items()),
    ],
    title=f"A new httpx client for each request takes {shared_httpx.times} the CPU of a shared one",
    unit="CPU of a request, as a multiple of",
)

# %% [markdown]
# The measure is a shared httpx client. Where shared aiohttp stands is what is left between the two
# libraries. Weigh it against all else that a request costs you before you change one for the other.
#
# A client that is made for each request opens **a TCP connection for each request**: look at the
# counts of the wire tap. (Its round trips are those of HTTP; the handshake of TCP, one more, is the
# system's and not counted.) With `https` a TLS handshake would come on top. httpx pays once more:
# every `AsyncClient()` reads the certificates of all authorities that it trusts, even if it then
# speaks plain `http`. Nothing in that can `await`, so the event loop stands still for as long.
# (That is httpx 0.28 of December 2024, the last one. `httpx2`, which carries it on, takes the
# system's certificates instead: measure it before you carry this figure over.)
# (Below 10 ms the lab still calls a loop responsive. It is the one greatest value of a run: what a
# shared client shows here has other causes, which this count does not name.)

# %%
for variant in http.variants:
    print(f"{variant.name}: the loop stood still for up to {variant.counts['max loop lag']:.1f} ms")

# %% [markdown]
# The other service has done its part. (To repeat any of this, begin where it is started.)

# %%
upstream.stop()

# %% [markdown]
# ## The verdicts

# %% jupyter={"source_hidden": true}
lab.verdict(
    5,
    "holds when",
    "Many rows take psycopg2 with RealDictCursor longer than asyncpg, and await is not why: "
    "psycopg 3, which blocks as well, is far quicker. SQLAlchemy is a layer above a driver, and "
    "its ORM takes several times the driver's time. What await is for is many requests at once; "
    "and up to 40 of them a blocking driver in def gains from more, too.",
    {
        "for 1000 rows psycopg2 takes more than 1.5 times asyncpg's time": psycopg2_many.above(1.5),
        "and more than 1.5 times that of psycopg 3, which blocks as well": (
            speedup_interval(
                many_rows.log_ratios("psycopg 3") - many_rows.log_ratios("psycopg2")
            ).above(1.5)
        ),
        "for one row the ORM takes more than 3 times asyncpg's time": orm.above(3),
        "from 10 to 40 requests at once, psycopg2 in def does more than 2 times as many": (
            few.above(2)
        ),
    },
    number=f"asyncpg's time: one row, ORM {orm}; 1000 rows, psycopg2 {psycopg2_many}",
)

# %% jupyter={"source_hidden": true}
lab.verdict(
    8,
    "holds when",
    "Share one client: one for each request opens a connection for each request, and with httpx "
    "takes several times the CPU. Shared, too, httpx takes more CPU than aiohttp.",
    {
        "a new httpx client takes more than 4 times the CPU of a shared one": (
            shared_httpx.above(4)
        ),
        "and more than 4 times that of a shared aiohttp session": (
            dear("httpx, new for each request", over="aiohttp, shared").above(4)
        ),
        "a shared httpx client takes more CPU than a shared aiohttp session": (
            dear("httpx, shared", over="aiohttp, shared").above(1)
        ),
        "a new client opens one connection per request": all(
            wires[name].connections == 1 for name in wires if "new" in name
        ),
        "a shared one opens none": all(
            wires[name].connections == 0 for name in wires if "shared" in name
        ),
    },
    evidence=shared_httpx,
)

# %% [markdown]
# ## What to take away
#
# - The layer above the driver is a choice of its own. Use the ORM where objects change and are
#   saved; read lists for JSON with core or with the driver itself.
# - A comparison of drivers has to name its rows, keep one connection for each, and take turns.
# - A blocking driver in `def` waits in a thread, and there are 40. In `async def` it stops
#   everybody.
# - Make one HTTP client in the lifespan, the code that FastAPI runs at start and end, and share
#   it. Count the connections that the other side accepts; that number tells.
# - Look at the date of a recommendation: `redis.asyncio` instead of aioredis, PyMongo's
#   `AsyncMongoClient` instead of Motor, and `httpx2` goes on where httpx ends.
#
# Next: [the exercise](../exercises/03_client_libraries.ipynb). You get a report that compares
# drivers and is unfair in several ways, and make it one that can be believed.
#
# ## Read more
#
# - [Prepared statements](https://www.psycopg.org/psycopg3/docs/advanced/prepare.html) in psycopg's
#   documentation: when a query is prepared, and how to switch that off.
# - [Performance](https://docs.sqlalchemy.org/en/20/faq/performance.html) in SQLAlchemy's: how to
#   find out whether the time goes to the database, to fetching rows or to making objects.
# - [Clients](https://www.python-httpx.org/advanced/clients/) in httpx's: what a client that is
#   shared saves.
# - [Migrate to PyMongo
#   Async](https://www.mongodb.com/docs/languages/python/pymongo-driver/current/reference/migration)
#   in PyMongo's: what to change in code for Motor, and MongoDB's own benchmark of the two.
#
# **From the field.** In May 2022 the makers of an API gateway reported that each request took 100
# ms longer, by their measurement, because httpx made an `SSLContext` for it. They had a new client
# for each request, to keep their customers apart, and the service behind it was on the same
# machine and needed no `https` at all ([issue 2298 of
# httpx](https://github.com/encode/httpx/issues/2298)).

# %% [markdown]
# ## Two names of the past
#
# What became of two names on the guide's list, each with its verdict.
#
# ### Redis: aioredis does not import any more
#
# The last aioredis is of 2021. It defines an exception with two bases that Python 3.11 made one
# and the same class, so that `import aioredis` itself fails. Here is that definition, without the
# package:

# %%
import builtins


class RedisError(Exception):
    pass


def as_aioredis_does():
    class TimeoutError(asyncio.TimeoutError, builtins.TimeoutError, RedisError):  # noqa: A001
        pass


try:
    as_aioredis_does()
    aioredis_error = ""
except TypeError as error:
    aioredis_error = f"TypeError: {error}"
print(aioredis_error or "This Python accepts it.")

# %% [markdown]
# Nothing is lost. The code moved into redis-py, the package `redis`, and lives there as
# `redis.asyncio`. It speaks to Valkey as well:

# %%
import redis.asyncio


async def greet_valkey():
    async with redis.asyncio.from_url(lab.valkey_url, decode_responses=True) as client:
        await client.set("greeting", "hello", ex=60)
        return await client.get("greeting")


greeting = asyncio.run(greet_valkey())
print(greeting)

# %% jupyter={"source_hidden": true}
lab.verdict(
    7,
    "outdated",
    "aioredis cannot be imported since Python 3.11; redis.asyncio is its continuation.",
    {
        "its exception class is refused": "duplicate base class" in aioredis_error,
        "redis.asyncio reads what it wrote": greeting == "hello",
    },
    number=aioredis_error,
)

# %% [markdown]
# ### MongoDB: Motor has retired
#
# Motor has been deprecated since May 2025 and reached its end of life in May 2026; critical bugs
# are fixed until May 2027. Its work goes on in PyMongo itself, as `AsyncMongoClient`. Motor wrapped
# the blocking PyMongo in threads; the successor waits on the event loop.
#
# Unless `COURSE_MONGODB_URL` names a MongoDB of yours, the server below is a **stand-in** that
# speaks MongoDB's wire protocol and is written in Python. Its speed says nothing about MongoDB's.
# It is the same for both clients, and these we compare.

# %%
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient, MongoClient

mongodb = lab.mongodb()
with MongoClient(mongodb.url) as client:
    client[mongodb.database].users.insert_many({"_id": i, "name": f"user {i}"} for i in range(100))
print(mongodb)

# %%
import threading

from pymongo.monitoring import CommandListener


class Threads(CommandListener):
    """The threads that send commands, other than the one that runs the event loop."""

    def __init__(self):
        self.loop, self.others = threading.current_thread(), set()

    def started(self, _event):
        self.others |= {threading.current_thread()} - {self.loop}

    def succeeded(self, _event): ...

    def failed(self, _event): ...


async def read_at_once(client, requests=50):
    users = client[mongodb.database].users
    found = await asyncio.gather(*(users.find_one({"_id": i}) for i in range(requests)))
    return [user["name"] for user in found]


async def with_pymongo():
    threads = Threads()
    async with AsyncMongoClient(mongodb.url, event_listeners=[threads]) as client:
        return await read_at_once(client), len(threads.others)


async def with_motor():
    threads = Threads()
    client = AsyncIOMotorClient(mongodb.url, event_listeners=[threads])
    found = await read_at_once(client)
    client.close()
    return found, len(threads.others)


# %%
pymongo_names, pymongo_threads = asyncio.run(with_pymongo())
motor_names, motor_threads = asyncio.run(with_motor())
print(f"50 reads at once: {motor_threads} threads for Motor, {pymongo_threads} for PyMongo")
print("same answers:", pymongo_names == motor_names)

# %% [markdown]
# Does the successor cost more? One call after another, on one connection:


# %%
@asynccontextmanager
async def by_pymongo():
    async with AsyncMongoClient(mongodb.url) as client:
        yield partial(client[mongodb.database].users.find_one, {"_id": 7})


@asynccontextmanager
async def by_motor():
    client = AsyncIOMotorClient(mongodb.url)
    yield partial(client[mongodb.database].users.find_one, {"_id": 7})
    client.close()


documents = lab.compare_calls({"Motor": by_motor, "PyMongo, async": by_pymongo}, "one document")
documents

# %% jupyter={"source_hidden": true}
lab.verdict(
    6,
    "outdated",
    "Motor's end of life was in May 2026; PyMongo's own AsyncMongoClient does the same without "
    "threads.",
    {
        "PyMongo gives the same answers": pymongo_names == motor_names,
        "Motor hands its calls to threads": motor_threads > 0,
        "PyMongo needs none": pymongo_threads == 0,
        "one call takes less than twice Motor's time": documents.cost("PyMongo, async").below(2),
    },
    number=f"threads for 50 reads: {motor_threads} and {pymongo_threads}",
)
