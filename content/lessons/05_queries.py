# %% [markdown]
# # 05 - Queries
#
# The guide's advice on queries is short: add indices, select only the columns that you need,
# write in batches, beware of N+1, page with `LIMIT` and `OFFSET`. Each of these is right
# somewhere and useless or harmful somewhere else.
#
# The clock does not tell you which. PostgreSQL does: it counts the **buffers** (pages of 8 kB)
# that a query touches and the statements it was sent. In this lesson you learn to read both.
# It takes less than a minute of measuring.

# %%
from course_app.lab import Lab, get, uniform

lab = Lab()

# %% [markdown]
# ## Your prediction
#
# The database has 100,000 users. A handler looks one of them up by e-mail address. How many
# times as fast does it answer with an index on that column?

# %%
guess = lab.predict(5, "times as fast with an index")

# %% [markdown]
# ## An index
#
# Two tables with the same rows; one of them has an index on `email`. `db` is a connection of
# our own, for everything that is not a request.

# %%
import asyncio

import asyncpg

db = asyncio.run(asyncpg.connect(lab.postgres_dsn))


def sql(script: str) -> None:
    for statement in script.split(";"):
        asyncio.run(db.execute(statement))


sql("""
CREATE TABLE plain AS
    SELECT id, name, 'user' || id || '@example.com' AS email, age, bio FROM users;
CREATE TABLE indexed AS SELECT * FROM plain;
CREATE INDEX indexed_email ON indexed (email);
VACUUM ANALYZE plain, indexed
""")

# %%
from contextlib import asynccontextmanager

from fastapi import FastAPI


def new_app() -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI):
        async with asyncpg.create_pool(lab.postgres_dsn, min_size=4, max_size=4) as app.pool:
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
by_email.plot(predicted=guess.value, counters=["buffers / request"])

# %% [markdown]
# Without an index PostgreSQL reads the whole table for every request: there might be another user
# with that address at its end. With the index it walks down a tree. The buffers below the bars
# say how far it had to go.
#
# ## The cause, counted
#
# `EXPLAIN ANALYZE` runs a query and says what it did. `BUFFERS` adds the pages that it touched,
# `SERIALIZE` (PostgreSQL 17 and later) the work of turning rows into bytes for the client.

# %%
import json
from dataclasses import dataclass


@dataclass
class Plan:
    node: str
    ms: float
    buffers: int
    kilobytes: float


def explain(query: str, *args, options: str = "ANALYZE, BUFFERS, SERIALIZE") -> Plan:
    text = asyncio.run(db.fetchval(f"EXPLAIN ({options}, FORMAT JSON) {query}", *args))
    found = json.loads(text)[0]
    top, sent = found["Plan"], found.get("Serialization", {})
    kinds = ("Shared Hit Blocks", "Shared Read Blocks")
    buffers = sum(part.get(kind, 0) for part in (top, sent) for kind in kinds)
    return Plan(top["Node Type"], found["Execution Time"], buffers, sent.get("Output Volume", 0))


for table in ("plain", "indexed"):
    print(table, explain(f"SELECT id, name FROM {table} WHERE email = $1", "user5@example.com"))

# %% [markdown]
# How does that grow with the table? Four tables, from a thousand to a million rows, before and
# after an index is made. Each point is the median of five runs.

# %%
from statistics import median


def five_times(query: str, *args) -> tuple[list[Plan], tuple[float, float, float]]:
    explain(query, *args)  # the first run may read from disk
    plans = [explain(query, *args) for _ in range(5)]
    ms = [plan.ms for plan in plans]
    return plans, (median(ms), min(ms), max(ms))


times = {"no index": [], "index": []}
pages = {"no index": [], "index": []}
for rows in (1_000, 10_000, 100_000, 1_000_000):
    numbers = f"SELECT n AS id, n || '@example.com' AS email FROM generate_series(1, {rows}) AS n"
    sql(f"CREATE TABLE people AS {numbers}; VACUUM ANALYZE people")
    for name in times:
        plans, ms = five_times("SELECT id FROM people WHERE email = $1", f"{rows // 2}@example.com")
        times[name].append((rows / 1000, *ms))
        pages[name].append((rows / 1000, *3 * (plans[-1].buffers,)))
        sql("CREATE INDEX ON people (email)" if name == "no index" else "DROP TABLE people")

# %%
from course_app.plots import plot_panels

plot_panels(
    {"time, ms": times, "buffers": pages},
    x_label="thousand rows in the table",
    title=f"1000 times the rows: {pages['no index'][-1][1] / pages['no index'][0][1]:,.0f} times "
    f"the buffers without an index, {pages['index'][-1][1] - pages['index'][0][1]} more with one",
)

# %% [markdown]
# Read both panels together: a table is read in proportion to its size, a tree in proportion to
# its height, and reading takes time. That is why a missing index goes unnoticed in
# development, where tables are small.
#
# ## When an index does not help
#
# The guide says "index frequently queried columns". How often a column is queried does not
# decide. What does is **selectivity**: the share of rows that match.

# %%
sql("CREATE INDEX indexed_age ON indexed (age); ANALYZE indexed")

table_pages = explain("SELECT name FROM indexed").buffers
unselective = explain("SELECT name FROM indexed WHERE age > $1", 20)
for what, plan in {
    "one e-mail address": explain("SELECT name FROM indexed WHERE email = $1", "user5@example.com"),
    "one age of 70": explain("SELECT name FROM indexed WHERE age = $1", 30),
    "the 10 youngest ages": explain("SELECT name FROM indexed WHERE age < $1", 28),
    "all but the youngest": unselective,
}.items():
    print(f"{what:>21}: {plan.node:17} {plan.buffers / table_pages:6.1%} of the table's pages")

# %% [markdown]
# Matching rows lie scattered over the table, so even a small share of the rows touches most
# of its pages. When it is nearly all of them, the planner leaves the index alone.
#
# An index that helps no query is not free. Every insert has to keep it up to date. The next cell
# inserts 20,000 users in turns into tables with no, one and four indices, and reads from `EXPLAIN`
# what went into the write-ahead log (WAL).

# %%
indexed = {0: [], 1: ["name"], 4: ["name", "email", "age", "created_at"]}
for number, columns in indexed.items():
    sql(f"CREATE TABLE copy_{number} AS SELECT * FROM users LIMIT 0")
    for column in columns:
        sql(f"CREATE INDEX ON copy_{number} ({column})")

insert_ms, wal_records = {n: [] for n in indexed}, {}
for _ in range(3):
    for number in indexed:
        query = f"INSERT INTO copy_{number} SELECT * FROM users LIMIT 20000"
        text = asyncio.run(db.fetchval(f"EXPLAIN (ANALYZE, WAL, FORMAT JSON) {query}"))
        insert_ms[number].append(json.loads(text)[0]["Execution Time"])
        wal_records[number] = json.loads(text)[0]["Plan"]["WAL Records"] / 20_000
for number in indexed:
    print(
        f"{number} indices: {median(insert_ms[number]):4.0f} ms,"
        f" {wal_records[number]:.1f} WAL records a row"
    )

# %% [markdown]
# ## Only the columns you need
#
# A page that lists 100 articles shows their titles. Here the handler picks the title itself,
# so that both answers are the same and only the query differs. The tables have a text column of
# 100 bytes to 16 kB.


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
        f"CREATE TABLE articles_{width} AS SELECT n AS id, 'Title ' || n AS title, {body} AS body"
        " FROM generate_series(1, 200) AS n;"
        f"ALTER TABLE articles_{width} ADD PRIMARY KEY (id); VACUUM ANALYZE articles_{width}"
    )

# %%
widths = lab.sweep(
    {"SELECT *": articles("*"), "SELECT id, title": articles("id, title")},
    "/articles",
    parameter="bytes in the column that nobody needs",
    values=WIDTHS,
    concurrency=4,
    windows=2,
)
narrow, wide = (widths.ratio("SELECT id, title", "SELECT *", width) for width in (100, 16000))
widths.plot(title=f"One column less: {wide} if it has 16 kB, {narrow} if it has 100 bytes")

# %% [markdown]
# Why is it so? Ask `EXPLAIN`, but ask right. Long values are stored apart from their rows (TOAST,
# once a row exceeds about 2 kB) and fetched only when somebody needs their bytes. Without
# `SERIALIZE` nobody does, and both queries look alike.

# %%
sent_kb = {}
for columns in ("*", "id, title"):
    query = f"SELECT {columns} FROM articles_16000 ORDER BY id LIMIT 100"
    blind = explain(query, options="ANALYZE, BUFFERS")
    seeing = explain(query)
    sent_kb[columns] = seeing.kilobytes
    print(
        f"SELECT {columns:9}: {blind.buffers} buffers; with SERIALIZE {seeing.buffers} buffers,"
        f" {seeing.kilobytes} kB sent"
    )

# %% [markdown]
# ## Many rows at once
#
# An import writes 1000 rows. Five ways to do it take turns, six times.

# %%
rows = [(number, f"reading {number}") for number in range(1000)]
INSERT = "INSERT INTO readings VALUES ($1, $2)"


async def one_by_one(conn):
    for row in rows:
        await conn.execute(INSERT, *row)


async def one_transaction(conn):
    async with conn.transaction():
        await one_by_one(conn)


async def executemany(conn):
    await conn.executemany(INSERT, rows)


async def unnest(conn):
    numbers, texts = zip(*rows, strict=True)
    query = "INSERT INTO readings SELECT * FROM unnest($1::int[], $2::text[])"
    await conn.execute(query, numbers, texts)


async def copy(conn):
    await conn.copy_records_to_table("readings", records=rows)


# %%
import time

WAYS = {
    "one by one": one_by_one,
    "one transaction": one_transaction,
    "executemany": executemany,
    "unnest": unnest,
    "COPY": copy,
}
sql("CREATE TABLE readings (id integer, text text)")
seconds = {name: [] for name in WAYS}
for _ in range(7):
    for name, way in WAYS.items():
        start = time.perf_counter()
        asyncio.run(way(db))
        seconds[name].append(time.perf_counter() - start)

# %% [markdown]
# The wire tap counts round trips, `pg_stat_statements` how many statements PostgreSQL executed.

# %%
CALLS = "SELECT coalesce(sum(calls), 0)::int FROM pg_stat_statements WHERE query ~ $1"
CALLS_TO_READINGS = '^(INSERT INTO|COPY) "?readings'


async def count_calls() -> int:
    return await db.fetchval(CALLS, CALLS_TO_READINGS)


statements, round_trips = {}, {}
with lab.wire_tap() as tap:
    tapped = asyncio.run(asyncpg.connect(lab.postgres_dsn))
    for name, way in WAYS.items():
        asyncio.run(way(tapped))  # prepares its statement
        before = asyncio.run(count_calls())
        wire = tap.during(lambda way=way: asyncio.run(way(tapped)))
        round_trips[name] = wire.round_trips
        statements[name] = asyncio.run(count_calls()) - before
    asyncio.run(tapped.close())

# %%
import numpy as np

from course_app.measure.statistics import speedup_interval
from course_app.plots import Bar, plot_bars

logs = {name: np.log(values[1:]) for name, values in seconds.items()}
gains = {name: speedup_interval(logs["one by one"] - log) for name, log in logs.items()}
bars = [
    Bar(
        name,
        gain.estimate,
        gain,
        None,
        f"statements {statements[name]:g}, round trips {round_trips[name]:g}",
    )
    for name, gain in gains.items()
]
plot_bars(bars, title=f"1000 rows with unnest: {gains['unnest']}, as one statement")

# %% [markdown]
# Three different savings. One **transaction** saves 999 flushes of the log to disk, not one round
# trip. `executemany` saves both: since asyncpg 0.22 it is a transaction of its own, and it sends
# ahead without waiting. (`pg_stat_io` counts flushes: `fsyncs` of the object `wal`.) But PostgreSQL
# still executes a statement for every row. `unnest` and `COPY` are **one statement** for all of
# them.
#
# Use `unnest` where you need `ON CONFLICT` or `RETURNING`, and `COPY` for the rest.
#
# ## N+1
#
# A page shows 50 posts with their comments. The tidy way is one query for the posts, then one
# for each post. With an index on `comments.post_id` each of them is quick.

# %%
sql("CREATE INDEX comments_post ON comments (post_id); ANALYZE comments")

POSTS = "SELECT id, title FROM posts ORDER BY id LIMIT $1"
COMMENTS = "SELECT id, body FROM comments WHERE post_id = $1 ORDER BY id"


def n_plus_one(limit: int = 50) -> FastAPI:
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
before = lab.trace(n_plus_one(), "/posts")
before.plot(title=f"N+1: {before.counts['sql']} statements, each waits for the one before")

# %% [markdown]
# A staircase: each query waits for the one before. A tempting repair is to ask all at once with
# `asyncio.gather`. A connection can do only one query at a time, so every query borrows its own
# from the pool.


# %%
def gathered(limit: int = 50) -> FastAPI:
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
# The lasting repairs send fewer queries. `= ANY` makes two: the posts, then all of their comments.


# %%
def by_any(limit: int = 50) -> FastAPI:
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
after = lab.trace(by_any(), "/posts")
after.plot(title=f"ANY: {after.counts['sql']} statements, however long the page is")

# %% [markdown]
# `JOIN` makes one query, whose rows repeat the post for each of its comments.

# %%
JOINED = f"""SELECT p.id, p.title, c.id AS comment_id, c.body FROM ({POSTS}) AS p
    LEFT JOIN comments AS c ON c.post_id = p.id ORDER BY p.id, c.id"""


def joined(limit: int = 50) -> FastAPI:
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


# %% [markdown]
# And `json_agg` lets the database write the whole answer. Python passes text through and makes no
# object per comment.

# %%
from fastapi import Response

AS_JSON = f"""SELECT coalesce(json_agg(p ORDER BY p.id), '[]') FROM (
    SELECT posts.*, (
        SELECT coalesce(json_agg(json_build_object('id', c.id, 'body', c.body) ORDER BY c.id), '[]')
        FROM comments AS c WHERE c.post_id = posts.id
    ) AS comments FROM ({POSTS}) AS posts
) AS p"""


def as_json(limit: int = 50) -> FastAPI:
    app = new_app()

    @app.get("/posts")
    async def posts_as_json():
        text = await app.pool.fetchval(AS_JSON, limit)
        return Response(text, media_type="application/json")

    return app


# %%
WAYS_TO_READ = {
    "N+1": n_plus_one(),
    "gather": gathered(),
    "JOIN": joined(),
    "ANY": by_any(),
    "json_agg": as_json(),
}
fifty = lab.compare(WAYS_TO_READ, "/posts", concurrency=4, at_least=1.5, most_rounds=6)
fifty.plot(counters=["SQL statements / request", "pool reset statements / request"])

# %% [markdown]
# All five gave the same answers. Look at `gather`: as many statements as before, and after each
# loan the pool resets the connection (four statements in one more round trip). `json_agg` saves
# Python's share on top: no records, no dictionaries, no encoding.
#
# ## When N+1 does not matter, and when it hurts
#
# How many posts must a page have until it shows?

# %%
page_sizes = lab.sweep(
    {"N+1": n_plus_one, "ANY": by_any},
    "/posts",
    parameter="posts on the page",
    values=[1, 10, 100],
    metric="p50",
    concurrency=4,
    windows=2,
)
page_sizes.plot(
    title=f"ANY instead of N+1: {page_sizes.ratio('N+1', 'ANY', 1)} for one post, "
    f"{page_sizes.ratio('N+1', 'ANY', 100)} for a hundred"
)

# %% [markdown]
# So far the database was on this machine. `lab.network_delay(2)` moves it 2 ms away, as into
# another data centre of the same city. Twenty posts now:

# %%
with lab.network_delay(2):
    away = lab.compare(
        {"N+1": n_plus_one(20), "ANY": by_any(20)},
        "/posts",
        concurrency=2,
        at_least=2,
        most_rounds=6,
    )
away.plot(counters=["SQL statements / request"])

# %% [markdown]
# Now each step of the staircase is 2 ms high. The count of statements did not change with the
# distance, so you can find this on your laptop, before production does it for you.
#
# ## OFFSET and keyset
#
# The guide pages with `LIMIT 10 OFFSET n`. PostgreSQL has to produce the `n` rows in order
# to throw them away. **Keyset pagination** remembers where the last page ended and continues
# from there. Both have an index that fits.

# %%
sql("CREATE INDEX posts_newest ON posts (created_at, id); VACUUM ANALYZE posts")

NEWEST = "ORDER BY created_at DESC, id DESC LIMIT 10"
BY_OFFSET = f"SELECT id, title FROM posts {NEWEST} OFFSET $1"
BY_KEYSET = f"SELECT id, title FROM posts WHERE (created_at, id) < ($1, $2) {NEWEST}"
LAST_SEEN = f"SELECT created_at, id FROM posts {NEWEST} OFFSET $1"

page_ms, page_buffers = {"OFFSET": [], "keyset": []}, {"OFFSET": [], "keyset": []}
for depth in (10, 100, 1_000, 10_000, lab.posts - 10):
    *_, last = asyncio.run(db.fetch(LAST_SEEN, depth - 10))
    for name, query, args in (("OFFSET", BY_OFFSET, [depth]), ("keyset", BY_KEYSET, last.values())):
        plans, ms = five_times(query, *args)
        page_ms[name].append((depth, *ms))
        page_buffers[name].append((depth, *3 * (plans[-1].buffers,)))

# %%
plot_panels(
    {"time, ms": page_ms, "buffers": page_buffers},
    x_label="rows before the page",
    title=f"The last page: {page_buffers['OFFSET'][-1][1]:,} buffers by OFFSET, "
    f"{page_buffers['keyset'][-1][1]:,} by keyset",
)

# %% [markdown]
# The first pages cost the same either way, and most people never leave them. But crawlers
# do, and so does every export that is written as a loop over pages.
#
# There is a second difference, and it has nothing to do with speed. Somebody reads page 1.
# Before the reader turns the page, a new post arrives.


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
# With `OFFSET` the new post pushes the others down, and the reader meets one of them again. A
# deleted post makes one disappear. Keyset pages cannot jump to page 500, though: if users need
# page numbers, keep `OFFSET` and limit the depth.
#
# ## The verdicts

# %%
lab.verdict(
    12,
    "holds when",
    "It pays where few rows match, and more so the larger the table. Where many match it saves "
    "little or nothing, and every insert pays for it.",
    {
        "a lookup is at least twice as fast with an index": by_email.faster(at_least=2),
        "1000 times the rows: over 500 times the buffers without, at most 4 more with an index": (
            pages["no index"][-1][1] > 500 * pages["no index"][0][1]
            and pages["index"][-1][1] - pages["index"][0][1] <= 4
        ),
        "nothing saved where nearly all rows match": unselective.buffers >= table_pages,
        "four indices at least triple an insert's log records": (
            wal_records[4] >= 3 * wal_records[0]
        ),
    },
    evidence=by_email,
)

# %%
lab.verdict(
    13,
    "holds when",
    "What counts is bytes: leave out the long columns. Short ones are not worth a special query.",
    {
        "without a column of 16 kB at least 1.5 times the throughput": wide.above(1.5),
        "without a column of 100 bytes less than 2 times": narrow.below(2),
        "the 16 kB column multiplies the bytes sent by over 50": (
            sent_kb["*"] > 50 * sent_kb["id, title"]
        ),
    },
    number=f"{wide} for 16 kB, {narrow} for 100 bytes",
)

# %%
lab.verdict(
    14,
    "holds",
    "One statement for all rows. executemany saves the waiting, not the statements.",
    {
        "unnest is at least 5 times as fast as single inserts": gains["unnest"].above(5),
        "unnest is 1 statement, executemany one for each row": (
            statements["unnest"] == 1 and statements["executemany"] == len(rows)
        ),
        "executemany makes less than a tenth of the round trips": (
            round_trips["executemany"] < 0.1 * round_trips["one by one"]
        ),
    },
    evidence=gains["unnest"],
)

# %%
asked = {name: fifty[name].counts["SQL statements"] for name in WAYS_TO_READ}
lab.verdict(
    "P2",
    "holds",
    "The number of statements grows with the page, and each pays for a round trip. The "
    "farther the database, the more that is.",
    {
        "51 statements become at most 2": asked["N+1"] > 50 and asked["ANY"] < 2.5,
        "one statement with json_agg is at least 1.5 times as fast": (
            fifty.faster("json_agg", at_least=1.5)
        ),
        "with 2 ms to the database ANY is at least 2 times as fast": away.faster(at_least=2),
    },
    evidence=away,
)

# %%
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
            page_buffers["OFFSET"][-1][1] > 50 * page_buffers["keyset"][-1][1]
        ),
        "after an insert a row comes twice; not with keyset": (
            repeated == {"OFFSET": 1, "keyset": 0}
        ),
    },
    number=f"last page: {page_buffers['OFFSET'][-1][1]:,} or "
    f"{page_buffers['keyset'][-1][1]:,} buffers",
)

# %%
lab.verdict(
    "T2",
    "holds",
    "With the conditions above; pools are the subject of lesson 04.",
    {
        "a lookup is at least twice as fast with an index": by_email.faster(at_least=2),
        "without a column of 16 kB at least 1.5 times the throughput": wide.above(1.5),
    },
    evidence=by_email,
)

# %% [markdown]
# ## What to take away
#
# - Ask `EXPLAIN (ANALYZE, BUFFERS, SERIALIZE)`, and read the buffers. They depend on the data, the
#   plan, the statistics and the settings, but not on how busy the machine is.
# - Index what selects few rows of many. Drop indices that nobody uses.
# - Leave long columns out of lists. Count bytes, not columns.
# - Count statements per request. If that number depends on the data, it is N+1; `gather` sends
#   as many, and takes connections from everybody else meanwhile.
# - Write with `unnest` or `COPY`; page by keyset.
#
# Next: [the exercise](../exercises/05_queries.ipynb), a report that does all of it wrong.
