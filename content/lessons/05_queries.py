# %% [markdown]
# # 05 - Queries
#
# The guide's advice on queries is short: add indices, select only the columns that you need,
# write in batches, beware of N+1, page with `LIMIT` and `OFFSET`. Each of these is right
# somewhere and useless or harmful somewhere else.
#
# The clock does not tell you which. PostgreSQL does: it counts the **buffers** (pages of 8 kB)
# that a query touches and the statements it was sent, and shows the **plan** it made: the steps by
# which it finds the rows. In this lesson you learn to read all three. It takes less than a minute
# of measuring.

# %% [markdown]
# ## Do you remember?
#
# <details><summary>500 requests come per second, and each holds its connection for 10 ms. Is a
# pool of five enough?</summary>
#
# No. By Little's law 500 x 0.010 = 5 connections are in use on average, so all five would be busy
# all the time and the queue for them would grow without end. With seven, about 70 % are in use;
# then check that number times the workers against `max_connections`.
#
# </details>
#
# <details><summary>A handler holds a connection of the pool, and calls a function that acquires
# one for itself. All tests pass. When does it go wrong?</summary>
#
# When as many of them as the pool has connections hold one each: all wait for one more, for ever.
# A test that sends one request at a time cannot find that. Hand the connection on, and give
# `acquire` a time-out.
#
# </details>
#
# <details><summary>Lesson 03: a benchmark finds one driver twice as fast as another. Which number
# do you look for before you change yours?</summary>
#
# How many rows it read. For one row the cost of a call decides, for a thousand that of a row, and
# the order of the drivers need not be the same. Then ask what share of your requests' time it is.
#
# </details>

# %%
from course_app.lab import Lab, get, uniform

lab = Lab("05")

# %% [markdown]
# ## An index
#
# The database has 100,000 users. A handler looks one of them up by e-mail address. How many times
# as fast does it answer with an index on that column? Write your guess in place of the dots.

# %%
guess = lab.predict(..., "times as fast with an index")

# %% [markdown]
# Two tables with the same rows; one of them has an index on `email`, a sorted copy of that column
# with references to the rows. (`VACUUM ANALYZE` tidies up and counts, so that plans start from
# fresh numbers.) `db` is a connection of our own, for everything that is not a request.

# %%
import asyncio

import asyncpg

db = asyncio.run(asyncpg.connect(lab.postgres_dsn))


def sql(script: str) -> None:
    for statement in script.split(";"):
        asyncio.run(db.execute(statement))


sql("""
DROP TABLE IF EXISTS plain, indexed;
CREATE TABLE plain AS
    SELECT id, name, 'user' || id || '@example.com' AS email, age, bio FROM users;
CREATE TABLE indexed AS SELECT * FROM plain;
CREATE INDEX indexed_email ON indexed (email);
VACUUM ANALYZE plain, indexed
""")

# %%
from contextlib import asynccontextmanager

from fastapi import FastAPI

CONNECTIONS = 4


def new_app() -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI):
        pool = asyncpg.create_pool(lab.postgres_dsn, min_size=CONNECTIONS, max_size=CONNECTIONS)
        async with pool as app.pool:
            yield

    return FastAPI(lifespan=lifespan)


def lookup(table: str) -> FastAPI:
    app = new_app()

    @app.get("/users/{number}")
    async def read_user(number: int):
        query = f"SELECT id, name FROM {table} WHERE email = $1"
        return [dict(row) for row in await app.pool.fetch(query, f"user{number}@example.com")]

    return app


# %%
by_email = lab.compare(
    {"no index": lookup("plain"), "index": lookup("indexed")},
    get("/users/{number}", number=uniform(1, lab.users)),
    concurrency=4,
    at_least=2,
    most_rounds=6,
)
print(guess.against(by_email.speedup()))
by_email.plot(predicted=guess, counters=["buffers / request"])

# %% [markdown]
# The buffers say how far PostgreSQL had to go. Why so far? `EXPLAIN` shows the plan; with
# `ANALYZE` it also runs it, and with `BUFFERS` it adds the pages. Here are both.


# %%
def show_plan(query: str, *args) -> None:
    options = "ANALYZE, BUFFERS, COSTS OFF, SUMMARY OFF"
    for (line,) in asyncio.run(db.fetch(f"EXPLAIN ({options}) {query}", *args)):
        print(line)
    print()


for table in ("plain", "indexed"):
    show_plan(f"SELECT id, name FROM {table} WHERE email = $1", "user5@example.com")

# %% [markdown]
# Four words to look for. `Seq Scan` reads the whole table. `Filter` is asked of each row that was
# read, and `Rows Removed by Filter` says how many were read for nothing. `Index Cond` is asked of
# a sorted tree, and leads down to the rows.
#
# ## How does it grow?
#
# The next cell reads the same from a plan in JSON, so that it can be counted, and asks for
# `SERIALIZE` too (PostgreSQL 17 and later): the work of turning rows into bytes for the client.

# %% jupyter={"source_hidden": true}
import json
from dataclasses import dataclass


@dataclass
class Plan:
    steps: str
    ms: float
    buffers: int
    on_disk: int
    kilobytes: float
    log_records: int


def steps(plan: dict) -> list[str]:
    return [plan["Node Type"], *(name for part in plan.get("Plans", ()) for name in steps(part))]


def explain(query: str, *args, options: str = "ANALYZE, BUFFERS, WAL, SERIALIZE") -> Plan:
    text = asyncio.run(db.fetchval(f"EXPLAIN ({options}, FORMAT JSON) {query}", *args))
    found = json.loads(text)[0]
    top, sent = found["Plan"], found.get("Serialization", {})
    return Plan(
        " < ".join(steps(top)),
        found["Execution Time"],
        sum(part.get(f"Shared {kind} Blocks", 0) for part in (top, sent) for kind in PAGES),
        top.get("Temp Written Blocks", 0),
        sent.get("Output Volume", 0),
        top.get("WAL Records", 0),
    )


PAGES = ("Hit", "Read")  # found in PostgreSQL's own cache, or asked of the system

# %% [markdown]
# Four tables, from a thousand to a million rows, before and after an index is made. Each point is
# the median of five runs, its bar their range.

# %%
from statistics import median

from course_app.plots import plot_panels


def runs_of(query: str, *args, runs: int = 5) -> list[Plan]:
    return [explain(query, *args) for _ in range(runs + 1)][1:]  # the first may read from disk


def spread(x: float, values: list[float]) -> tuple[float, float, float, float]:
    return x, median(values), min(values), max(values)


times, pages = {"no index": [], "index": []}, {"no index": [], "index": []}
for size in (1_000, 10_000, 100_000, 1_000_000):
    people = f"SELECT n AS id, n || '@example.com' AS email FROM generate_series(1, {size}) AS n"
    sql(f"DROP TABLE IF EXISTS people; CREATE TABLE people AS {people}; VACUUM ANALYZE people")
    for name in times:
        runs = runs_of("SELECT id FROM people WHERE email = $1", f"{size // 2}@example.com")
        times[name].append(spread(size / 1000, [run.ms for run in runs]))
        pages[name].append(spread(size / 1000, [run.buffers for run in runs]))
        sql("CREATE INDEX ON people (email)" if name == "no index" else "DROP TABLE people")

read = {name: (int(line[0][1]), int(line[-1][1])) for name, line in pages.items()}
plot_panels(
    {"execution time, ms": times, "buffers": pages},
    x_label="thousand rows in the table",
    title=f"1000 times the rows: {read['no index'][1] / read['no index'][0]:,.0f} times the "
    f"buffers without an index, {read['index'][1] - read['index'][0]} more with one",
)

# %% [markdown]
# A table is read in proportion to its size, a tree in proportion to its height. That is why a
# missing index goes unnoticed in development, where tables are small.
#
# ## Which columns?
#
# The users have 70 different ages, each as frequent as the others. There is an index on `age`, and
# somebody asks for the names of all users who are 30. How many per cent of the table's pages does
# PostgreSQL read?

# %%
guess_age = lab.predict(..., "% of the table's pages for one age of 70")

# %% [markdown]
# The guide says "index frequently queried columns". How often a column is queried does not
# decide. What does is **selectivity**, the share of rows that match, and whether the index holds
# what is asked: an index on `email` knows nothing of `lower(email)`. An index on that
# *expression* does.

# %%
sql("""
DROP INDEX IF EXISTS indexed_age, indexed_lower, indexed_both;
CREATE INDEX indexed_age ON indexed (age); ANALYZE indexed
""")
one_address = ("lower(email) = $1", "user5@example.com")
asked = {
    "one e-mail address": ("email = $1", "user5@example.com"),
    "the same, lower(email)": one_address,
    "with an index on that": one_address,
    "one age of 70": ("age = $1", 30),
    "the 10 youngest ages": ("age < $1", 28),
    "all but the youngest": ("age > $1", 20),
}
whole = explain("SELECT name FROM indexed").buffers
shares = {}
for what, (condition, value) in asked.items():
    if what == "with an index on that":
        sql("CREATE INDEX indexed_lower ON indexed (lower(email)); ANALYZE indexed")
    plan = explain(f"SELECT name FROM indexed WHERE {condition}", value)
    shares[what] = plan.buffers / whole
    print(f"{what:>22}: {shares[what]:6.1%} of the table's pages, {plan.steps}")
print(guess_age.against(round(100 * shares["one age of 70"], 1)))

# %% [markdown]
# Compare the share of rows with the share of pages. Matching rows lie scattered over the table, so
# a few per cent of the rows are on a large part of the pages, and an index that is used may still
# spare little reading. Where nearly all rows match, the planner, PostgreSQL's part that chooses
# the plan, leaves the index alone, and it is right.
#
# An index that helps no query is not free: every insert has to keep it up to date. The next cell
# inserts 20,000 users in turns into tables with no, one and four indices, and counts what went
# into the write-ahead log (WAL), to which each change is written first, so that no crash loses it.

# %%
from collections.abc import Callable

import numpy as np

from course_app.measure.statistics import Interval, speedup_interval


def in_turns(ways: dict[str, Callable[[], float]], rounds: int = 6) -> dict[str, np.ndarray]:
    """What each way takes in each round, there and back; a first round warms up."""
    order = list(ways)
    found = [{name: ways[name]() for name in order[:: (-1) ** r]} for r in range(rounds + 1)]
    return {name: np.array([each[name] for each in found[1:]]) for name in ways}


def times_as_long(long: np.ndarray, short: np.ndarray) -> Interval:
    return speedup_interval(np.log(long) - np.log(short))


# %%
log_records = {}


def insert_into(name: str) -> float:
    sql(f"TRUNCATE copy_{name}")
    plan = explain(f"INSERT INTO copy_{name} SELECT * FROM users LIMIT 20000")
    log_records[name] = plan.log_records / 20_000
    return plan.ms


columns = {"no": [], "one": ["name"], "four": ["name", "email", "age", "created_at"]}
for name, listed in columns.items():
    sql(
        f"DROP TABLE IF EXISTS copy_{name}; CREATE TABLE copy_{name} AS SELECT * FROM users LIMIT 0"
    )
    for column in listed:
        sql(f"CREATE INDEX ON copy_{name} ({column})")
writing = in_turns({name: lambda name=name: insert_into(name) for name in columns})
upkeep = {name: times_as_long(ms, writing["no"]) for name, ms in writing.items() if name != "no"}
for name, cost in upkeep.items():
    print(
        f"Indices: {name}. An insert takes {cost.times} as long, with "
        f"{log_records[name]:.1f} log records a row instead of {log_records['no']:.1f}"
    )

# %% [markdown]
# ## Only the columns you need
#
# A page that lists 100 articles shows their titles. Here the handler picks the title itself, so
# that both answers are the same and only the query differs. The text column has 100 bytes to 16
# kB.


# %%
def articles(columns: str):
    def with_width(width: float) -> FastAPI:
        app = new_app()

        @app.get("/articles")
        async def list_articles():
            query = f"SELECT {columns} FROM articles_{width:.0f} ORDER BY id LIMIT 100"
            return [row["title"] for row in await app.pool.fetch(query)]

        return app

    return with_width


WIDTHS = (100, 1000, 16000)
for width in WIDTHS:
    body = f"(SELECT string_agg(md5(n || '-' || m), '') FROM generate_series(1, {width} / 32) AS m)"
    sql(
        f"DROP TABLE IF EXISTS articles_{width}; CREATE TABLE articles_{width} AS SELECT n AS id, "
        f"'Title ' || n AS title, {body} AS body FROM generate_series(1, 200) AS n;"
        f"ALTER TABLE articles_{width} ADD PRIMARY KEY (id); VACUUM ANALYZE articles_{width}"
    )

# %%
widths = lab.sweep(
    {"SELECT *": articles("*"), "SELECT id, title": articles("id, title")},
    "/articles",
    parameter="bytes in the column that nobody needs",
    values=WIDTHS,
    concurrency=4,
)
gained = {width: widths.ratio("SELECT id, title", "SELECT *", width) for width in WIDTHS}
for width, gain in gained.items():
    print(f"Without a column of {width:,} bytes: {gain} the throughput, {gain.verdict()}")
widths.plot(
    title=f"One column less: {gained[16000]} if it has 16 kB, {gained[100]} if it has 100 bytes"
)

# %% [markdown]
# (*Faster* asks for an interval above 1.1; in a sweep of three windows it is one of 90 %.) Why is
# it so? Ask `EXPLAIN`, but ask right. Long values are stored apart from their rows (TOAST, once a
# row exceeds about 2 kB) and fetched only when somebody needs their bytes. Without `SERIALIZE`
# nobody does, and both queries look alike.

# %%
sent_kb = {}
for chosen in ("*", "id, title"):
    query = f"SELECT {chosen} FROM articles_16000 ORDER BY id LIMIT 100"
    blind = explain(query, options="ANALYZE, BUFFERS")
    seeing = explain(query)
    sent_kb[chosen] = seeing.kilobytes
    print(
        f"SELECT {chosen:9}: {blind.buffers} buffers; with SERIALIZE {seeing.buffers} buffers,"
        f" {seeing.kilobytes} kB sent"
    )

# %% [markdown]
# ## Many rows at once
#
# An import writes 1000 rows. Of five ways to do it, one by one is the slow one, and one is a single
# `INSERT` for all rows.

# %%
ROWS = [(number, f"reading {number}") for number in range(1000)]
INSERT = "INSERT INTO readings VALUES ($1, $2)"


async def one_by_one(conn):
    for row in ROWS:
        await conn.execute(INSERT, *row)


async def one_transaction(conn):
    async with conn.transaction():
        await one_by_one(conn)


async def executemany(conn):
    await conn.executemany(INSERT, ROWS)


async def unnest(conn):
    numbers, texts = zip(*ROWS, strict=True)
    query = "INSERT INTO readings SELECT * FROM unnest($1::int[], $2::text[])"
    await conn.execute(query, numbers, texts)


async def copy(conn):
    await conn.copy_records_to_table("readings", records=ROWS)


# %%
import time

WAYS_TO_WRITE = {
    "one by one": one_by_one,
    "one transaction": one_transaction,
    "executemany": executemany,
    "unnest": unnest,
    "COPY": copy,
}
sql("DROP TABLE IF EXISTS readings; CREATE TABLE readings (id integer, text text)")


def seconds_of(way) -> float:
    start = time.perf_counter()
    asyncio.run(way(db))
    return time.perf_counter() - start


took = in_turns({name: lambda way=way: seconds_of(way) for name, way in WAYS_TO_WRITE.items()}, 8)
gains = {name: times_as_long(took["one by one"], seconds) for name, seconds in took.items()}

# %% [markdown]
# Three things can be saved, and each can be counted: statements (`pg_stat_statements`), round
# trips (the wire tap) and **flushes** of the log to disk, which each commit waits for
# (`pg_stat_io`, PostgreSQL 18 and later; none are counted where `wal_sync_method` is one that
# flushes as it writes, such as `open_datasync`).

# %% jupyter={"source_hidden": true}
TOTALS = """SELECT
    (SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query ~ $1),
    (SELECT sum(fsyncs) FROM pg_stat_io WHERE to_jsonb(pg_stat_io)->>'object' = 'wal'
        AND backend_type = 'client backend')"""


async def totals(conn) -> np.ndarray:
    """Statements that wrote readings, and flushes of the log, so far."""
    for each in (conn, db):  # or they tell a second later
        await each.execute("SELECT pg_stat_force_next_flush()")
    return np.array([*await db.fetchrow(TOTALS, '^(INSERT INTO|COPY) "?readings')], dtype=float)


spent = {}
with lab.wire_tap() as tap:
    tapped = asyncio.run(asyncpg.connect(lab.postgres_dsn))
    for name, way in WAYS_TO_WRITE.items():
        asyncio.run(way(tapped))  # prepares its statement
        so_far = asyncio.run(totals(tapped))
        wire = tap.during(lambda way=way: asyncio.run(way(tapped)))
        statements, flushes = asyncio.run(totals(tapped)) - so_far
        spent[name] = {"statements": statements, "flushes": flushes, "trips": wire.round_trips}
    asyncio.run(tapped.close())

# %%
from course_app.measure.statistics import shown
from course_app.plots import Bar, plot_bars


def counted(name: str) -> str:
    statements, flushes, trips = map(shown, spent[name].values())
    return f"statements {statements}, round trips {trips}, flushes {flushes}"


plot_bars(
    [Bar(name, gain.estimate, gain, None, counted(name)) for name, gain in gains.items()],
    title=f"1000 rows with unnest: {gains['unnest'].times} as fast as one by one, "
    f"with {spent['unnest']['statements']:g} statement instead of 1000",
)

# %% [markdown]
# One **transaction** saves flushes, and no round trip. `executemany` saves both, because asyncpg
# makes it a transaction of its own and sends ahead without waiting; PostgreSQL still executes a
# statement for every row. `unnest`, which turns arrays into rows, and `COPY`, PostgreSQL's way to
# load in bulk, are **one statement** for all of them.
#
# Use `unnest` where you need `ON CONFLICT` or `RETURNING`, and `COPY` for the rest.
#
# ## N+1
#
# A page shows posts with their comments. The tidy way is one query for the posts, then one for
# each post. With an index on `comments.post_id` each of them is quick.

# %%
sql("CREATE INDEX IF NOT EXISTS comments_post ON comments (post_id); ANALYZE comments")

POSTS = "SELECT id, title FROM posts ORDER BY id LIMIT $1"
COMMENTS = "SELECT id, body FROM comments WHERE post_id = $1 ORDER BY id"


def n_plus_one(limit: int = 20) -> FastAPI:
    app = new_app()

    @app.get("/posts")
    async def posts_then_each():
        async with app.pool.acquire() as conn:
            posts = [dict(row) for row in await conn.fetch(POSTS, limit)]
            for post in posts:
                post["comments"] = [dict(row) for row in await conn.fetch(COMMENTS, post["id"])]
        return posts

    return app


# %%
staircase = lab.trace(n_plus_one(), "/posts")
staircase.plot(title=f"N+1: {staircase.counts['sql']} statements, each waits for the one before")

# %% [markdown]
# A staircase. A tempting repair is to ask all at once with `asyncio.gather`. A connection can do
# only one query at a time, so every query borrows its own from the pool.


# %%
def gathered(limit: int = 20) -> FastAPI:
    app = new_app()

    @app.get("/posts")
    async def posts_then_all():
        posts = [dict(row) for row in await app.pool.fetch(POSTS, limit)]
        found = await asyncio.gather(*(app.pool.fetch(COMMENTS, post["id"]) for post in posts))
        for post, comments in zip(posts, found, strict=True):
            post["comments"] = [dict(row) for row in comments]
        return posts

    return app


# %% [markdown]
# The lasting repairs send fewer queries. `= ANY` makes two: the posts, then all of their
# comments.


# %%
def by_any(limit: int = 20) -> FastAPI:
    app = new_app()
    query = "SELECT post_id, id, body FROM comments WHERE post_id = ANY($1) ORDER BY id"

    @app.get("/posts")
    async def posts_then_any():
        async with app.pool.acquire() as conn:
            posts = [dict(row) | {"comments": []} for row in await conn.fetch(POSTS, limit)]
            by_id = {post["id"]: post for post in posts}
            for row in await conn.fetch(query, list(by_id)):
                by_id[row["post_id"]]["comments"].append({"id": row["id"], "body": row["body"]})
        return posts

    return app


# %%
two_steps = lab.trace(by_any(), "/posts")
two_steps.plot(title=f"ANY: {two_steps.counts['sql']} statements, however long the page is")

# %% [markdown]
# ## Alone and in a crowd
#
# Now the database moves 2 ms away, as into another data centre of the same city, and each step of
# the staircase is 2 ms wide. With one client, is `gather` faster than N+1? And how many times as
# fast is it for eight clients, who share the app's four connections?

# %%
guess_gather = lab.predict(..., "times as fast as N+1 with gather, for eight clients at once")

# %%
WAYS_TO_READ = {"N+1": n_plus_one(), "gather": gathered(), "= ANY": by_any()}
CLIENTS = (1, 2, 8)
with lab.wire_tap() as tap:
    trips = {name: tap.count(app, "/posts").round_trips for name, app in WAYS_TO_READ.items()}
with lab.network_delay(2):
    crowd = lab.sweep(WAYS_TO_READ, "/posts", values=CLIENTS, metric="p50")
print("Round trips per request:", {name: round(number) for name, number in trips.items()})

# %% [markdown]
# The counts say what to expect (*by the law* in the figure, which knows of round trips only; what
# else a request costs keeps the factors nearer to 1). A request that is alone takes its round trips
# one after another; with `gather`, four connections share them. In a crowd every connection is busy
# all the time, and what counts is the *number* of round trips. `gather` makes nearly twice as many:
# after each loan the pool resets the connection, which is one more.

# %% jupyter={"source_hidden": true}
from course_app.plots import plot_lines

IN_A_ROW = {"N+1": trips["N+1"], "gather": 2 * (1 + 20 / CONNECTIONS)}  # the posts, then the rest


def law(name: str, clients: float) -> float:
    """The least time of a request, in round trips."""
    return max(IN_A_ROW[name], clients * trips[name] / CONNECTIONS)


against = {name: {n: crowd.ratio("N+1", name, n) for n in CLIENTS} for name in ("= ANY", "gather")}
lines = {
    name: [(n, r.estimate, r.low, r.high) for n, r in line.items()]
    for name, line in against.items()
}
lines["N+1"] = [(n, 1, 1, 1) for n in CLIENTS]
lines["gather, by the law"] = [
    (n, *3 * (law("N+1", n) / law("gather", n),)) for n in np.linspace(1, 8, 71)
]
alone, crowded = against["gather"][1], against["gather"][8]
print(guess_gather.against(crowded))
plot_lines(
    lines,
    x_label="clients at once, four connections",
    y_label="times as fast as N+1",
    title=f"gather, 2 ms away: {alone.times} as fast as N+1 alone, {crowded} in a crowd of eight",
    y_log=True,
    laws=["gather, by the law"],
)

# %%
print(
    "gather: faster for one client, slower for eight."
    if alone.above(1) and crowded.below(1)
    else "gather: this run does not show both, faster for one client and slower for eight."
)
print(
    f"= ANY is {against['= ANY'][1].times} as fast for one, {against['= ANY'][8].times} for eight."
)

# %% [markdown]
# The count of statements does not change with the distance, so you can find N+1 on your laptop,
# before production does it for you.
#
# ## OFFSET and keyset
#
# The guide pages with `LIMIT 10 OFFSET n`. PostgreSQL has to produce the `n` rows in order to
# throw them away. **Keyset pagination** remembers where the last page ended and continues from
# there. Both have an index that fits. How many times as long does PostgreSQL work on the last of
# 10,000 pages by `OFFSET`? (Its execution time only. A client waits for the way there and back as
# well, which is the same for both.)

# %%
guess_offset = lab.predict(..., "times as long in PostgreSQL for the last page by OFFSET")

# %%
sql("""
CREATE INDEX IF NOT EXISTS posts_newest ON posts (created_at, id); VACUUM ANALYZE posts
""")
NEWEST = "ORDER BY created_at DESC, id DESC LIMIT 10"
BY_OFFSET = f"SELECT id, title FROM posts {NEWEST} OFFSET $1"
BY_KEYSET = f"SELECT id, title FROM posts WHERE (created_at, id) < ($1, $2) {NEWEST}"
LAST_SEEN = f"SELECT created_at, id FROM posts {NEWEST} OFFSET $1"

DEPTHS = (10, 100, 1_000, 10_000, lab.posts - 10)
paged = {"OFFSET": {}, "keyset": {}}
for depth in DEPTHS:
    *_, last = asyncio.run(db.fetch(LAST_SEEN, depth - 10))
    paged["OFFSET"][depth] = runs_of(BY_OFFSET, depth, runs=11)
    paged["keyset"][depth] = runs_of(BY_KEYSET, *last.values(), runs=11)

# %% jupyter={"source_hidden": true}
page_ms, page_buffers = (
    {
        name: [spread(depth, [getattr(run, what) for run in runs]) for depth, runs in line.items()]
        for name, line in paged.items()
    }
    for what in ("ms", "buffers")
)


def ms_of(name: str, depth: int) -> np.ndarray:
    return np.array([run.ms for run in paged[name][depth]])


deepest = {name: int(line[-1][1]) for name, line in page_buffers.items()}
last_page = times_as_long(*(ms_of(name, DEPTHS[-1]) for name in paged))
print(guess_offset.against(last_page))
plot_panels(
    {"execution time, ms": page_ms, "buffers": page_buffers},
    x_label="rows before the page",
    title=f"The last page by OFFSET: {deepest['OFFSET']:,} buffers instead of "
    f"{deepest['keyset']:,}, {last_page.times} as long in PostgreSQL",
)

# %% [markdown]
# The two panels need not have the same shape. Time follows the buffers only while the plan stays
# the same, and a plan can also do work that touches no buffers of the table.

# %%
for depth in DEPTHS:
    plan = paged["OFFSET"][depth][-1]
    print(f"{depth:>7,}: {plan.buffers:>6,} buffers, {plan.on_disk:,} on disk, {plan.steps}")
longer = times_as_long(*(ms_of("OFFSET", depth) for depth in (DEPTHS[-1], DEPTHS[-2])))
more_read = deepest["OFFSET"] / page_buffers["OFFSET"][-2][1]
print(f"The last step: {more_read:.1f} times the buffers, {longer.times} the time.")

# %% [markdown]
# There is a second difference, and it has nothing to do with speed. Somebody reads page 1. Before
# the reader turns the page, a new post arrives.


# %%
async def turn_the_page() -> dict[str, int]:
    """How many posts of page 1 come again on page 2, each way."""
    transaction = db.transaction()
    await transaction.start()
    first = await db.fetch(LAST_SEEN, 0)
    await db.execute("INSERT INTO posts (author_id, title, body) VALUES (1, 'New', '')")
    second = {
        "OFFSET": await db.fetch(BY_OFFSET, 10),
        "keyset": await db.fetch(BY_KEYSET, *first[-1].values()),
    }
    await transaction.rollback()
    seen = {row["id"] for row in first}
    return {name: len(seen & {row["id"] for row in rows}) for name, rows in second.items()}


repeated = asyncio.run(turn_the_page())
print(f"seen twice after an insert: {repeated}")

# %% [markdown]
# `OFFSET` counts from the top, and a new post pushes the others down: the reader meets one of
# them again. A deleted post makes one disappear. Keyset pages cannot jump to page 500, though: if
# users need page numbers, keep `OFFSET` and limit the depth.
#
# ## The verdicts

# %% jupyter={"source_hidden": true}
index_helps = {"a lookup is at least twice as fast with an index": by_email.faster(at_least=2)}
lab.verdict(
    12,
    "holds when",
    "It pays where few rows match, and more so the larger the table. Where many match it saves "
    "little or nothing, and every insert pays for it.",
    {
        **index_helps,
        "1000 times the rows: over 500 times the buffers without, at most 4 more with an index": (
            read["no index"][1] > 500 * read["no index"][0]
            and read["index"][1] - read["index"][0] <= 4
        ),
        "nothing saved where nearly all rows match": shares["all but the youngest"] >= 1,
        "nothing saved for a function of the column": shares["the same, lower(email)"] >= 1,
        "four indices at least double the time of an insert": upkeep["four"].above(2),
    },
    evidence=by_email,
)

# %% jupyter={"source_hidden": true}
wide_column = {
    "without a column of 16 kB at least 1.5 times the throughput": gained[16000].above(1.5)
}
lab.verdict(
    13,
    "holds when",
    "What counts is bytes: leave out the long columns first. A column of 100 bytes is worth less "
    "than a factor of two.",
    {
        **wide_column,
        "without a column of 100 bytes less than 2 times": gained[100].below(2),
        "the 16 kB column multiplies the bytes sent by over 50": (
            sent_kb["*"] > 50 * sent_kb["id, title"]
        ),
    },
    number=f"{gained[16000]} for 16 kB, {gained[100]} for 100 bytes",
)

# %% jupyter={"source_hidden": true}
one, together, many = (spent[name] for name in ("one by one", "one transaction", "executemany"))
lab.verdict(
    14,
    "holds",
    "One statement for all rows. A transaction saves the flushes, executemany the waiting, too.",
    {
        "unnest is at least 5 times as fast as single inserts": gains["unnest"].above(5),
        "unnest is 1 statement, executemany one for each row": (
            spent["unnest"]["statements"] == 1 and many["statements"] == len(ROWS)
        ),
        "executemany makes less than a tenth of the round trips": many["trips"] < one["trips"] / 10,
        "a transaction flushes less than a tenth as often": (
            together["flushes"] < one["flushes"] / 10 if one["flushes"] > 0 else None
        ),
    },
    evidence=gains["unnest"],
)

# %% jupyter={"source_hidden": true}
lab.verdict(
    "P2",
    "holds",
    "The number of statements grows with the page, and each pays for a round trip. The "
    "farther the database, the more that is. Asking all at once takes connections from others.",
    {
        "21 statements become 2": (staircase.counts["sql"], two_steps.counts["sql"]) == (21, 2),
        "with 2 ms to the database ANY is at least 2 times as fast": against["= ANY"][1].above(2),
        "and in a crowd of eight, too": against["= ANY"][8].above(2),
        "gather is no gain in a crowd of eight": crowded.below(1.1),
    },
    evidence=against["= ANY"][1],
)

# %% jupyter={"source_hidden": true}
lab.verdict(
    28,
    "holds when",
    "On the first pages. Deep pages read everything before them, and all pages shift when a row "
    "is added.",
    {
        "10 rows deep it reads at most 5 times the buffers of keyset": (
            page_buffers["OFFSET"][0][1] <= 5 * page_buffers["keyset"][0][1]
        ),
        "on the last page it reads over 50 times the buffers": (
            deepest["OFFSET"] > 50 * deepest["keyset"]
        ),
        "after an insert a row comes twice; not with keyset": (
            repeated == {"OFFSET": 1, "keyset": 0}
        ),
    },
    number=f"last page: {deepest['OFFSET']:,} or {deepest['keyset']:,} buffers",
)

# %% jupyter={"source_hidden": true}
lab.verdict(
    "T2",
    "holds",
    "With the conditions of claims 12 and 13; pools are the subject of lesson 04.",
    index_helps | wide_column,
    evidence=by_email,
)

# %% [markdown]
# ## What to take away
#
# - Ask `EXPLAIN (ANALYZE, BUFFERS, SERIALIZE)`. Read the plan first, then the buffers, then what
#   went to disk. They depend on the data, the plan, the statistics and the settings, but not on
#   how busy the machine is.
# - Index what selects few rows of many, as the query asks for it. Drop indices that nobody uses.
# - Leave long columns out of lists. Count bytes, not columns.
# - Count statements per request. If that number depends on the data, it is N+1; `gather` sends
#   as many, and takes connections from everybody else meanwhile.
# - Write with `unnest` or `COPY`; page by keyset.
#
# Next: [the exercise](../exercises/05_queries.ipynb), a report that does all of it wrong.
#
# ## Read more
#
# - [Using EXPLAIN](https://www.postgresql.org/docs/current/using-explain.html) in PostgreSQL's
#   manual: what each line of a plan says, by examples that grow.
# - [Populating a Database](https://www.postgresql.org/docs/current/populate.html), in the same
#   manual: one transaction, `COPY`, and indices made afterwards.
# - M. Winand, [Use The Index, Luke](https://use-the-index-luke.com/): a book on indices for
#   developers, with a page on why [not to use OFFSET](https://use-the-index-luke.com/no-offset).
#
# **From the field.** On 14 September 2026 freehire, a site for jobs, answered 14,007 requests with
# a 504 between 13:06 and 14:00 UTC. One crawler walked through its list by `OFFSET`; the 504s
# began at an offset of about 160,000. Its queries held all 10 connections of the pool, each for
# more than two minutes. A page of another list, by keyset and with an index, came after 15 minutes
# and 41 seconds, all of them spent on waiting for a connection ([pull request
# 2815](https://github.com/strelov1/freehire/pull/2815)).

# %% [markdown]
# ## Going further (optional)
#
# ### One statement for the whole page
#
# `JOIN` makes one query, whose rows repeat the post for each of its comments. With `json_agg` the
# database writes the whole answer: Python passes text through and makes no object per comment.

# %%
from fastapi import Response

JOINED = f"""SELECT p.id, p.title, c.id AS comment_id, c.body FROM ({POSTS}) AS p
    LEFT JOIN comments AS c ON c.post_id = p.id ORDER BY p.id, c.id"""
AS_JSON = f"""SELECT coalesce(json_agg(p ORDER BY p.id), '[]') FROM (
    SELECT posts.*, (
        SELECT coalesce(json_agg(json_build_object('id', c.id, 'body', c.body) ORDER BY c.id), '[]')
        FROM comments AS c WHERE c.post_id = posts.id
    ) AS comments FROM ({POSTS}) AS posts
) AS p"""


def joined(limit: int) -> FastAPI:
    app = new_app()

    @app.get("/posts")
    async def posts_joined():
        posts = {}
        for number, title, comment, body in await app.pool.fetch(JOINED, limit):
            new = {"id": number, "title": title, "comments": []}
            post = posts.setdefault(number, new)
            if comment is not None:
                post["comments"].append({"id": comment, "body": body})
        return list(posts.values())

    return app


def as_json(limit: int) -> FastAPI:
    app = new_app()

    @app.get("/posts")
    async def posts_as_json():
        text = await app.pool.fetchval(AS_JSON, limit)
        return Response(text, media_type="application/json")

    return app


# %% [markdown]
# Fifty posts, the database on this machine again:

# %%
WAYS_TO_BUILD = {
    "N+1": n_plus_one,
    "gather": gathered,
    "= ANY": by_any,
    "JOIN": joined,
    "json_agg": as_json,
}
fifty = lab.compare(
    {name: make(50) for name, make in WAYS_TO_BUILD.items()},
    "/posts",
    concurrency=4,
    at_least=1.5,
    most_rounds=6,
)
fifty.plot(counters=["SQL statements / request", "pool reset statements / request"])

# %%
for way in fifty.variants[1:]:
    print(fifty.speedup(way.name).in_words(way.name, "N+1"))

# %% [markdown]
# (A reset is one round trip with four statements in it: 204 of them are 51 resets.)
#
# ### A sort that goes to disk
#
# For a deep page the planner may give up the index, read the whole table and sort it. Each sort
# may use `work_mem`, 4 MB unless somebody changed it. Here is the plan of the last page, with
# that and with 64 MB. Look for `Sort Method`.


# %%
def with_memory(size: str) -> Callable[[], float]:
    def last_by_offset() -> float:
        sql(f"SET work_mem = '{size}'")
        plan = explain(BY_OFFSET, DEPTHS[-1])
        spilled[size] = plan.on_disk
        return plan.ms

    return last_by_offset


spilled = {}
sorting = in_turns({size: with_memory(size) for size in ("4MB", "64MB")})
for size in sorting:
    print(f"work_mem = {size}")
    sql(f"SET work_mem = '{size}'")
    show_plan(BY_OFFSET, DEPTHS[-1])
sql("RESET work_mem")

# %%
in_memory = times_as_long(sorting["4MB"], sorting["64MB"])
print(f"Pages written to disk: {spilled}. With 64 MB {in_memory.times} as fast.")
if spilled["4MB"] and not spilled["64MB"]:
    print("With 4 MB the sort went to disk, with 64 MB it stayed in memory.")
else:
    print("Here the two settings did not make that difference.")
print(
    "That made the page faster."
    if in_memory.above(1.1)
    else "That did not make the page faster: what costs is to read and sort everything."
    if in_memory.below(1.1)
    else "Whether that made the page faster, this run cannot tell."
)

# %% [markdown]
# What is written to disk comes from the system's memory again, as long as there is enough of it; a
# busy server has less. `work_mem` counts for each sort and each hash of each connection, so a large
# one for the whole server can use up its memory. `SET LOCAL work_mem` inside of a transaction gives
# it to the one query that needs it. Not sorting at all is still the better repair: keyset.
#
# ### Two kinds of flushes
#
# An ORM has a flush of its own: SQLAlchemy's `session.flush()` sends what the session holds to
# the database. It is not the flush of the log that a commit waits for. Count statements, round
# trips and flushes of the log, for 200 rows. (The server may flush once more than it commits.)

# %%
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Reading(Base):
    __tablename__ = "readings_by_orm"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


async def commit_each(session):
    for _, words in ROWS[:200]:
        session.add(Reading(text=words))
        await session.commit()


async def flush_each(session):
    for _, words in ROWS[:200]:
        session.add(Reading(text=words))
        await session.flush()
    await session.commit()


async def add_all(session):
    session.add_all(Reading(text=words) for _, words in ROWS[:200])
    await session.commit()


async def core_insert(session):
    await session.execute(insert(Reading), [{"text": words} for _, words in ROWS[:200]])
    await session.commit()


# %%
async def by_orm(tap, engine) -> None:
    async with AsyncSession(engine, expire_on_commit=False) as session:

        async def told() -> np.ndarray:
            await session.execute(text("SELECT pg_stat_force_next_flush()"))
            await session.commit()
            return np.array([*await db.fetchrow(TOTALS, "^INSERT INTO readings_by_orm")], float)

        for way in (commit_each, flush_each, add_all, core_insert):
            await way(session)
            before = await told()
            wire = tap.during(lambda way=way: asyncio.run(way(session)))
            statements, flushes = await told() - before
            print(
                f"{way.__name__:>11}: statements {statements:.0f}, round trips "
                f"{wire.round_trips:g}, flushes of the log {shown(flushes)}"
            )
    await engine.dispose()


sql("""
DROP TABLE IF EXISTS readings_by_orm;
CREATE TABLE readings_by_orm (id serial PRIMARY KEY, text text)
""")
with lab.wire_tap() as tap:
    dsn = lab.postgres_dsn.replace("postgresql://", "postgresql+asyncpg://", 1)
    asyncio.run(by_orm(tap, create_async_engine(dsn)))

# %% [markdown]
# Commits after each row pay for a transaction and a flush of the log each time. A session that is
# flushed after each row still sends the rows one by one, in one transaction. `add_all` leaves it to
# the session, which packs many rows into one `INSERT`. `core_insert` leaves it to the driver's
# `executemany`: look at its round trips, and at its statements.
#
# ### An index without standing still
#
# `CREATE INDEX` locks out everybody who writes into the table until it is done. `CREATE INDEX
# CONCURRENTLY` reads the table twice and lets them write. Inserts, one after another, meanwhile:

# %%
from course_app.plots import plot_over_time

sql("""
DROP TABLE IF EXISTS events;
CREATE TABLE events AS SELECT n AS id, md5(n::text) AS text FROM generate_series(1, 500000) AS n
""")


async def inserts_during(statement: str) -> tuple[np.ndarray, np.ndarray]:
    """When inserts were sent (seconds), and how long they took (ms)."""
    writer, start, done = await asyncpg.connect(lab.postgres_dsn), time.perf_counter(), []
    index = asyncio.create_task(db.execute(statement))
    while not index.done() or len(done) < 20:
        sent = time.perf_counter()
        await writer.execute("INSERT INTO events VALUES (0, 'new')")
        done.append((sent - start, 1e3 * (time.perf_counter() - sent)))
        await asyncio.sleep(0.01)
    await index
    await writer.close()
    return tuple(np.array(done).T)


waits = {}
for how in ("", "CONCURRENTLY"):
    sql("DROP INDEX IF EXISTS events_text")
    name = f"CREATE INDEX {how}".strip()
    waits[name] = asyncio.run(inserts_during(f"{name} events_text ON events (text)"))
longest = {name: line[1].max() for name, line in waits.items()}
plot_over_time(
    waits,
    y_label="an insert takes, ms",
    title="The longest insert, in one run each: "
    + ", ".join(f"{ms:,.0f} ms during {name}" for name, ms in longest.items()),
    rows=True,
    steps=True,
)

# %% [markdown]
# ### Order, and all in the index
#
# An index on two columns is sorted by the first one, and by the second one within it. If it holds
# all that a query asks for, the table need not be read (`Index Only Scan`). From PostgreSQL 18
# on, an index may also be used without its first column, by skipping through its few values.

# %%
sql("CREATE INDEX IF NOT EXISTS indexed_both ON indexed (age, name); VACUUM ANALYZE indexed")
for wanted, condition in {
    "bio": "age = 30 AND name < 'B'",
    "id": "name = 'Nobody'",
    "name": "age = 30",
}.items():
    plan = explain(f"SELECT {wanted} FROM indexed WHERE {condition}")
    print(f"{wanted:>4} where {condition:23}: {plan.buffers:>5} buffers, {plan.steps}")

# %% [markdown]
# ### How many pages are there?
#
# Many lists show a count below them, and ask for it with every page.

# %%
first_page = explain(f"SELECT id, title FROM posts {NEWEST}")
everything = explain("SELECT count(*) FROM posts")
print(f"The first page: {first_page.buffers} buffers. Its count(*): {everything.buffers:,} buffers")

# %% [markdown]
# Ask for one row more than you show, and say "more" if it comes. If it has to be a number, an
# estimate is in `pg_class.reltuples`.
