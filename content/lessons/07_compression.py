# %% [markdown]
# # 07 - Compression
#
# The guide's advice is one line: add `GZipMiddleware` with `minimum_size=1000`, and FastAPI
# compresses every answer above 1000 bytes. Smaller answers are there sooner.
#
# But compression is a trade. It buys bytes with CPU time, and what the bytes are worth depends on
# something that the server does not see: the link to the client. In this lesson you measure both
# sides of the trade and find where it turns. It takes less than a minute of measuring.

# %%
from course_app.lab import Lab, get

lab = Lab()

# %% [markdown]
# ## Your prediction
#
# A list of 90 posts is about 100 kB of JSON. Client and server are on this machine. How many times
# as fast does the list arrive with the guide's line? Change the number to what you believe.

# %%
guess = lab.predict(2, "times as fast with compression")

# %% [markdown]
# ## The list as it is
#
# The posts are read once and kept, so that nothing is measured but the way from a list to its
# client.

# %%
import asyncio
from datetime import datetime

import asyncpg
from pydantic import BaseModel, TypeAdapter


class Summary(BaseModel):
    id: int
    title: str
    author: str
    created_at: datetime


class Post(Summary):
    body: str


QUERY = """SELECT posts.id, title, body, users.name AS author, posts.created_at
    FROM posts JOIN users ON users.id = author_id ORDER BY posts.id LIMIT 1000"""


async def read_posts() -> list[Post]:
    connection = await asyncpg.connect(lab.postgres_dsn)
    try:
        rows = await connection.fetch(QUERY)
    finally:
        await connection.close()
    return TypeAdapter(list[Post]).validate_python([dict(row) for row in rows])


POSTS = asyncio.run(read_posts())

# %%
from fastapi import FastAPI


def plain(posts: int = 90, model: type[BaseModel] = Post) -> FastAPI:
    app = FastAPI()

    @app.get("/posts", response_model=list[model])
    async def list_posts():
        return POSTS[:posts]

    return app


# %% [markdown]
# Every client says in its request what it can decode. Browsers do, and so do `httpx` and `aiohttp`,
# whether you ask them to or not.

# %%
the_list = get("/posts", headers={"Accept-Encoding": "gzip"})
lab.measure(plain(), the_list, concurrency=4, name="plain")

# %% [markdown]
# The last line of the table is what this lesson is about: the bytes that a client receives.
#
# ## The guide's line
#
# Levels go from 1 (quick) to 9 (small). The guide does not mention them. Whoever says nothing
# gets 9 from Starlette.

# %%
from fastapi.middleware.gzip import GZipMiddleware


def compressed(
    level: int = 9, posts: int = 90, model: type[BaseModel] = Post, **options
) -> FastAPI:
    app = plain(posts, model)
    app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=level, **options)
    return app


# %% [markdown]
# All three apps serve at the same time and take turns under the same requests. Their answers have
# to be equal after decoding.

# %%
from course_app.measure.answers import same_decoded

BYTES = "HTTP bytes received"
comparison = lab.compare(
    {"plain": plain(), "level 1": compressed(1), "level 9": compressed(9)},
    the_list,
    concurrency=4,
    same_answers=same_decoded,
    most_rounds=8,
)
comparison

# %%
comparison.plot(
    predicted={"level 9": guess.value}, counters=[f"{BYTES}, B / request", "loop unresponsive"]
)

# %% [markdown]
# On one machine compression is all price and no gain: bytes travel through memory, and nobody can
# compress them as fast as they are copied there.
#
# ## The trade, counted
#
# What does a level cost, and what does it give? Lists of 1 to 900 posts are compressed in turns.
# The clock is that of this thread's CPU, which stands still while others use the processor.

# %%
import gzip
import time

LEVELS = (1, 6, 9)
bodies = {n: TypeAdapter(list[Post]).dump_json(POSTS[:n]) for n in (1, 9, 90, 900)}
cpu_ms = {level: {n: [] for n in bodies} for level in LEVELS}
size = {level: {} for level in LEVELS}
for _ in range(7):
    for n, body in bodies.items():
        for level in LEVELS:
            began = time.thread_time()
            packed = gzip.compress(body, level, mtime=0)
            cpu_ms[level][n].append(1e3 * (time.thread_time() - began))
            size[level][n] = len(packed)

# %%
from statistics import median

from course_app.plots import plot_panels


def points(level: int, of) -> list[tuple[float, float, float, float]]:
    return [(len(body) / 1e3, *of(level, n)) for n, body in bodies.items()]


def cost(level: int, n: int) -> tuple[float, float, float]:
    return median(cpu_ms[level][n]), min(cpu_ms[level][n]), max(cpu_ms[level][n])


def rest(level: int, n: int) -> tuple[float, float, float]:
    return 3 * (100 * size[level][n] / len(bodies[n]),)


times_cpu = median(cpu_ms[9][90]) / median(cpu_ms[1][90])
times_bytes = size[9][90] / size[1][90]
plot_panels(
    {
        "CPU, ms": {f"level {level}": points(level, cost) for level in LEVELS},
        "bytes left, %": {f"level {level}": points(level, rest) for level in LEVELS},
    },
    x_label="body, kB",
    title=f"90 posts: level 9 takes {times_cpu:.1f} times the CPU of level 1 "
    f"for {times_bytes:.2f} of its bytes",
)

# %% [markdown]
# The first level does most of the work. What comes after it is dear, and the last steps from 6 to 9
# are dearest:

# %%
for lower, higher in ((1, 6), (6, 9)):
    saved = size[lower][90] - size[higher][90]
    more_ms = median(cpu_ms[higher][90]) - median(cpu_ms[lower][90])
    print(
        f"level {lower} to {higher}: {saved / size[lower][90]:5.1%} fewer bytes, {more_ms:.2f} ms "
        f"more CPU: {saved / more_ms / 1e3:,.1f} kB saved for each of them"
    )

# %% [markdown]
# ## What the link makes of it
#
# On a link the time to the last byte is the server's CPU time plus bytes divided by speed. So the
# trade pays off when
#
#     link speed  <  bits saved / extra seconds of CPU
#
# Both are counted here for whole requests, one at a time and in turns.

# %%
by_cpu = lab.compare_requests(
    {"plain": plain(), **{f"level {level}": compressed(level) for level in LEVELS}},
    the_list,
    same_answers=same_decoded,
)
by_cpu

# %%
from course_app.measure.statistics import significant
from course_app.measure.transfer import Delivery, break_even

ways = {v.name: Delivery(v.rounds["cpu"] / 1e3, v.counts[BYTES]) for v in by_cpu.variants}
pays_below = {name: break_even(ways[name], ways["plain"]) for name in ways if name != "plain"}
level_9_over_1 = break_even(ways["level 9"], ways["level 1"])

for name, speed in pays_below.items():
    print(f"{name} pays on links below {speed:significant} Mbit/s")
print(f"level 9 is ahead of level 1 on links below {level_9_over_1:significant} Mbit/s")

# %% [markdown]
# Do not believe a formula that nobody tried. A client on a slow link is easy to play: it takes
# one packet after another, and none before its time. (A real link adds round trips. As TCP begins
# slowly, more bytes take more of them, which speaks for the smaller answer once more.)

# %%
from http.client import HTTPConnection

PACKET = 1448


def over_link(server, megabits: float) -> float:
    """The time to the last byte of the list, in ms."""
    client = HTTPConnection("127.0.0.1", server.port)
    client.connect()
    began = time.perf_counter()
    client.request("GET", "/posts", headers={"Accept-Encoding": "gzip"})
    answer = client.getresponse()
    free = time.perf_counter()  # when the link can take the next packet
    while packet := answer.read(PACKET):
        free += 8 * len(packet) / (megabits * 1e6)
        if (early := free - time.perf_counter()) > 0.001:  # shorter sleeps are not exact
            time.sleep(early)
    time.sleep(max(0.0, free - time.perf_counter()))
    client.close()
    return 1e3 * (time.perf_counter() - began)


# %%
apps = {"plain": plain(), "level 1": compressed(1), "level 9": compressed(9)}
waited = {name: [] for name in apps}
for name, app in apps.items():
    with lab.serve(app) as server:
        for megabits in (3, 30, 300):
            over_link(server, megabits)
            ms = [over_link(server, megabits) for _ in range(5)]
            waited[name].append((megabits, median(ms), min(ms), max(ms)))

# %% tags=["readme"]
from course_app.plots import plot_transfer

plot_transfer(
    ways,
    measured=waited,
    title=f"100 kB of JSON: level 1 pays below {pays_below['level 1']:significant} "
    f"Mbit/s, level 9 below {pays_below['level 9']:significant}",
)

# %% [markdown]
# Lines are computed from CPU and bytes, dots are what the client waited. (Where others use the
# machine, dots lie above their lines: a wait for a core is no CPU time.) A ring is where a level
# stops paying.
#
# Phones are on the left, where bytes are nearly all that counts. A service in the same data centre
# is on the right. It asks for gzip because its HTTP library does, and gets its answers later for
# it.
#
# ## Where it runs
#
# While one answer is compressed, what do all other requests do? Starlette compresses bodies
# **below a threshold on the event loop**, and larger ones in a worker thread (since its version
# 1.4; before, all of them on the loop). A probe looks by how much timers of the loop are late.

# %%
import inspect

threshold = inspect.signature(GZipMiddleware).parameters["thread_minimum_size"].default
largest = TypeAdapter(list[Post]).dump_json(POSTS[:110]), TypeAdapter(list[Post]).dump_json(POSTS)
print(f"threshold {threshold:,} B; our bodies {len(largest[0]):,} B and {len(largest[1]):,} B")

# %%
lag = lab.loop_lag(
    {"110 posts": compressed(9, 110), "1000 posts": compressed(9, 1000)}, the_list, rate=6
)
stood = {name: f"{lag.share(name):.0%}" for name in lag.series}
lag.plot(
    title=f"The loop stands still for {stood['110 posts']} of a request for 110 posts, "
    f"for {stood['1000 posts']} of one for 1000"
)

# %% [markdown]
# A request for 1000 posts takes many times as long, but the loop is free for most of it, because it
# is over the threshold. To see that the threshold is the cause, turn it the other way round:

# %%
NEVER = 10**9
turned = lab.loop_lag(
    {
        "110 posts, in a thread": compressed(9, 110, thread_minimum_size=1000),
        "1000 posts, on the loop": compressed(9, 1000, thread_minimum_size=NEVER),
    },
    the_list,
    rate=6,
)
for measured in (lag, turned):
    for name in measured.series:
        stall, share = measured.stall(name), measured.share(name)
        print(f"{name:>23}: {stall:significant} ms, {share:.0%} of a request")

# %% [markdown]
# What makes these stalls long is the level. A thread helps the others, but not the one who waits
# for this answer.

# %% [markdown]
# ## When it does not help: small answers
#
# Lists of a few summaries, compressed whatever their size. The last column is what that saves on a
# link of 1 Mbit/s, the slowest in the figure above.

# %%
small = {}
for n in (0, 1, 2, 4, 8, 16, 32):
    body = TypeAdapter(list[Summary]).dump_json(POSTS[:n])
    small[n] = len(body), len(gzip.compress(body, 9, mtime=0))
print(" list of   bytes   gzip   ms saved")
for n, (before, after) in small.items():
    print(f"{n:>8}{before:8,}{after:7,}{8 * (before - after) / 1e3:11.1f}")

# %% [markdown]
# The first ones grow, because the format has a head and a tail of its own; the next ones save less
# than anybody will notice, as a single round trip to a phone takes longer. That is what
# `minimum_size` is for, and the guide's 1000 is a good value.
#
# ## When it does not help: what is dense already
#
# Images, archives and encrypted data hold no repetition. Starlette knows the types of images and
# leaves them alone. It cannot know all types. And an answer that is sent in pieces is compressed in
# pieces, because each has to leave at once.

# %%
import random

from fastapi import Response
from fastapi.responses import StreamingResponse

DENSE = random.Random(7).randbytes(100_000)


async def piece_by_piece():
    for post in POSTS[:90]:
        yield post.model_dump_json()


ANSWERS = {
    "list": lambda: Response(bodies[90], media_type="application/json"),
    "same list, in pieces": lambda: StreamingResponse(piece_by_piece(), media_type="text/plain"),
    "photo": lambda: Response(DENSE, media_type="image/jpeg"),
    "archive": lambda: Response(DENSE, media_type="application/octet-stream"),
    "small": lambda: Response(b'{"ok": true}', media_type="application/json"),
}
kinds = FastAPI()
kinds.add_api_route("/{kind}", lambda kind: ANSWERS[kind]())
kinds.add_middleware(GZipMiddleware, minimum_size=1000)

# %%
from urllib.parse import quote
from urllib.request import Request, urlopen


def fetch(server, path: str, accept: str = "gzip"):
    with urlopen(Request(server.url + quote(path), headers={"Accept-Encoding": accept})) as answer:
        return answer.headers, answer.read()


sent = {}
with lab.serve(kinds) as server:
    for kind in ANSWERS:
        _, before = fetch(server, f"/{kind}", "identity")
        headers, after = fetch(server, f"/{kind}")
        sent[kind] = len(before), len(after)
        print(f"{kind:>20}: {len(before):7,} B, {len(after):7,} B {headers['Content-Encoding']}")

# %%
began = time.thread_time()
gzip.compress(DENSE, 9)
print(f"the archive cost {1e3 * (time.thread_time() - began):.1f} ms of CPU and got longer")

# %% [markdown]
# Name such types yourself: `exclude_content_types=(*DEFAULT_EXCLUDED_CONTENT_TYPES, ...)`.
#
# ## When it hurts: caches, and clients that said no
#
# Between you and your clients stand caches that keep answers by their URL. `Vary:
# Accept-Encoding` tells them that this URL has two answers. Without it, whoever cannot decode gets
# what was kept for somebody who can.

# %%
with lab.serve(compressed(1)) as server:
    for accept in ("gzip, br", "br", "gzip;q=0"):
        headers, _ = fetch(server, "/posts", accept)
        said = {name: headers[name] for name in ("Content-Encoding", "Vary", "Content-Length")}
        print(f"{accept:>9}: {said}")

# %% [markdown]
# Starlette sends `Vary` with both versions, and that is right: the cache has to learn it from
# whichever comes first. Who writes such a middleware by hand forgets the second.
#
# Look at the last client, too. `q=0` means "anything but that" (RFC 9110, section 12.4.2). If you
# see gzip in its row, the middleware has only looked for the word. Clients that send this are
# rare, and a proxy in front of you reads it right.
#
# ## When it hurts: secrets
#
# Repetition makes an answer shorter, and its length can be seen through any encryption. If a page
# holds a secret and also something that a stranger can choose, the stranger can guess:

# %%
TOKEN = "9f3a71c2e05b"


def page(search: str) -> bytes:
    field = f'<form><input type="hidden" name="token" value="{TOKEN}"></form>'
    return f"{field}<p>Nothing found for {search}</p>".encode()


for guessed in ("0000", "4d1e", "9f3a", "71c2"):
    length = len(gzip.compress(page(f'token" value="{guessed}'), mtime=0))
    print(f"{guessed}: {length} bytes")

# %% [markdown]
# The shortest answer says which guess was right. This attack is known as BREACH. Do not compress
# pages that hold both, or give them a token that looks different each time.
#
# ## Trim first
#
# There is another way to send fewer bytes: leave out what nobody reads. The overview of posts
# shows titles, not bodies, and the model `Summary` has none
# ([lesson 06](06_response_models.ipynb)). Four ways to serve it:

# %%
trimming = lab.compare_requests(
    {
        "whole": plain(),
        "trimmed": plain(model=Summary),
        "whole, level 1": compressed(1),
        "trimmed, level 1": compressed(1, model=Summary),
    },
    the_list,
    same_answers=False,
)
lean = {v.name: Delivery(v.rounds["cpu"] / 1e3, v.counts[BYTES]) for v in trimming.variants}
trimmed_pays = break_even(lean["trimmed, level 1"], lean["trimmed"])
plot_transfer(
    lean,
    title=f"Trimmed: {lean['trimmed'].size_bytes / lean['whole'].size_bytes:.0%} of the bytes for "
    f"{trimming.speedup('trimmed').inverse():.0%} of the CPU, on every link",
)

# %% [markdown]
# Trimming is not a trade. It takes bytes away and CPU as well, so it is ahead on slow links and
# on fast ones. What is left may be compressed, where that still pays.
#
# ## The verdicts

# %%
between = (pays_below["level 1"].estimate * pays_below["level 9"].estimate) ** 0.5
lab.verdict(
    16,
    "holds when",
    "The client's link is slow, the answer is text of some kilobytes, and the level is low. "
    "On fast links gzip makes answers slower, and small or dense ones even larger.",
    {
        "on one machine level 9 takes at least 3 times as long": (
            comparison.speedup("level 9").below(1 / 3)
        ),
        "level 9 pays at 10 Mbit/s": pays_below["level 9"].above(10),
        "level 9 does not pay at 1000 Mbit/s": pays_below["level 9"].below(1000),
        f"at {significant(between)} Mbit/s level 1 pays": pays_below["level 1"].above(between),
        f"at {significant(between)} Mbit/s level 9 does not": pays_below["level 9"].below(between),
        "an empty list and an archive become larger": (
            small[0][1] > small[0][0] and sent["archive"][1] > sent["archive"][0]
        ),
        "on the loop, a large answer stalls it for most of its time": (
            turned.share("1000 posts, on the loop").above(0.5)
        ),
        "in a thread it does not": lag.share("1000 posts").below(0.5),
    },
    number=f"pays below {pays_below['level 1']:significant} Mbit/s at level 1, "
    f"{pays_below['level 9']:significant} at level 9",
)

# %%
lab.verdict(
    "T5",
    "holds when",
    "Trimming holds on every link: it saves bytes and CPU. Compressing costs CPU, and pays on "
    "slow links only.",
    {
        "trimming sends less than half of the bytes": (
            lean["trimmed"].size_bytes < 0.5 * lean["whole"].size_bytes
        ),
        "trimming takes less CPU": trimming.faster("trimmed", at_least=1),
        "compressing takes more CPU": trimming.speedup("whole, level 1").below(1),
    },
    evidence=trimming.speedup("trimmed"),
    number=f"trimmed {trimming.speedup('trimmed')} less CPU, "
    f"level 1 {trimming.speedup('whole, level 1').inverse()} more",
)

# %% [markdown]
# ## What to take away
#
# - Compute where it turns: bits saved, divided by extra seconds of CPU, is the speed of the link
#   below which compression pays. Then ask who your clients are.
# - Say the level. Starlette's default is 9, and most of the gain is in level 1.
# - Leave alone what is small, what is dense, and who sits next to you.
# - Trim before you compress.
# - Mind the loop: bodies just below `thread_minimum_size` are the ones that others wait for.
# - A proxy in front of you can do all this outside of your event loop, and with newer encodings
#   (`br`, `zstd`).
#
# Next: [the exercise](../exercises/07_compression.ipynb). A colleague has added the guide's line to
# a service; you decide what deserves it and what does not.
