# %% [markdown]
# # 09 - A cache in Redis
#
# A dictionary belongs to one process. The guide's answer for an application on several machines
# is a cache server that all of them share: look there first, ask the database only if nothing is
# found, and leave the answer for the next one. This is called **cache-aside**.
#
# A shared cache is a second server to ask. In this lesson you measure when that is worth it, how
# wrong answers get into it and stay out of it, and what happens when it goes away. The server is
# Valkey, which speaks Redis's protocol. It takes less than a minute of measuring.

# %% [markdown]
# ## Do you remember?
#
# <details><summary>A popular entry expires, and twenty requests come before the new value is there.
# What do they do with the guide's dictionary, and why does single-flight need no lock?</summary>
#
# With the dictionary each of them misses, and PostgreSQL does the same work twenty times. With
# single-flight the first starts a fetch and the others wait for it. Between its look and its note
# that a fetch is under way there is no `await`, so on one event loop nobody comes in between.
#
# </details>
#
# <details><summary>Four workers keep their answers in dictionaries for a minute. A user changes a
# name and reloads the page a few times. What may the user see?</summary>
#
# The new name and then the old one again. Each worker has a copy of its own that expires at a time
# of its own, and any of them may answer. Fetches and memory, too, are multiplied by the workers.
#
# </details>
#
# <details><summary>Lesson 03: how do you find out, without a clock, that a handler makes a new
# client for each request, and where does the client belong?</summary>
#
# Count the connections that the other side accepts: one for each request is the finding. Make the
# client in the app's lifespan, and share it between all requests. The same holds for the client of
# a cache.
#
# </details>

# %%
from course_app.lab import Lab, get, uniform

lab = Lab("09")

# %% [markdown]
# ## Your prediction
#
# A handler looks up one user by primary key. How many times as fast does it answer when it finds
# the user in Valkey instead of in PostgreSQL? Write your guess in place of the dots.

# %%
guess = lab.predict(..., "times as fast from Valkey")

# %% [markdown]
# ## A cheap query and a costly one
#
# The costly one sums up a tag: its posts, their comments, and when the last of them was written.
# It has the indices that it needs (lesson 05) and still has to look at thousands of rows.

# %%
import asyncio

import asyncpg

db = asyncio.run(asyncpg.connect(lab.postgres_dsn))


def sql(statement: str) -> None:
    asyncio.run(db.execute(statement))


sql("CREATE INDEX IF NOT EXISTS tags_of_posts ON post_tags (tag_id)")
sql("CREATE INDEX IF NOT EXISTS comments_post ON comments (post_id)")
sql("ANALYZE post_tags, comments")

CHEAP = "SELECT id, name, email FROM users WHERE id = $1"
COSTLY = """
SELECT tag_id AS id, count(DISTINCT t.post_id) AS posts, count(c.id) AS comments,
    max(c.created_at) AS newest
FROM post_tags AS t LEFT JOIN comments AS c USING (post_id)
WHERE tag_id = $1 GROUP BY tag_id"""

# %%
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio as redis
from fastapi import FastAPI


def new_app(**options) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI):
        async with (
            asyncpg.create_pool(lab.postgres_dsn, min_size=8, max_size=8) as app.pool,
            redis.from_url(lab.valkey_url, **options) as app.valkey,
        ):
            yield

    return FastAPI(lifespan=lifespan)


def from_postgres(query: str) -> FastAPI:
    app = new_app()

    @app.get("/{number}")
    async def read(number: int) -> dict[str, Any]:
        return dict(await app.pool.fetchrow(query, number))

    return app


# %% [markdown]
# ## The guide's cache
#
# Its client, `aioredis`, does not run any more (lesson 03); `redis.asyncio` took its place. The
# rest is as the guide has it: `json.dumps` on the way in, `json.loads` on the way out.

# %%
import json


def as_in_the_guide(query: str, key: str) -> FastAPI:
    app = new_app()

    @app.get("/{number}")
    async def read(number: int) -> dict[str, Any] | None:
        cached = await app.valkey.get(f"{key}:{number}")
        if cached:
            return json.loads(cached)
        row = await app.pool.fetchrow(query, number)
        row = dict(row) if row else None
        await app.valkey.set(f"{key}:{number}", json.dumps(row), ex=300)
        return row

    return app


for name, query in {"cheap": CHEAP, "costly": COSTLY}.items():
    (answer,) = lab.replay(as_in_the_guide(query, f"guide:{name}"), "/7", requests=1).answers
    print(name, answer.status, answer.text)

# %% [markdown]
# The costly query returns a time, and `json.dumps` refuses it: *Object of type datetime is not
# JSON serializable*. Every miss is an error, so the cache never fills. `to_json` of pydantic
# writes what FastAPI itself would write; a hit must not look different from a miss.
#
# Here is the repaired cache, and a second one that hands the stored bytes on as they are.

# %%
from fastapi import Response
from pydantic_core import to_json


def from_valkey(query: str, key: str, written: str | None = None) -> FastAPI:
    app = new_app()

    @app.get("/{number}")
    async def read(number: int) -> dict[str, Any]:
        cached = await app.valkey.get(f"{key}:{number}")
        if cached is not None:
            return json.loads(cached)
        row = dict(await app.pool.fetchrow(query, number))
        await app.valkey.set(f"{written or key}:{number}", to_json(row), ex=300)
        return row

    return app


# %%
def bytes_from_valkey(query: str, key: str) -> FastAPI:
    app = new_app()

    @app.get("/{number}")
    async def read(number: int) -> Response:
        body = await app.valkey.get(f"{key}:{number}")
        if body is None:
            body = to_json(dict(await app.pool.fetchrow(query, number)))
            await app.valkey.set(f"{key}:{number}", body, ex=300)
        return Response(body, media_type="application/json")

    return app


def from_dictionary(query: str, rows: dict[int, dict]) -> FastAPI:
    app = new_app()  # lesson 08 says what is missing here

    @app.get("/{number}")
    async def read(number: int) -> dict[str, Any]:
        if number not in rows:
            rows[number] = dict(await app.pool.fetchrow(query, number))
        return rows[number]

    return app


# %% [markdown]
# ## The cheap query
#
# Thirty users, all of them in the caches already, so that every request is a hit. One more
# variant looks for keys that nobody writes: each request asks Valkey in vain, and then writes,
# too. One request at a time: what is compared is the length of the way.

# %%
cache = redis.from_url(lab.valkey_url)


async def warm(query: str, key: str) -> dict[int, dict]:
    rows = {number: dict(await db.fetchrow(query, number)) for number in range(1, 31)}
    for number, row in rows.items():
        await cache.set(f"{key}:{number}", to_json(row), ex=300)
    return rows


def four_ways(query: str, key: str) -> dict[str, FastAPI]:
    rows = asyncio.run(warm(query, key))
    return {
        "PostgreSQL": from_postgres(query),
        "Valkey": from_valkey(query, key),
        "Valkey, bytes": bytes_from_valkey(query, key),
        "dictionary": from_dictionary(query, rows),
    }


# %%
items = get("/{number}", number=uniform(1, 30))
cheap = lab.compare(
    {**four_ways(CHEAP, "cheap"), "Valkey in vain": from_valkey(CHEAP, "never", written="vain")},
    items,
    concurrency=1,
    most_rounds=10,
)
from_cache = cheap.speedup("Valkey")
print(guess.against(from_cache))
cheap.plot(
    title=f"By primary key, Valkey is {from_cache} times as fast, and in vain "
    f"{cheap.speedup('Valkey in vain')}".replace("x", ""),
    predicted={"Valkey": guess},
    counters=["SQL statements / request", "Valkey round trips / request"],
)

# %% [markdown]
# A cached row is not free. Valkey has to be asked, its answer travels, text becomes a dictionary
# and text again. PostgreSQL, too, finds a row by primary key in memory; what it does besides is a
# second round trip, in which the pool resets the connection (lesson 04), so part of the difference
# is the pool's. And when the entry is missing, all of that comes on top.
#
# ## The costly query

# %%
costly = lab.compare(four_ways(COSTLY, "costly"), items, concurrency=1, at_least=3, most_rounds=6)
costly.plot(
    title=f"The costly query: from Valkey {costly.speedup('Valkey')} as fast, "
    f"as bytes {costly.speedup('Valkey, bytes')}",
    counters=["SQL statements / request", "PostgreSQL CPU, µs / request"],
)

# %% [markdown]
# Same code, same cache, another query. Each hit gains the difference between the query and a look
# into the cache, and nothing else; how often the data is read only says how often you collect it.
#
# ## How cheap is too cheap?
#
# A request through the cache costs a mixture: the time of a hit, or that of a miss, which is the
# query and two round trips in vain. With `h` for the share of hits, it is cheaper than asking
# PostgreSQL directly if the query takes longer than
#
# `hit + in vain * (1 - h) / h`.

# %% [markdown]
# From which share of hits on does the cache pay for the primary key?

# %%
guess_hits = lab.predict(..., "% of hits for a primary key to be better cached")

# %% jupyter={"source_hidden": true}
import numpy as np

from course_app.measure.statistics import Interval, geometric_mean, mean_interval
from course_app.plots import plot_lines

by_key, hit, miss = (cheap[n].rounds["p50"] for n in ("PostgreSQL", "Valkey", "Valkey in vain"))
in_vain = miss - by_key  # ms, one value a round: the intervals come from the rounds
SHARES = np.array([0.2, 0.4, 0.6, 0.8, 0.9, 1.0])
break_even = {h: mean_interval(hit + in_vain * (1 - h) / h) for h in SHARES}
needed = mean_interval(100 * in_vain / (miss - hit))
takes = {
    "primary key": geometric_mean(by_key),
    "costly query": geometric_mean(costly["PostgreSQL"].rounds["p50"]),
}
print(guess_hits.against(needed))


def line(intervals: dict[float, Interval]) -> list[tuple[float, float, float, float]]:
    return [(100 * h, i.estimate, i.low, i.high) for h, i in intervals.items()]


pays = (
    f"from {needed:significant} % hits on"
    if needed.below(100) and from_cache.above(1)
    else (
        f"at no share of hits (it would be {needed:significant} %)"
        if needed.above(100)
        else f"from {needed:significant} % hits on, "
        + ("if a hit is faster at all" if needed.below(100) else "which may be never")
    )
)
plot_lines(
    {
        "break-even": line(break_even),
        **{name: line(dict.fromkeys(SHARES, ms)) for name, ms in takes.items()},
    },
    x_label="hits, %",
    y_label="a request to PostgreSQL takes, ms",
    title=f"A cache pays above its break-even: for the primary key {pays}",
    y_log=True,
    marks={needed.estimate: f"{needed:significant} %"} if 20 < needed.estimate < 100 else None,
)

# %%
print(
    f"With 80 % hits, the cache pays for what takes longer than {break_even[0.8]:.2f} ms; "
    f"the primary key takes {takes['primary key']:.2f} ms, "
    f"the costly query {takes['costly query']:.1f} ms."
)

# %% [markdown]
# (The mark in the figure is the mean of what each round says alone; the lines are means of all, and
# may cross a little beside it. Hit and miss are medians within a round, which leave out what a few
# slow requests cost.)
#
# ## Writes: how old may an answer be?
#
# Now the data changes. Three strategies: let entries **expire** (after 400 ms here), **delete**
# the entry after each write, or **stamp** it: a write sets a new stamp, and an entry counts only
# if it bears the stamp of now. The query takes 20 ms; PostgreSQL sleeps meanwhile.

# %%
import secrets

sql("DROP TABLE IF EXISTS article")
sql("CREATE TABLE article AS SELECT 0 AS version")
READ = "SELECT version FROM article, pg_sleep(0.02)"
WRITE = "UPDATE article SET version = version + 1"


def article(read_through, after_write) -> FastAPI:
    app = new_app()

    @app.get("/")
    async def read() -> Response:
        return Response(await read_through(app), media_type="application/json")

    @app.put("/", status_code=204)
    async def write() -> None:
        await app.pool.execute(WRITE)
        await after_write(app.valkey)

    return app


# %%
async def plain(app) -> bytes:
    body = await app.valkey.get("article")
    if body is None:
        body = to_json({"version": await app.pool.fetchval(READ)})
        await app.valkey.set("article", body, px=400)
    return body


async def leave(valkey) -> None: ...


async def delete(valkey) -> None:
    await valkey.delete("article")


# %% [markdown]
# For the stamp one `MGET`, a question for several keys at once, brings both, the stamp of now and
# the entry. The stamp lives longer than any entry that was made before it, and than the slowest
# read that may be under way.


# %%
async def stamped(app) -> bytes:
    stamp, entry = await app.valkey.mget("stamp", "article")
    stamp = stamp or b"none"
    if entry is not None and entry.startswith(stamp):
        return entry.removeprefix(stamp)
    body = to_json({"version": await app.pool.fetchval(READ)})
    await app.valkey.set("article", stamp + body, px=400)
    return body


async def stamp_anew(valkey) -> None:
    await valkey.set("stamp", secrets.token_hex(8), px=10_000)


STRATEGIES = {
    "expire": article(plain, leave),
    "delete": article(plain, delete),
    "stamp": article(stamped, stamp_anew),
}

# %% [markdown]
# Four readers ask all the time. A writer changes the article now and then, and sometimes twice in
# a row. An answer is **stale** if a write was acknowledged before the question was asked, and the
# answer does not show it. Its age is the time since the first such write.

# %% [markdown]
# How many of the answers are stale, in per cent, if the entry is deleted after each write?

# %%
guess_stale = lab.predict(..., "% of the answers stale, with a deletion after each write")

# %%
import time

import httpx


async def ages_ms(url: str, seconds: float = 1.4) -> list[tuple[float, float]]:
    start, written, ages = time.perf_counter(), [], []

    async def reader(client):
        while (asked := time.perf_counter() - start) < seconds:
            known = len(written)
            version = (await client.get("/")).json()["version"]
            ages.append((asked, 1e3 * (asked - written[version]) if version < known else 0.0))
            await asyncio.sleep(0.004)

    async def writer(client):
        while time.perf_counter() - start < seconds:
            for pause in (0.15, 0.15, 0.01):
                await asyncio.sleep(pause)
                await client.put("/")
                written.append(time.perf_counter() - start)

    async with httpx.AsyncClient(base_url=url) as client:
        await asyncio.gather(*(reader(client) for _ in range(4)), writer(client))
    return sorted(ages)


# %%
ages, stale = {}, {}
for name, app in STRATEGIES.items():
    sql("UPDATE article SET version = 0")
    asyncio.run(cache.delete("article", "stamp"))
    with lab.serve(app) as server:
        ages[name] = np.array(asyncio.run(ages_ms(server.url))).T
    stale[name] = int((ages[name][1] > 0).sum())
    print(f"{name}: {stale[name]} of {ages[name].shape[1]} answers stale")
print(guess_stale.against(round(100 * stale["delete"] / ages["delete"].shape[1])))

# %%
from course_app.plots import plot_over_time

plot_over_time(
    ages,
    y_label="age of the answer, ms (0: fresh)",
    title="Stale answers in one run: "
    + ", ".join(f"{name} {n} of {ages[name].shape[1]}" for name, n in stale.items()),
)

# %% [markdown]
# Expiry promises an upper bound of age, and an answer may be as old as that: the entry's time to
# live, and the time of the read that made it. Deleting is right when reads and writes do not
# overlap. When they do, a slow reader that began before the write puts its old answer into the
# cache after the deletion, where it stays until the next write or its expiry. With a stamp the
# reader does that, too, but under a stamp that nobody looks for any more.
#
# ## Valkey goes away
#
# A cache may be lost: everything in it is in the database as well. An app that does not handle it
# answers 500. One that asks PostgreSQL instead is right, but how long does it wait before it gives
# up on Valkey? That depends on how its client was made. `lab.outages()` puts a switch between apps
# and their servers; here Valkey is **silent**, as when its process hangs: its machine still accepts
# connections, nobody answers, and four clients of each kind ask for a key. How long does one wait
# that was made by `from_url` without options, in seconds?

# %%
guess_silence = lab.predict(
    ..., "seconds until a client gives up, made by from_url without options"
)

# %%
from contextlib import suppress

from redis.asyncio.connection import parse_url


async def gives_up_after(client) -> float:
    start = time.perf_counter()
    with suppress(redis.RedisError):
        await client.get("cheap:1")
    await client.aclose()
    return time.perf_counter() - start


SHORT = {"socket_timeout": 0.05, "socket_connect_timeout": 0.05}
CLIENTS = {
    "from_url(url)": lambda: redis.from_url(lab.valkey_url),
    "from_url(url, 50 ms)": lambda: redis.from_url(lab.valkey_url, **SHORT),
    "Redis(host, port, 50 ms)": lambda: redis.Redis(**parse_url(lab.valkey_url), **SHORT),
}


async def all_at_once() -> list[float]:
    return await asyncio.gather(
        *(gives_up_after(make()) for make in CLIENTS.values() for _ in range(4))
    )


with lab.outages() as network:
    network.silence("valkey")
    seconds = np.reshape(asyncio.run(all_at_once()), (len(CLIENTS), 4))
    network.mend("valkey")
patience = {name: geometric_mean(each) for name, each in zip(CLIENTS, seconds, strict=True)}
print(guess_silence.against(patience["from_url(url)"]))
for name, each in patience.items():
    print(f"{name} gives up after {each:.2f} s")

# %%
print(
    "The same time-out, another constructor, another wait."
    if patience["Redis(host, port, 50 ms)"].low > patience["from_url(url, 50 ms)"].high
    else "Whether both constructors wait alike, these four tries cannot tell."
)
print(f"Redis(host, port) tries again up to {redis.Redis().get_retry().get_retries()} times.")

# %% [markdown]
# With redis-py 8, a client made by `Redis(host, port)` tries again, with pauses in between, and one
# made by `from_url` does not. Each attempt may take the whole time-out, which is five seconds if
# you say nothing. **Short time-outs** help, and a **pause** after a failure, in which Valkey is not
# asked at all, so that not every request waits. There are two: `socket_timeout` is for an answer,
# `socket_connect_timeout` for a connection. The second has five seconds of its own whatever the
# first is. A machine that is gone, which this switch does not show, needs it.


# %%
class Patient:
    """Valkey's answers, or None while it is away; after a failure it is left alone for a while."""

    def __init__(self, pause_seconds: float):
        self.pause_seconds = pause_seconds
        self.away_until = 0.0

    async def __call__(self, command, *args, **options):
        if time.perf_counter() < self.away_until:
            return None
        try:
            return await command(*args, **options)
        except redis.RedisError:
            self.away_until = time.perf_counter() + self.pause_seconds


def steadfast(pause_seconds: float = 0, **options) -> FastAPI:
    app = new_app(**options)
    ask = Patient(pause_seconds)

    @app.get("/{number}")
    async def read(number: int) -> Response:
        body = await ask(app.valkey.get, f"cheap:{number}")
        if body is None:
            body = to_json(dict(await app.pool.fetchrow(CHEAP, number)))
            await ask(app.valkey.set, f"cheap:{number}", body, ex=300)
        return Response(body, media_type="application/json")

    return app


# %% [markdown]
# Two ways to go away: Valkey is **cut off** (as when its process ended: connections end at once),
# or **silent**. A hundred requests arrive each second; in the middle Valkey is away for a while.

# %%
from threading import Timer

from course_app.measure.pace import paced

moments = {}


def in_an_outage(name: str, app: FastAPI, take_away, mend):
    def at_this_moment(change):
        moments.setdefault(name, []).append(time.perf_counter_ns())
        change("valkey")

    moments.pop(name, None)
    turns = [Timer(paced(s), at_this_moment, [do]) for s, do in ((0.7, take_away), (1.3, mend))]
    with lab.serve(app) as server:  # it is up before the clock starts
        for turn in turns:
            turn.start()
        result = lab.measure(server, items, rate=100, seconds=1.8, name="outage")
        for turn in turns:
            turn.join()
    return result


QUICK, TIME_OUT_MS = "silent, time-out 50 ms, then a pause", 50

with lab.outages() as network:
    outage = {
        name: in_an_outage(name, app, take_away, network.mend)
        for name, app, take_away in (
            ("cut off, not handled", bytes_from_valkey(CHEAP, "cheap"), network.cut),
            ("cut off, PostgreSQL instead", steadfast(), network.cut),
            ("silent, default time-out", steadfast(), network.silence),
            (QUICK, steadfast(pause_seconds=1, **SHORT), network.silence),
        )
    }
errors = {name: result.load.error_count for name, result in outage.items()}
slowest = {name: float(result.load.latency_ms.max()) for name, result in outage.items()}
# A pause that began earlier, for whatever else was slow, may last over the whole outage.
load, (away, back) = outage[QUICK].load, moments[QUICK]
meanwhile = (load.end_ns > away) & (load.start_ns < back)
met_it = errors[QUICK] or (meanwhile & (load.latency_ms >= TIME_OUT_MS)).any()

# %%
from course_app.plots import plot_requests

plot_requests(
    outage,
    title=f"In one try, not handled: {errors['cut off, not handled']} errors. Silence cost up to "
    f"{slowest['silent, default time-out']:,.0f} ms, with a time-out "
    f"{slowest[QUICK]:,.0f} ms" + ("" if met_it else " (nobody met it)"),
)

# %% [markdown]
# Red crosses are errors. A refusal is a quick answer; in silence nobody says
# no. Without short time-outs of your own, requests hang until Valkey is back or the client's
# time is over, whichever comes first, and what has piled up keeps those behind it waiting a little
# longer.
#
# PostgreSQL has to carry what Valkey no longer answers. Would it, if the costly report were asked
# for a hundred times per second?

# %%
if (cpu_us := costly["PostgreSQL"].counts.get("PostgreSQL CPU")) is not None:
    print(f"One count: 100 costly queries per second keep {100 * cpu_us / 1e6:.1f} cores busy.")

# %% [markdown]
# Where that is more than it has, let few ask at a time (single-flight, a limit), and answer the
# others with an old value or a 503.
#
# One thing is left over. A write *during* the outage can neither delete nor stamp anything. When
# Valkey comes back with its memory intact, the old entry is still there, until it expires. You will
# deal with that in the exercise. (A process that dies between its commit and its stamp leaves the
# same behind.)
#
# ## The verdicts
#
# What does sharing buy? The same costly report from two servers: each has a dictionary of its
# own, or both share Valkey.

# %%
asyncio.run(cache.delete("shared:7"))
statements = {}
for name in ("dictionary", "Valkey"):
    statements[name] = 0
    for server in range(2):
        app = from_valkey(COSTLY, "shared") if name == "Valkey" else from_dictionary(COSTLY, {})
        replayed = lab.replay(app, "/7", requests=20, name=f"server {server + 1} with {name}")
        statements[name] += round(20 * replayed.counts["SQL statements"])
print("SQL statements:", statements)

# %% jupyter={"source_hidden": true}
lab.verdict(
    18,
    "holds when",
    "The query costs much more than a round trip, writes leave no old entries behind, and the "
    "application goes on when the cache is away.",
    {
        "costly query: bytes from Valkey are at least 3 times as fast": (
            costly.faster("Valkey, bytes", at_least=3)
        ),
        "primary key: Valkey is less than 3 times as fast": cheap.speedup("Valkey").below(3),
        "two servers ask PostgreSQL once with Valkey, twice with dictionaries": (
            statements == {"dictionary": 2, "Valkey": 1}
        ),
        "stamped entries: no stale answer": stale["stamp"] == 0,
        "a cheap query, short time-outs and a pause: no request fails while Valkey is away": (
            errors[QUICK] == 0 if met_it else None
        ),
    },
    evidence=costly.speedup("Valkey, bytes"),
)

# %% jupyter={"source_hidden": true}
lab.verdict(
    "T3",
    "holds when",
    "A miss must cost much more than a hit, hits must be frequent, and somebody must see to it "
    "that answers do not get old.",
    {
        "costly query: Valkey is at least 3 times as fast": costly.faster("Valkey", at_least=3),
        "primary key: Valkey is less than 3 times as fast": cheap.speedup("Valkey").below(3),
        "a cache that never hits is no gain": cheap.speedup("Valkey in vain").below(1.1),
        "entries that only expire: stale answers": stale["expire"] > 0,
    },
    number=f"costly query {costly.speedup('Valkey')}, primary key {cheap.speedup('Valkey')}",
)

# %% [markdown]
# ## What to take away
#
# - Cache answers that are costly to make and often asked for. Whether a
#   primary key is worth it, measure: the break-even is a share of hits.
# - Store the finished bytes ([lesson 14](14_blog_api.ipynb) measures what that spares). A hit must
#   look like a miss, times and all.
# - Every entry expires; that is your net, not your strategy. Delete after writes, or stamp, if
#   readers may overlap with writers.
# - One fetches, the others wait: a lock in Valkey, with an expiry, a token and a deadline (below).
# - Set `maxmemory`, and say what goes when it is full (below).
# - Time-outs of milliseconds, a pause after a failure, and the database as the answer, as far as it
#   can carry that. Try it: take the cache away on purpose.
#
# Next: [the exercise](../exercises/09_redis_cache.ipynb). A costly report gets a cache that is
# never wrong, and a cache that somebody built already may have to go. What follows here is
# optional.
#
# ## Read more
#
# - Nishtala and others, [Scaling Memcache at
#   Facebook](https://www.usenix.org/conference/nsdi13/technical-sessions/presentation/nishtala)
#   (2013): cache-aside for a billion users; its *leases* are stamp and lock in one.
# - [Key eviction](https://valkey.io/topics/lru-cache/) in Valkey's documentation: what goes when
#   memory is full, and how the choice is approximated.
# - [How to do distributed
#   locking](https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html) by Martin
#   Kleppmann: when a lock that expires is enough, and when it is not.
# - [March 20 ChatGPT outage](https://openai.com/index/march-20-chatgpt-outage/): how users came to
#   see what was cached for others, because of a bug in redis-py. It has been repaired since.
#
# **From the field.** On 19 October 2023 the [Redis cache behind OpenAI's
# authentication](https://status.openai.com/incidents/fk0tcbydtybr) became largely unresponsive:
# some of its shards failed under high load. Authentication could not do without it, and much of it
# ran into time-outs. From 4:46 to 9:15 in the evening a large part of all requests failed with 500
# or 502, at the peak 70 % of those to the API of GPT-4. Two of the measures that followed are in
# this lesson: ask a struggling cache less often, and be able to go on without it.

# %% [markdown]
# ## Going further (optional)
#
# ### How many hits will there be?
#
# That depends on how uneven the demand is. Popularity often follows Zipf's law: the k-th item is
# asked for in proportion to 1 / k^s. Here 100,000 items are asked for 20,000 times, then hits are
# counted over as many requests, for caches that keep the entries used last.

# %%
from cachetools import LRUCache


def hit_percentage(entries: int, s: float, requests: int = 20_000) -> float:
    popularity = 1 / np.arange(1, 100_001) ** s
    draws = np.random.default_rng(9).choice(100_000, 2 * requests, p=popularity / popularity.sum())
    cache, hits = LRUCache(entries), 0
    for i, item in enumerate(draws.tolist()):
        hits += item in cache and i >= requests
        cache[item] = True
    return 100 * hits / requests


entries = [100, 1_000, 10_000, 100_000]
hit_ratios = {
    f"s = {s:g}": [(n, *3 * (hit_percentage(n, s),)) for n in entries] for s in (1.2, 1.0, 0.6, 0)
}

# %%
one_percent = {name: points[1][1] for name, points in hit_ratios.items()}
plot_lines(
    hit_ratios,
    x_label="entries that the cache holds (of 100,000 items)",
    y_label="hits, %",
    title=f"Room for 1 % of the items: {one_percent['s = 1']:.0f} % hits at s = 1, "
    f"{one_percent['s = 0']:.0f} % if all are asked for equally often",
    y_log=False,
)

# %% [markdown]
# Even room for all of them does not make every request a hit: each item is new once. Look at your
# own demand before you buy memory, and then say how much of it the cache may have:

# %%
print(asyncio.run(cache.config_get("maxmemory*")))

# %% [markdown]
# `maxmemory 0` sets no limit, until the system kills the server. With a limit, `noeviction` refuses
# writes when it is full, which a cache-aside app has to bear; `allkeys-lru` drops what was used
# least recently, and `allkeys-lfu` what was used least often.
#
# ### How far away are they?
#
# So far nothing was further away than this machine. Two counts tell what distance will do: the
# round trips to each server.


# %%
def five_queries() -> FastAPI:
    app = new_app()

    @app.get("/{number}")
    async def read(number: int) -> list[dict[str, Any]]:
        async with app.pool.acquire() as conn:
            return [dict(await conn.fetchrow(CHEAP, number + i)) for i in range(5)]

    return app


def by_distance() -> dict[str, FastAPI]:
    return {
        "five queries": five_queries(),
        "one query": from_postgres(CHEAP),
        "Valkey": from_valkey(CHEAP, "cheap"),
        "dictionary": from_dictionary(CHEAP, asyncio.run(warm(CHEAP, "cheap"))),
    }


round_trips = {}
with lab.wire_tap() as tap:
    for name, app in by_distance().items():
        counts = [tap.count(app, items, server=server) for server in ("postgres", "valkey")]
        round_trips[name] = [wire.round_trips for wire in counts]
        print(f"{name}: round trips to PostgreSQL and Valkey {round_trips[name]}")

# %% [markdown]
# Now move both servers away: half a millisecond is a data centre, two are the next one. One
# request at a time.

# %%
distances = {name: [] for name in by_distance()}
sweeps = {}
for delay_ms in (0, 0.5, 2):
    with lab.network_delay(delay_ms):
        sweeps[delay_ms] = lab.sweep(by_distance(), items, values=[1], metric="p50", windows=2)
    for name, line in distances.items():
        point = sweeps[delay_ms].at(name, 1)
        line.append((delay_ms, point.middle("p50"), *point.span("p50")))

far = sweeps[2].ratio("one query", "Valkey", 1)
plot_lines(
    distances,
    x_label="round-trip time set for both servers, ms",
    y_label="median latency, ms",
    title=f"2 ms away: one query takes {far} as long as Valkey "
    f"({round_trips['one query'][0]:g} round trips or {round_trips['Valkey'][1]:g})",
    y_log=False,
)

# %% [markdown]
# Compare the order with the counts: who makes more round trips pays the distance more often, and a
# dictionary never pays it. (One round trip more than there are queries: the pool resets the
# connection when it comes back, lesson 04. A line may rise by more than its round trips times what
# was set: whoever slept until an answer came has to be woken first.) With servers far away, a page
# of many queries gains most from *one* answer in a cache.
#
# ### What is not there
#
# Somebody asks for users who do not exist. The guide's code caches the `null` and then answers it
# with status 200. Without it, each such question goes to the database. A **negative entry**
# remembers the absence, for a short time only: the user may come into being.

# %%
from fastapi import HTTPException


def user_app(remember_absence: bool) -> FastAPI:
    app = new_app()

    @app.get("/{number}")
    async def read(number: int) -> Response:
        key = f"user:{number}"
        body = await app.valkey.get(key)
        if body is None:
            row = await app.pool.fetchrow(CHEAP, number)
            body = to_json(row and dict(row))
            if row or remember_absence:
                await app.valkey.set(key, body, ex=300 if row else 5)
        if body == b"null":
            raise HTTPException(404, "No such user")
        return Response(body, media_type="application/json")

    return app


# %% [markdown]
# Fifty questions for one who is not there:

# %%
nobody = get("/900001", expect_status=404)
asked = {}
for remember in (False, True):
    asyncio.run(cache.delete("user:900001"))
    replayed = lab.replay(user_app(remember), nobody, requests=50, name="user_app")
    asked[remember] = replayed.counts["SQL statements"] * len(replayed.answers)
print(
    f"50 questions for nobody: {asked[False]:.0f} SQL statements, "
    f"with a negative entry {asked[True]:.0f}"
)


# %% [markdown]
# ### Everybody at once
#
# When a costly entry expires, all who ask meanwhile miss. Lesson 08 let one of them fetch, inside
# of one process. Between processes the lock has to be in Valkey, too. Four things make it a lock
# that one can live with: `SET ... NX` succeeds for one; it **expires**, in case that one dies;
# its value is a random **token**, so that whoever is late does not release somebody else's lock (a
# script compares and deletes in one step, as `DELIFEQ` of Valkey 9 does); and whoever waits does so
# only until a **deadline**, and then fetches without the lock. The deadline comes after the lock's
# expiry: so if one dies, another takes the lock over, before all of them lose patience at once.

# %%
LOCK_MS, PATIENCE_SECONDS = 1_000, 2.5
REPORT = f"SELECT report.* FROM ({COSTLY}) AS report, pg_sleep(0.2)"


RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"


class Lock:
    """Everybody's first fetch of a key, and nobody's second, as long as a fetch is quick."""

    def __init__(self, valkey, key: str):
        self.valkey, self.key, self.token = valkey, f"{key}:lock", secrets.token_hex(8)

    async def __aenter__(self) -> bool:
        self.mine = bool(await self.valkey.set(self.key, self.token, nx=True, px=LOCK_MS))
        return self.mine

    async def __aexit__(self, *error) -> None:
        if self.mine:
            await self.valkey.eval(RELEASE, 1, self.key, self.token)


def report_app(locked: bool, fails: int = 0) -> FastAPI:
    app = new_app()
    app.fetches = 0

    async def fetch() -> bytes:
        app.fetches += 1
        if app.fetches <= fails:
            raise HTTPException(503, "The report is not to be had")
        body = to_json(dict(await app.pool.fetchrow(REPORT, 7)))
        await app.valkey.set("report", body, ex=60)
        return body

    async def fetch_once() -> bytes:
        deadline = time.perf_counter() + PATIENCE_SECONDS
        while time.perf_counter() < deadline:
            async with Lock(app.valkey, "report") as mine:
                # Perhaps somebody was done between our look and our lock.
                if body := await app.valkey.get("report"):
                    return body
                if mine:
                    return await fetch()
            await asyncio.sleep(0.02)
        return await fetch()

    @app.get("/")
    async def read() -> Response:
        body = await app.valkey.get("report")
        body = body or await (fetch_once() if locked else fetch())
        return Response(body, media_type="application/json")

    return app


# %% [markdown]
# Two servers, fifty requests, and the cache is empty at first. The report takes 0.2 s longer here,
# as a costly one does. Fetches are counted where they happen. In the third case a server's first
# fetch fails.


# %%
from course_app.words import amount


async def fifty_requests(*servers) -> tuple[int, float]:
    """How many answers were errors, and how long the slowest took (s)."""
    start = time.perf_counter()
    async with httpx.AsyncClient() as client:
        answers = await asyncio.gather(*(client.get(servers[i % 2].url) for i in range(50)))
    return sum(a.status_code != 200 for a in answers), time.perf_counter() - start


for what, options in {
    "no lock": {"locked": False},
    "a lock": {"locked": True},
    "a lock, and a first fetch that fails": {"locked": True, "fails": 1},
}.items():
    asyncio.run(cache.delete("report", "report:lock"))
    one, other = report_app(**options), report_app(**options)
    with lab.serve(one) as first, lab.serve(other) as second:
        failed, seconds = asyncio.run(fifty_requests(first, second))
    print(
        f"{what}: {amount(one.fetches + other.fetches, 'fetch')}, {amount(failed, 'error')}, "
        f"all answered after {seconds:.2f} s"
    )

# %% [markdown]
# What does it still lack? A fetch that takes longer than the lock lives is joined by a second one:
# the lock saves work, it does not promise that only one writes. Valkey may lose it at a failover,
# when a replica takes over that had not heard of it yet. Those who wait ask again and again. And a
# lock is for one key: if many entries were made at the same time, they expire at the same time,
# each with a stampede of its own.
#
# ### A spread of expiries
#
# Against that, a little randomness in each time to live (**jitter**) helps. A thousand entries are
# made at the start and live 60 s; each is fetched anew when it expires.


# %%
def most_fetches_a_second(jitter: float, entries: int = 1_000, seconds: int = 600) -> list[int]:
    """Over ten minutes, minute by minute."""
    draw = np.random.default_rng(9)
    due, busiest = np.zeros(entries), []
    for _ in range(seconds // 60):
        due = due + 60 * (1 + jitter * draw.uniform(-1, 1, entries))
        busiest.append(int(np.bincount(due.astype(int)).max()))
    return busiest


for jitter in (0, 0.05, 0.2):
    first, *_, last = most_fetches_a_second(jitter)
    print(
        f"jitter ±{jitter:.0%}: the busiest second has {first} fetches, in the tenth round {last}"
    )
