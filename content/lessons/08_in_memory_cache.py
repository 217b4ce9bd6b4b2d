# %% [markdown]
# # 08 - A cache in memory
#
# The guide's first cache is a dictionary. Beside each value it keeps the time at which the value
# expires; a request that finds a living value answers with it, any other fetches anew. A dozen
# lines, no server, no library.
#
# What do they gain, and where? And what do they leave out? Three things are missing, and each of
# them can be counted. It takes about a minute of measuring.

# %% [markdown]
# ## Do you remember?
#
# <details><summary>Two of your services in one data centre talk JSON. The client's library sends
# <code>Accept-Encoding: gzip</code> by itself. How do you decide whether to compress?</summary>
#
# Bits saved, divided by extra seconds of CPU, is the speed of the link below which it pays; a link
# within a data centre is mostly faster than that. The header says what the library can decode, not
# that its user gains from it.
#
# </details>
#
# <details><summary>Why does <code>Vary: Accept-Encoding</code> have to stand in the answer that is
# <em>not</em> compressed, too?</summary>
#
# Because a cache on the way keeps answers by their URL, and learns from the first one that it sees
# that there are several. If that one is plain and says nothing, the cache has no reason to look at
# `Accept-Encoding` when it answers the next client.
#
# </details>
#
# <details><summary>Lesson 04: at your peak 200 requests come each second, and each holds a
# connection for 20 ms. Are four connections in the pool enough?</summary>
#
# No: 200 times 0.020 s are four connections in use on average (Little's law), so a pool of four is
# always busy, and its queue grows without end. Six would be in use for about two thirds of the
# time.
#
# </details>

# %%
from course_app.lab import Lab, get, uniform

lab = Lab("08")

# %% [markdown]
# ## Your prediction
#
# Which authors write most about a tag? The answer is a short list, but PostgreSQL reads a table
# of 200,000 rows to find it. Eight clients ask all the time: how many times as fast does it come
# from a dictionary? Write your guess in place of the dots.

# %%
guess = lab.predict(..., "times as fast from a dictionary")

# %% [markdown]
# ## Without a cache
#
# Two things can be fetched by their number: a costly report on a tag, and a user by primary key,
# which is cheap. Both get the same treatment in this lesson.

# %%
from course_app.apps.cached_report import TOP_AUTHORS


async def costly_report(pool, tag: int) -> list[dict]:
    return [dict(row) for row in await pool.fetch(TOP_AUTHORS, tag)]


async def cheap_lookup(pool, user_id: int) -> dict:
    return dict(await pool.fetchrow("SELECT id, name, email FROM users WHERE id = $1", user_id))


print(TOP_AUTHORS)

# %%
from contextlib import asynccontextmanager

import asyncpg
from fastapi import FastAPI


def new_app() -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI):
        async with asyncpg.create_pool(lab.postgres_dsn, min_size=8, max_size=8) as app.pool:
            yield

    return FastAPI(lifespan=lifespan)


def no_cache(fetch) -> FastAPI:
    app = new_app()

    @app.get("/read/{key}")
    async def read(key: int):
        return await fetch(app.pool, key)

    return app


# %% [markdown]
# Eight clients ask for the reports on the ten most popular tags, again and again.

# %%
popular = get("/read/{key}", key=uniform(1, 10))
lab.measure(no_cache(costly_report), popular, concurrency=8, name="no cache")

# %% [markdown]
# ## A dictionary with expiry times
#
# This is the guide's idea, around whatever `fetch` brings. `ttl`, the *time to live*, is how many
# seconds a value may be used.

# %%
import time


def dictionary(fetch, ttl: float = 60) -> FastAPI:
    app, cache = new_app(), {}

    @app.get("/read/{key}")
    async def read(key: int):
        if key in cache and cache[key]["expires"] > time.time():
            return cache[key]["value"]
        value = await fetch(app.pool, key)
        cache[key] = {"value": value, "expires": time.time() + ttl}
        return value

    return app


# %%
costly = lab.compare(
    {"no cache": no_cache(costly_report), "dictionary": dictionary(costly_report)},
    popular,
    concurrency=8,
    at_least=3,
    most_rounds=6,
)
print(guess.against(costly.speedup()))
costly.plot(predicted=guess, counters=["SQL statements / request"])

# %% [markdown]
# The cause is in the small print: a **hit**, a request that finds its answer in the cache, sends no
# statement at all; the few that were counted are **misses**, which fetched a report for the first
# time. What is left is the work of the server and of FastAPI, which this cache does not touch (one
# that keeps bytes saves a part of it, below). So the gain is as large as the fetch was costly.

# %% [markdown]
# The cheap lookup, a user by primary key, gets the same dictionary. How many times as fast does it
# become?

# %%
guess_cheap = lab.predict(..., "times as fast from a dictionary as by primary key")

# %%
cheap = lab.compare(
    {"no cache": no_cache(cheap_lookup), "dictionary": dictionary(cheap_lookup)},
    popular,
    concurrency=8,
    most_rounds=8,
)
print(guess_cheap.against(cheap.speedup()))
cheap

# %% [markdown]
# The price is the same for both: from now on answers may be **old**. Author 1 gets many posts with
# tag 150. For how long does the report not know? (`ask` is a client; `db` writes.)

# %%
import asyncio
import json
from urllib.request import urlopen

db = asyncio.run(asyncpg.connect(lab.postgres_dsn))


def ask(server, path: str):
    with urlopen(server.url + path) as answer:
        return json.loads(answer.read())


TAG_POSTS = """INSERT INTO post_tags SELECT id, 150 FROM posts WHERE author_id = 1
    ON CONFLICT DO NOTHING"""
UNTAG_POSTS = """DELETE FROM post_tags WHERE tag_id = 150
    AND post_id IN (SELECT id FROM posts WHERE author_id = 1)"""

# %%
asyncio.run(db.execute(UNTAG_POSTS))  # in case they have been tagged before
with lab.serve(dictionary(costly_report, ttl=1)) as server:
    before, old_answers = ask(server, "/read/150"), 0
    asyncio.run(db.execute(TAG_POSTS))
    written = time.perf_counter()
    while ask(server, "/read/150") == before:
        old_answers += 1
    seconds_old = time.perf_counter() - written
print(f"{old_answers} old answers in the {seconds_old:.2f} s after the write, with a TTL of 1 s")

# %% [markdown]
# A time to live (TTL) is a promise about age, and about nothing else. Choose it by asking how old
# an answer may be, not how fast the page should become.
#
# ## Missing: a plan for the expiry
#
# 20 clients ask for one report, over and over, and it lives for half a second. When it expires, how
# many times is it fetched?

# %%
guess_fetches = lab.predict(..., "fetches of one report when it expires")

# %% [markdown]
# What do the requests do that arrive before the new value is there? We note when each fetch begins.


# %%
def noting(fetch, times: list[float]):
    async def noted(pool, key):
        times.append(time.perf_counter())
        return await fetch(pool, key)

    return noted


fetched_at = []
stampede = lab.measure(
    dictionary(noting(costly_report, fetched_at), ttl=0.5),
    "/read/1",
    concurrency=20,
    seconds=3,
    name="dictionary",
)

# %% [markdown]
# Every request in that gap finds nothing and fetches, too: a **stampede**. PostgreSQL does the same
# work over and over, just when everybody waits for it.
#
# **Single-flight** lets the first request fetch and the others wait for its result. There is no
# `await` between the look into `under_way` and the entry there, so no other request can come in
# between. `shield` keeps the fetch alive for the others when one of them is cancelled, by a
# time-out for example.


# %%
class SingleFlight:
    def __init__(self, fetch, store):
        self.fetch, self.store, self.under_way = fetch, store, {}

    async def get(self, key):
        if (value := self.store.get(key)) is not None:
            return value
        if key not in self.under_way:
            self.under_way[key] = asyncio.create_task(self.fetch_once(key))
        return await asyncio.shield(self.under_way[key])

    async def fetch_once(self, key):
        try:
            value = self.store[key] = await self.fetch(key)
            return value
        finally:  # an error reaches those who wait, and is not kept
            del self.under_way[key]


# %% [markdown]
# The values lie in a `TTLCache` from the library `cachetools`. More about it below.

# %%
from cachetools import TTLCache


def single_flight(fetch, ttl: float = 60, size: int = 10_000, store=TTLCache) -> FastAPI:
    app = new_app()
    cache = SingleFlight(lambda key: fetch(app.pool, key), store(size, ttl))

    @app.get("/read/{key}")
    async def read(key: int):
        return await cache.get(key)

    return app


fetched_once_at = []
calm = lab.measure(
    single_flight(noting(costly_report, fetched_once_at), ttl=0.5),
    "/read/1",
    concurrency=20,
    seconds=3,
    name="single-flight",
)

# %% jupyter={"source_hidden": true}
import numpy as np

from course_app.plots import plot_over_time

STEP = 0.1
fetches = {"dictionary": fetched_at, "single-flight": fetched_once_at}
seconds = max(times[-1] - times[0] for times in fetches.values()) + 2 * STEP
edges = np.arange(0, seconds, STEP)
begun, most = {}, {}
for name, times in fetches.items():
    begun[name] = np.histogram(np.array(times) - times[0], edges)[0]
    bursts = np.split(times, np.flatnonzero(np.diff(times) > 0.2) + 1)
    # The first burst is nobody's expiry: the first requests find nothing either.
    most[name] = max(len(burst) for burst in bursts[1:])
print(guess_fetches.against(most["dictionary"]))
plot_over_time(
    {name: (edges[:-1], counts) for name, counts in begun.items()},
    y_label=f"fetches begun within {STEP} s",
    title=f"When the entry expires, it is fetched up to {most['dictionary']} times, "
    f"with single-flight up to {most['single-flight']}",
    steps=True,
    rows=True,
)

# %% [markdown]
# The clients feel it. Each dot is a request: those that come upon an expired entry wait for
# PostgreSQL, which now does the same work once for each of them, eight at a time (the pool). (Zero
# is the beginning of the window here. Above it is the first fetch, which came before: the warm-up
# asks, too.)

# %%
from course_app.plots import plot_requests

plot_requests({"dictionary": stampede, "single-flight": calm})

# %% [markdown]
# ## Missing: a bound
#
# The guide's code looks at an expiry time only when the same key is asked for again. A key that
# comes once stays for ever. So a cache needs a largest size and a rule for what has to go: what
# was not used for longest. By hand:

# %%
from collections import OrderedDict


class HandWritten:
    def __init__(self, size: int, ttl: float, timer=time.monotonic):
        self.size, self.ttl, self.timer, self.entries = size, ttl, timer, OrderedDict()

    def get(self, key):
        value, expires = self.entries.get(key, (None, 0))
        if value is None or self.timer() >= expires:
            return None
        self.entries.move_to_end(key)
        return value

    def __setitem__(self, key, value):
        self.entries[key] = value, self.timer() + self.ttl
        self.entries.move_to_end(key)
        if len(self.entries) > self.size:
            self.entries.popitem(last=False)


# %% [markdown]
# 100,000 different users go into each, as they would after 100,000 requests, and we read how much
# memory Python has given out. `now` is a clock that we can set.

# %%
now, size, ttl = 0.0, 10_000, 60
plain = {}
hand_written = HandWritten(size, ttl, timer=lambda: now)
library = TTLCache(size, ttl, timer=lambda: now)


def put_plain(key, value):
    plain[key] = {"value": value, "expires": now + ttl}


PUT = {
    "dictionary": put_plain,
    "hand-written": hand_written.__setitem__,
    "TTLCache": library.__setitem__,
}

# %% jupyter={"source_hidden": true}
import tracemalloc

from course_app.plots import plot_lines


def user(number: int) -> dict:
    return {"id": number, "name": f"User {number}", "email": f"user.{number}@example.com"}


megabytes = {name: [] for name in PUT}
for name, put in PUT.items():
    tracemalloc.start()
    for number in range(1, 100_001):
        put(number, user(number))
        if number % 10_000 == 0:
            used = tracemalloc.get_traced_memory()[0] / 1e6
            megabytes[name].append((number / 1000, used, used, used))
    tracemalloc.stop()


def entries() -> dict[str, int]:
    return {
        "dictionary": len(plain),
        "hand-written": len(hand_written.entries),
        "TTLCache": len(library),
    }


full = entries()

# %% jupyter={"source_hidden": true}
plot_lines(
    megabytes,
    x_label="thousand different keys asked for",
    y_label="memory, MB",
    title=f"Unbounded: {megabytes['dictionary'][-1][1]:.0f} MB and growing. "
    f"{size:,} entries at most: {megabytes['TTLCache'][-1][1]:.1f} MB",
    y_log=False,
)


# %% [markdown]
# Now everything expires, and one more user comes. How many entries does the hand-written cache
# hold then?

# %%
guess_kept = lab.predict(..., "entries in the hand-written cache, after all but one have expired")

# %%
now += ttl + 1.0
for put in PUT.values():
    put(0, user(0))
kept = entries()
for name in full:
    print(f"{name:12}: {full[name]:7,} entries; later, with one alive, {kept[name]:7,}")
print(guess_kept.against(kept["hand-written"]))

# %% [markdown]
# What does a hit cost? A call below is a hundred hits.


# %% jupyter={"source_hidden": true}
def hundred_hits(store):
    @asynccontextmanager
    async def client():
        for key in range(100):
            store[key] = user(key)

        async def call():
            for key in range(100):
                store.get(key)

        yield call

    return client


# %%
hits = lab.compare_calls(
    {
        "hand-written": hundred_hits(HandWritten(size, ttl)),
        "TTLCache": hundred_hits(TTLCache(size, ttl)),
    },
    "100 hits",
)
hits

# %%
request_us = cheap["dictionary"].middle("cpu")
for name in ("hand-written", "TTLCache"):
    hit_us = hits[name].middle("p50") * 1000 / 100
    print(f"{name:12}: {hit_us:.1f} µs a hit, {hit_us / request_us:.1%} of a request's CPU")

# %% [markdown]
# Take the library for what it has thought of: it removes the dead, it can weigh entries instead
# of counting them (`getsizeof`), and it is tested. Write your own only if those microseconds are a
# share of your request that you would miss.
#
# One thing the library does not do. Its decorator `@cached` is for plain functions. Around an
# `async def` it keeps the coroutine, the call that has yet to run, and a coroutine can be awaited
# only once:

# %%
from cachetools import cached


@cached(TTLCache(100, ttl=60))
async def decorated(number: int) -> str:
    return f"report {number}"


async def ask_twice():
    print(await decorated(1))
    print(await decorated(1))


try:
    asyncio.run(ask_twice())
except RuntimeError as error:
    print(f"RuntimeError: {error}")

# %% [markdown]
# ## Missing: an answer of one's own
#
# A dictionary hands out the object itself. A handler that writes something into its answer
# writes it into everybody's. Here a reader who is among the authors is told so:

# %%
CACHES = {
    "the object itself": (lambda value: value, lambda kept: kept),
    "text": (json.dumps, json.loads),
}


def greeting(way: str) -> FastAPI:
    app, cache, (pack, unpack) = new_app(), {}, CACHES[way]

    @app.get("/read/{key}")
    async def read(key: int, reader: int = 0):
        if key not in cache:
            cache[key] = pack(await costly_report(app.pool, key))
        report = unpack(cache[key])
        for author in report:
            if author["id"] == reader:
                author["you"] = True
        return report

    return app


# %%
leaks = {}
for way in CACHES:
    with lab.serve(greeting(way)) as server:
        ask(server, "/read/1?reader=1")
        leaks[way] = sum("you" in author for author in ask(server, "/read/1"))
    print(f'kept as {way}: marks "you" in a stranger\'s answer: {leaks[way]}')

# %% [markdown]
# Keep what nobody can change. Best of all are the bytes of the finished answer, where it is the
# same for all: they need no copy and no encoding. What they, and the caches before them, cost the
# server on a hit:

# %%
from fastapi import Response


def ready_bytes(fetch) -> FastAPI:
    app = new_app()

    async def encoded(key: int) -> bytes:
        return json.dumps(await fetch(app.pool, key), separators=(",", ":")).encode()

    cache = SingleFlight(encoded, TTLCache(10_000, 60))

    @app.get("/read/{key}")
    async def read(key: int):
        return Response(await cache.get(key), media_type="application/json")

    return app


# %%
ways = lab.compare_requests(
    {
        "dictionary": dictionary(costly_report),
        "hand-written": single_flight(costly_report, store=HandWritten),
        "TTLCache": single_flight(costly_report),
        "TTLCache with bytes": ready_bytes(costly_report),
    },
    popular,
)
ways.plot(
    title=f"By CPU, a hit from TTLCache is {ways.speedup('TTLCache').times} as fast as one from "
    f"the dictionary, with bytes {ways.speedup('TTLCache with bytes').times}",
    counters=["SQL statements / request"],
)

# %% [markdown]
# The lower three fetch once for all and have a bound. The bars say what that costs on a hit, and
# what bytes save: FastAPI has nothing left to encode.
#
# One kind of hit sends nothing: the client has the answer already. An **ETag** names what was sent;
# the client sends it back, and as long as it is the same, 304 and no body will do. For `max-age`
# seconds it need not even ask.

# %%
import hashlib

import httpx
from fastapi import Request


def with_etag(fetch) -> FastAPI:
    app = new_app()

    async def tagged(key: int) -> tuple[bytes, str]:
        body = json.dumps(await fetch(app.pool, key), separators=(",", ":")).encode()
        return body, f'"{hashlib.sha256(body).hexdigest()[:16]}"'

    cache = SingleFlight(tagged, TTLCache(10_000, 60))

    @app.get("/read/{key}")
    async def read(key: int, request: Request):
        body, tag = await cache.get(key)
        headers = {"ETag": tag, "Cache-Control": "private, max-age=5"}
        sent = request.headers.get("if-none-match", "").split(",")
        if {tag, "*"} & {known.strip().removeprefix("W/") for known in sent}:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)

    return app


with lab.serve(with_etag(costly_report)) as server:
    first = httpx.get(f"{server.url}/read/1")
    again = httpx.get(f"{server.url}/read/1", headers={"If-None-Match": first.headers["etag"]})
for answer in (first, again):
    print(f"{answer.status_code}: {len(answer.content):,} bytes")

# %% [markdown]
# `max-age` promises an age, as the expiry does: for five seconds a browser shows the old answer and
# asks nobody, whatever is written meanwhile. The tag is kept with the bytes here, so it is as old
# as they are, and the ages add up: what has lain here for 60 seconds may be shown for five more.
# `private` keeps shared caches on the way out of it. (A client may send several tags;
# and a proxy that compresses marks them as weak, `W/`.)
#
# ## When it does not help: keys that do not come again
#
# A cache lives on repetition. The clients ask for 50 different users, all equally often, and the
# cache has room for 1, 5, 25, or all of them.

# %%
from collections import Counter

ROOM = (1, 5, 25, 50)
asked, lookups = Counter(), {room: [] for room in ROOM}


def counting(app, room: int):
    async def counted(scope, receive, send):
        asked[room] += scope["type"] == "http"
        await app(scope, receive, send)

    return counted


cached = {room: single_flight(noting(cheap_lookup, lookups[room]), size=room) for room in ROOM}
rooms = lab.compare_requests(
    {
        "no cache": counting(no_cache(cheap_lookup), 0),
        **{f"room for {room}": counting(cached[room], room) for room in ROOM},
    },
    get("/read/{key}", key=uniform(1, 50)),
)
gain = {room: rooms.speedup(f"room for {room}") for room in ROOM}
hit_ratio = {room: 1 - len(lookups[room]) / asked[room] for room in ROOM}
print({f"room for {room}": f"{ratio:.0%} hits" for room, ratio in hit_ratio.items()})

# %% jupyter={"source_hidden": true}
lines = {
    "cache": [(100 * hit_ratio[n], gain[n].estimate, gain[n].low, gain[n].high) for n in ROOM],
    "no cache": [(100 * hit_ratio[n], 1, 1, 1) for n in ROOM],
}
plot_lines(
    lines,
    x_label="hits, % of requests",
    y_label="server CPU without a cache / with it",
    title=f"Cheap lookups, CPU without a cache over CPU with it: {gain[50]} with room for all "
    f"50 users, {gain[1]} with room for one",
    x_log=False,
    crossing="pays from {:.0f} % hits",
)

# %% [markdown]
# (The factor is the CPU without a cache over that with it: below 1 the cache costs more than it
# spares.) What decides is the **hit ratio**, the share of requests that find their answer. A miss
# costs the fetch, the cache's own work, and here the task of single-flight as well; and what it
# brings pushes out something else. (With room
# for all, only the first request for each user is a miss.) The CPU here is the server's; what
# PostgreSQL is spared comes on top. If a dashed mark tells from where on the cache pays, it was
# read off between two points, and the grey band is what their intervals leave open. Under real
# traffic some keys are far more popular than others, which is kinder to a small cache (lesson 09
# measures that).

# %% [markdown]
# ## When it does not help: several workers
#
# A dictionary belongs to a process. Behind 1, 2 and 4 worker processes 200 requests ask for the
# same report, and PostgreSQL counts how often it had to make it.

# %%
from concurrent.futures import ThreadPoolExecutor

MADE = "SELECT coalesce(sum(calls), 0)::int FROM pg_stat_statements WHERE starts_with(query, $1)"
REPORT = "SELECT users.id, users.name, count(*)"

# %%
made, answered = {}, {}
for workers in (1, 2, 4):
    earlier = asyncio.run(db.fetchval(MADE, REPORT))
    with (
        lab.serve_processes(
            "course_app.apps.cached_report:app",
            workers=workers,
            env={"POSTGRES_DSN": lab.postgres_dsn},
        ) as server,
        ThreadPoolExecutor(16) as clients,
    ):
        answers = list(clients.map(lambda _: ask(server, "/read/1"), range(200)))
    answered[workers] = len({answer["worker"] for answer in answers})
    made[workers] = asyncio.run(db.fetchval(MADE, REPORT)) - earlier
    print(f"workers that answered: {answered[workers]}, reports made: {made[workers]}")

# %% [markdown]
# The same with memory: each worker keeps a copy of all. And after a write the workers'
# entries expire at different times, so that a reader who reloads the page may see the new
# answer and then the old one again. That is what the next lesson's cache is for.
#
# ## Caches that nobody sees as caches
#
# A dictionary that only grows is a leak, whatever lies in it. Connections are worse than values:
# PostgreSQL has a process for each of them, and a limit. "One connection for each user, to be used
# again" sounds like pooling:


# %%
def connection_for_each_user() -> FastAPI:
    connections = {}

    @asynccontextmanager
    async def lifespan(app: FastAPI):
        yield
        await asyncio.gather(*(connection.close() for connection in connections.values()))

    app = FastAPI(lifespan=lifespan)

    @app.get("/read/{key}")
    async def read(key: int):
        if key not in connections:
            connections[key] = await asyncpg.connect(lab.postgres_dsn)
        return await connections[key].fetchval("SELECT name FROM users WHERE id = $1", key)

    return app


# %%
OPEN = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
USERS = 25
with lab.serve(connection_for_each_user()) as server:
    open_before = asyncio.run(db.fetchval(OPEN))
    for number in range(1, USERS + 1):
        ask(server, f"/read/{number}")
    more_open = asyncio.run(db.fetchval(OPEN)) - open_before
print(f"{USERS} users came once: {more_open} more connections are open")

# %% [markdown]
# ## The verdicts

# %% jupyter={"source_hidden": true}
lab.verdict(
    17,
    "holds when",
    "The fetch is costly, keys come again, and an answer may be old. It lacks single-flight, a "
    "bound and copies, and each worker has a dictionary of its own.",
    {
        "a costly report is at least 3 times as fast": costly.faster(at_least=3),
        "a hit sends no statement": cheap["dictionary"].counts["SQL statements"] < 0.1,
        "where 1 of 50 keys fits, a cheap lookup gains less than 1.1 times": gain[1].below(1.1),
        "an expired entry is fetched 10 times or more at once; once with single-flight": (
            most["dictionary"] >= 10 and most["single-flight"] == 1
        ),
        "every worker makes the report for itself": made == answered and made[4] > 1,
    },
    evidence=costly,
    number=f"{costly.speedup()} for a costly report, {cheap.speedup()} for a lookup",
)

# %% jupyter={"source_hidden": true}
lab.verdict(
    "P4",
    "holds",
    "What nobody removes stays: entries that have expired, and connections.",
    {
        "the dictionary keeps every key, also when all but one have expired": (
            kept["dictionary"] == 100_001
        ),
        "its memory at least doubles from 40,000 to 100,000 keys": (
            megabytes["dictionary"][-1][1] > 2 * megabytes["dictionary"][3][1]
        ),
        "TTLCache keeps its bound, and only what lives": (
            full["TTLCache"] == size and kept["TTLCache"] == 1
        ),
        "a connection kept for each user: as many open as users came": more_open >= USERS,
    },
    number=f"{kept['dictionary']:,} entries kept, 1 of them alive; with a bound {size:,}",
)

# %% [markdown]
# ## What to take away
#
# - Cache what is costly to fetch, asked for often, and allowed to be old. How old is the TTL.
# - Count fetches, not seconds: statements per request on hits, and fetches at the moment
#   of expiry.
# - Let one request fetch for all (single-flight), and do not keep its error.
# - Give every cache a size. `cachetools.TTLCache` has one; a dictionary has not.
# - Keep bytes or text. What is handed out as an object will be changed one day.
# - Each worker has its own memory: multiply fetches, megabytes and old answers by the workers.
#
# Next: [the exercise](../exercises/08_in_memory_cache.ipynb). You put a cache in front of the
# report that you met here, and it has to be right for every reader.
#
# ## Read more
#
# - [cachetools](https://cachetools.readthedocs.io/): the library's other caches, among them one in
#   which each entry has a time to live of its own, and what to do about threads.
# - [singleflight](https://pkg.go.dev/golang.org/x/sync/singleflight): one fetch for all as a
#   package of Go, small enough to read.
# - Vattani, Chierichetti and Lowenstein, [Optimal Probabilistic Cache Stampede
#   Prevention](https://doi.org/10.14778/2757807.2757813) (2015): no waiting at all; each request
#   may, by chance, fetch anew a little before the entry expires.
#
# **From the field.** On 23 September 2010 Facebook was [down for about 2.5 hours][outage], its
# worst outage in over four years. A configuration value had been changed, in the store itself, to
# one that clients took for invalid. Each tried to mend it by asking the databases, which got
# hundreds of thousands of queries a second. What kept it going,
# [wrote its director of
# engineering](https://vator.tv/news/2010-09-24-why-facebook-had-its-worst-outage-in-4-yrs): an
# error of an overloaded database was taken for an invalid value, too, so the client deleted the
# cache's key, and more requests asked. The site had to be switched off to end it.
#
# [outage]:
# https://learn.microsoft.com/archive/blogs/architectsrule/facebook-more-details-on-todays-outage
