# %% [markdown]
# # 07 - Compression
#
# The guide's advice is one line: add `GZipMiddleware` with `minimum_size=1000`, and FastAPI
# compresses every answer above 1000 bytes. Smaller answers are there sooner.
#
# But compression is a trade. It buys bytes with CPU time, and what the bytes are worth depends on
# something that the server does not see: the link to the client. In this lesson you measure both
# sides of the trade, for gzip and for its two successors, and find where it turns. It takes less
# than a minute of measuring.

# %% [markdown]
# ## Do you remember?
#
# <details><summary>Older articles say that a response model makes FastAPI slow, and advise dicts
# and a faster JSON library. What has changed since, and what would you do today?</summary>
#
# Before 0.130 FastAPI made dicts of the model's fields, and text of these with `json.dumps`. Now
# Pydantic's serializer writes the bytes itself, while dicts without a type are looked at value by
# value in Python. So declare the type, and leave `response_class` alone.
#
# </details>
#
# <details><summary>Somebody declares <code>-&gt; list[dict[str, Any]]</code>, as that ends the
# calls of <code>jsonable_encoder</code>, too. What do you answer?</summary>
#
# That it is quick and leaks. Any type that is known at the start ends the calls, but only one that
# names the fields keeps the others in: the password hash, and the column that a colleague adds next
# year.
#
# </details>
#
# <details><summary>Lesson 02: an <code>async def</code> handler computes for 100 ms. You write
# it as <code>def</code>. Who gains, and who does not?</summary>
#
# The others gain: the work moves to a worker thread, and the event loop gets its turns, if late,
# because threads share one interpreter. Whoever asked for it waits as long as before. Out of
# everybody's way it is only in another process.
#
# </details>

# %%
from course_app.lab import Lab, get

lab = Lab("07")

# %% [markdown]
# ## Your prediction
#
# A list of 90 posts is about 100 kB of JSON. Client and server are on this machine. How many times
# as fast does the list arrive with the guide's line? Write your guess in place of the dots.

# %%
guess = lab.predict(..., "times as fast with compression")

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
# A client says in its request what it can decode. Browsers do, and so do `httpx` and `aiohttp`,
# whether you ask them to or not; `curl` does if asked (`--compressed`).

# %%
the_list = get("/posts", headers={"Accept-Encoding": "gzip"})
lab.measure(plain(), the_list, concurrency=4, name="plain")

# %% [markdown]
# Unfold the rest of the table: its last line, the bytes that a client receives, is what this lesson
# is about.
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
print(guess.against(comparison.speedup("level 9")))
comparison

# %%
comparison.plot(
    predicted={"level 9": guess},
    counters=[f"{BYTES}, B / request", "loop unresponsive, % of time"],
)

# %% [markdown]
# What the title says is the price. On one machine there is nothing to gain for it: bytes travel
# through memory, and no link has to be spared. (*Unresponsive* counts lag above 10 ms only: short
# pieces of work, one after another, can keep a loop busy all the time and do not show.)
#
# ## The trade, counted
#
# What does a level cost, and what does it give? And is gzip, which is of 1992, still the one to
# take? Browsers know two more codings (formats that server and client agree on for the way) by now:
# Brotli (`br`, 2016) and Zstandard (`zstd`, 2018). The best level of Brotli is 11. How many times
# the CPU of gzip's level 1 does it take?

# %%
guess_11 = lab.predict(..., "times the CPU of gzip 1 for Brotli's level 11")

# %% [markdown]
# Starlette takes gzip's highest level, 9, where the command `gzip` takes 6. By how many per cent is
# the list smaller with 9 than with 6?

# %%
guess_9 = lab.predict(..., "% fewer bytes by gzip 9 than by gzip 6")

# %% [markdown]
# The same list is compressed by all of them, in turns. The clock is that of this thread's CPU,
# which stands still while others use the processor.

# %%
import gzip
import time

import brotli

try:
    from compression.zstd import compress as zstd  # Python has it since 3.14
except ImportError:
    from zstandard import compress as zstd

CODECS = {
    "zstd": (zstd, (1, 4, 9, 19)),
    "gzip": (lambda body, level: gzip.compress(body, level, mtime=0), (1, 6, 9)),
    "br": (lambda body, level: brotli.compress(body, quality=level), (1, 4, 9, 11)),
}

# %%
body = TypeAdapter(list[Post]).dump_json(POSTS[:90])
cpu_ms = {(codec, level): [] for codec, (_, levels) in CODECS.items() for level in levels}
size = {}
for _ in range(9):
    for codec, level in cpu_ms:
        began = time.thread_time()
        size[codec, level] = len(CODECS[codec][0](body, level))
        cpu_ms[codec, level].append(1e3 * (time.thread_time() - began))

# %%
import numpy as np

from course_app.measure.statistics import Interval, mean_interval
from course_app.plots import plot_lines


def per_byte(way) -> tuple[float, ...]:
    """Nanoseconds with their interval, for each byte of the list."""
    ns = mean_interval(np.log(1e6 * np.array(cpu_ms[way]) / len(body))).exp()
    return ns.estimate, ns.low, ns.high


def times_cpu(way, other=("gzip", 1)) -> Interval:
    return mean_interval(np.log(cpu_ms[way]) - np.log(cpu_ms[other])).exp()


left = {way: size[way] / len(body) for way in size}
downwards = {codec: sorted(levels, reverse=True) for codec, (_, levels) in CODECS.items()}
plot_lines(
    {
        codec: [(100 * left[codec, level], *per_byte((codec, level))) for level in levels]
        for codec, levels in downwards.items()
    },
    x_label="bytes left, % of the list (numbers: levels)",
    y_label="CPU, ns for each byte of the list",
    x_log=True,
    y_log=True,
    names={codec: [str(level) for level in levels] for codec, levels in downwards.items()},
    title=f"zstd 4 takes {times_cpu(('zstd', 4))} the CPU of gzip 1 and leaves "
    f"{left['zstd', 4]:.0%} of the bytes, gzip 1 {left['gzip', 1]:.0%}; br 11 takes "
    f"{times_cpu(('br', 11))}",
)

# %% [markdown]
# Low and to the left is good. A level for which another one is both smaller and quicker has nothing
# to be said for it but that older clients know no other:

# %%
beaten = {
    way: [o for o in size if size[o] <= size[way] and times_cpu(o, way).below(1)] for way in size
}
for (codec, level), by in beaten.items():
    others = ", ".join(f"{name} {number}" for name, number in by)
    print(f"{codec:>5} {level:>2}: {'smaller and quicker: ' + others if by else 'beaten by none'}")
print(guess_11.against(times_cpu(("br", 11))))
saved, more = 1 - size["gzip", 9] / size["gzip", 6], times_cpu(("gzip", 9), ("gzip", 6))
print(f"gzip 9 takes {more} the CPU of gzip 6 for {saved:.1%} fewer bytes")
print(guess_9.against(round(100 * saved, 1)))

# %% [markdown]
# The highest levels are made for files that are compressed once and read a million times. Nobody
# should wait for them.
#
# ## What the link makes of it
#
# On a link the time to the last byte is the server's CPU time plus bytes divided by speed. So the
# trade pays off when
#
#     link speed  <  bits saved / extra seconds of CPU
#
# Up to which speed does the guide's line pay, with its level 9?

# %%
guess_link = lab.predict(..., "Mbit/s on the fastest link on which gzip 9 pays")

# %% [markdown]
# Bits and CPU are counted for whole requests, one at a time and in turns. Starlette has gzip only.
# The middleware of
# [starlette-compress](https://github.com/Zaczero/pkgs/tree/main/starlette-compress) has all three;
# level 4 is what it takes if nobody says anything. (Brotli's level 11 is too slow for turns: its
# CPU from above is added to that of a plain request.)

# %%
from starlette_compress import CompressMiddleware


def modern(posts: int = 90, **options) -> FastAPI:
    app = plain(posts)
    app.add_middleware(CompressMiddleware, minimum_size=1000, **options)
    return app


def asking(coding: str):
    return get("/posts", headers={"Accept-Encoding": coding})


ACCEPTS = {"plain": "gzip", "gzip 1": "gzip", "gzip 9": "gzip", "zstd 4": "zstd", "br 4": "br"}
APPS = {"plain": plain(), "gzip 1": compressed(1), "gzip 9": compressed(9), "zstd 4": modern()}
by_cpu = lab.compare_requests(
    {**APPS, "br 4": modern()},
    {name: asking(coding) for name, coding in ACCEPTS.items()},
    same_answers=same_decoded,
)
by_cpu

# %%
from course_app.measure.transfer import Delivery, break_even

ways = {v.name: Delivery(v.rounds["cpu"] / 1e3, v.counts[BYTES]) for v in by_cpu.variants}
as_it_is = ways["plain"]
rounds = len(cpu_ms["br", 11])  # fewer than the others have
ways["br 11"] = Delivery(as_it_is.cpu_ms[:rounds] + cpu_ms["br", 11], size["br", 11])
pays_below = {name: break_even(way, as_it_is) for name, way in ways.items() if name != "plain"}
for name, speed in pays_below.items():
    print(f"{name} pays on links below {speed:significant} Mbit/s")
print(guess_link.against(pays_below["gzip 9"]))

# %% [markdown]
# Do the two parts really add up, in the same order for each coding? A client on a slow link is easy
# to play: it takes one packet after another, and none before its time. So the link keeps to the
# rule by design; what is tried here is the server behind it. (A real link adds round trips. As TCP
# begins slowly, more bytes take more of them, which speaks for the smaller answer once more.)

# %%
from http.client import HTTPConnection

PACKET = 1448


def over_link(server, megabits: float, coding: str) -> float:
    """The time to the last byte of the list, in ms."""
    client = HTTPConnection("127.0.0.1", server.port)
    client.connect()
    began = time.perf_counter()
    client.request("GET", "/posts", headers={"Accept-Encoding": coding})
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
from statistics import median

waited = {name: [] for name in APPS}
for name, app in APPS.items():
    with lab.serve(app) as server:
        for megabits in (3, 30, 300):
            over_link(server, megabits, ACCEPTS[name])
            ms = [over_link(server, megabits, ACCEPTS[name]) for _ in range(5)]
            waited[name].append((megabits, median(ms), min(ms), max(ms)))

# %% tags=["readme"]
from course_app.plots import plot_transfer

plot_transfer(
    ways,
    measured=waited,
    title="In this run compressed JSON is there sooner on links below, in Mbit/s: "
    + ", ".join(f"{n}: {pays_below[n]:significant}" for n in ("gzip 9", "gzip 1", "zstd 4")),
)

# %% [markdown]
# Lines are computed from CPU and bytes, dots are what the client waited. (Where others use the
# machine, dots lie above their lines: a wait for a core is no CPU time. And the CPU in the lines
# was measured beside other codings, so a dot may lie below, too.) A ring is where a coding stops
# paying. At a dashed line another way becomes the first, and the strip below says which.
#
# Phones with a weak signal are on the left, where bytes are nearly all that counts. A service in
# the same data centre is on the right. It asks for compression because its HTTP library does,
# whether it gains or not.
#
# ## Where it runs
#
# While one answer is compressed, what do all other requests do? Starlette compresses bodies **below
# a threshold on the event loop** (128 KiB if nobody says otherwise), and larger ones in a worker
# thread (since its version 1.4; before, all of them on the loop). `starlette-compress` does all of
# it on the loop. Our 1000 posts are more than a megabyte. A probe sets a timer on the loop every
# 5 ms; how much later than it was due one fires is the **loop lag**. What stops the loop for less
# than that often falls between two timers, wholly or in part: such a stall comes out too short,
# with a wide interval.

# %%
lag = lab.loop_lag(
    {
        "1000 posts, plain": plain(1000),
        "1000 posts": compressed(9, 1000),
        "1000 posts, on the loop": compressed(9, 1000, thread_minimum_size=10**9),
        "1000 posts, zstd 4": modern(1000),
    },
    asking("gzip, zstd"),
    rate=6,
)
stood = {name: f"{lag.stall(name):.1f} ms" for name in lag.series}
lag.plot(
    title=f"1000 posts stop the loop for {stood['1000 posts, on the loop']} by gzip 9 on it, for "
    f"{stood['1000 posts']} by gzip 9 in a thread, for {stood['1000 posts, zstd 4']} by zstd on it"
)

# %%
for name in lag.series:
    print(f"{name:>23}: {stood[name]}, {lag.share(name):.0%} of its time")
in_thread, by_zstd = lag.stall("1000 posts"), lag.stall("1000 posts, zstd 4")
print(
    "Zstd on the loop stops it for longer than gzip in a thread."
    if by_zstd.low > in_thread.high
    else "Zstd on the loop stops it for less long than gzip in a thread."
    if by_zstd.high < in_thread.low
    else "Which stops it longer, zstd on the loop or gzip in a thread: cannot tell."
)

# %% [markdown]
# *Plain* is what the list stops the loop for without any coding: only what goes beyond it is
# compression. *On the loop* is the same app as the threaded one with the threshold out of reach, so
# the threshold is the cause. A thread helps the others; whoever waits for this answer waits for its
# compression either way.
#
# ## When it does not help: small answers
#
# Lists of a few summaries, compressed whatever their size. The last column is what that saves on a
# link of 1 Mbit/s, the slowest in the figure of the links.

# %%
small = {}
for n in (0, 1, 2, 4, 8, 16, 32):
    few = TypeAdapter(list[Summary]).dump_json(POSTS[:n])
    small[n] = len(few), len(gzip.compress(few, 9, mtime=0)), len(zstd(few, 4))
print(" list of   bytes   gzip   zstd   ms saved by gzip")
for n, (before, after, modern_size) in small.items():
    saved_ms = round(8 * (before - after) / 1e3, 1) + 0.0  # not -0.0
    print(f"{n:>8}{before:8,}{after:7,}{modern_size:7,}{saved_ms:11.1f}")

# %% [markdown]
# The empty list grows, and by gzip so may the list of one, because a format has a head and a tail
# of its own; the next ones save less than anybody will notice, as a single round trip to a phone
# takes longer. That is what `minimum_size` is for, and the guide's 1000 is a good value
# (Starlette's own is 500).
#
# What is dense already, as images, archives and encrypted data are, holds no repetition:

# %%
import random

DENSE = random.Random(7).randbytes(100_000)
packed = gzip.compress(DENSE, 9)
print(f"{len(DENSE):,} dense bytes become {len(packed):,}")

# %% [markdown]
# ## Who gets what: clients that said no, and caches
#
# The client says what it can decode, and what it says depends on more than the client. Over https
# Chromium 156 offers `gzip, deflate, br, zstd`. Over plain http, except to localhost, it offers
# `gzip, deflate` only, because of [boxes on the
# way](https://hacks.mozilla.org/2015/11/better-than-gzip-compression-with-brotli/) that break what
# they do not know. So whoever tries Brotli on a test server without a certificate sees gzip.
# Libraries offer what is installed beside them:

# %%
from urllib.parse import quote
from urllib.request import Request, urlopen

import httpx


def fetch(server, path: str, accept: str = "gzip"):
    with urlopen(Request(server.url + quote(path), headers={"Accept-Encoding": accept})) as answer:
        return answer.headers, answer.read()


# %%
OFFERS = {
    "Chromium, https": "gzip, deflate, br, zstd",
    "Chromium, http": "gzip, deflate",
    "httpx, here": httpx.Client().headers["accept-encoding"],
    "not gzip": "gzip;q=0, *",
    "nothing but plain": "identity",
}
negotiated = {}
with lab.serve(compressed(1)) as old, lab.serve(modern()) as new:
    for client, offer in OFFERS.items():
        answers = [fetch(server, "/posts", offer)[0] for server in (old, new)]
        negotiated[client] = [headers["Content-Encoding"] for headers in answers]
        varies = all("Accept-Encoding" in (headers["Vary"] or "") for headers in answers)
        print(
            f"{client:>17} ({offer}): Starlette {negotiated[client][0] or 'plain'}, "
            f"starlette-compress {negotiated[client][1] or 'plain'}, Vary by both: {varies}"
        )

# %% [markdown]
# Between you and your clients stand caches that keep answers by their URL. `Vary: Accept-Encoding`
# tells them that this URL has several answers. Without it, whoever cannot decode gets what was kept
# for somebody who can. It has to stand in the plain answer, too, because the cache learns it from
# whichever comes first (the last line asks for that one). Whoever writes such a middleware by hand
# easily forgets it.
#
# `q=0` means "anything but that" (RFC 9110, section 12.4.2).

# %%
print(
    "Starlette sends gzip to clients that refused it: it looks for the word only."
    if negotiated["not gzip"][0] == "gzip"
    else "Starlette reads q=0 as a refusal."
)

# %% [markdown]
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
    f"{trimming.speedup('trimmed').inverse():.0%} of the CPU",
)

# %% [markdown]
# (A ring is where a line crosses that of the whole list. Its CPU was measured beside other apps
# than above, so the ring of level 1 need not stand where it stood there: an interval covers the
# rounds of one comparison, not the difference between two.) What is not sent needs no compression
# and no link. What is left may be compressed, where that still pays:

# %%
cheaper = trimming.faster("trimmed", at_least=1)
print(
    "Trimming is no trade: fewer bytes and less CPU, so it is ahead on slow links and on fast ones."
    if cheaper
    else "Trimming takes bytes away; whether CPU as well, this machine cannot tell."
)
print(f"Of the trimmed list, gzip 1 pays below {trimmed_pays:significant} Mbit/s.")

# %% [markdown]
# ## The verdicts

# %% jupyter={"source_hidden": true}
from course_app.measure.statistics import significant

between = (pays_below["zstd 4"].low * pays_below["gzip 9"].high) ** 0.5
lab.verdict(
    16,
    "holds when",
    "The answer is text of some kilobytes, and the link is slow enough for the coding and its "
    "level: the dearer the level, the slower. On fast links gzip makes answers slower; zstd 4 "
    "pays on faster ones than gzip 9 does. Empty and dense answers would grow: `minimum_size` and "
    "a list of types spare most of them.",
    {
        "on one machine level 9 takes at least 3 times as long": (
            comparison.speedup("level 9").below(1 / 3)
        ),
        "gzip 9 pays at 10 Mbit/s": pays_below["gzip 9"].above(10),
        "gzip 9 does not pay at 1000 Mbit/s": pays_below["gzip 9"].below(1000),
        "gzip 1 pays on faster links than gzip 9": (
            pays_below["gzip 1"].above(pays_below["gzip 9"].high)
        ),
        f"at {significant(between)} Mbit/s zstd 4 pays": pays_below["zstd 4"].above(between),
        f"at {significant(between)} Mbit/s gzip 9 does not": pays_below["gzip 9"].below(between),
        "an empty list and dense bytes become larger": (
            small[0][1] > small[0][0] and len(packed) > len(DENSE)
        ),
        "on the loop, a large answer stalls it for most of its time": (
            lag.share("1000 posts, on the loop").above(0.5)
        ),
        "in a thread it does not": lag.share("1000 posts").below(0.5),
    },
    number=f"in this run it pays below {pays_below['gzip 9']:significant} Mbit/s with gzip 9, "
    f"{pays_below['gzip 1']:significant} with gzip 1, "
    f"{pays_below['zstd 4']:significant} with zstd 4",
)

# %% jupyter={"source_hidden": true}
lab.verdict(
    "T5",
    "holds when",
    "Trimming holds on every link: it saves bytes and CPU. Compressing costs CPU, and pays up "
    "to a speed of the link that depends on the coding.",
    {
        "trimming sends less than half of the bytes": (
            lean["trimmed"].size_bytes < 0.5 * lean["whole"].size_bytes
        ),
        "trimming takes less CPU": trimming.faster("trimmed", at_least=1),
        "compressing takes more CPU": trimming.speedup("whole, level 1").below(1),
    },
    evidence=trimming.speedup("trimmed"),
    number=f"CPU per request, the whole is 1: trimmed {trimming.speedup('trimmed').inverse()}, "
    f"gzip 1 {trimming.speedup('whole, level 1').inverse()}",
)

# %% [markdown]
# ## What to take away
#
# - Compute where it turns: bits saved, divided by extra seconds of CPU, is the speed of the link
#   below which compression pays. Then ask who your clients are.
# - Say the coding and the level. Starlette's default is gzip 9; the lines below the figure of the
#   levels tell what it buys over 6, and what beats it.
# - Levels at the top of their range are for files that are compressed once.
# - Leave alone what is small, what is dense, and who sits next to you.
# - Trim before you compress.
# - Mind the loop: for what is just below `thread_minimum_size` everybody waits.
# - A proxy in front of you can do all this outside of your event loop.
#
# Next: [the exercise](../exercises/07_compression.ipynb). A colleague has added the guide's line to
# a service; you decide what deserves it and what does not.
#
# ## Read more
#
# - [RFC 9110, section 8.4 and 12.5.3](https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3): what
#   codings are, and how they are asked for.
# - [New standards for a faster and more private
#   Internet](https://blog.cloudflare.com/new-standards/): Cloudflare turned zstd on and compares it
#   with Brotli and gzip on its traffic.
# - [Offload large GZip compression](https://github.com/Kludex/starlette/pull/3410): why Starlette
#   compresses in a thread from 128 KiB on, and what was measured to find that threshold.
# - [BREACH](https://breachattack.com/): the attack of the section on secrets, below.
#
# **From the field.** [InvokeAI](https://github.com/invoke-ai/InvokeAI/pull/9441), an image
# generator that most people run on their own machine, had the guide's line, `minimum_size=1000` and
# no level. For the names of 200,000 images, 8.48 MB of JSON, its developers measured 90.2 ms with
# level 9, which nobody had chosen, and 16.4 ms with level 1, all of it on the event loop. Level 9
# leaves 5.7 % of the bytes, level 1 leaves 6.1 %. Since 2026 the level is a setting.

# %% [markdown]
# ## Going further (optional)
#
# Nothing below belongs to a verdict.
#
# ### When it hurts: secrets
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
# The shortest answer says which guess was right. (`71c2` stands in the token as well, but not
# behind `value="`: it makes two short repetitions, and the right guess one long one.) This attack
# is known as BREACH. Do not compress pages that hold both, or give them a token that looks
# different each time.
#
# ### In a crowd
#
# The figure of the links is for one request at a time. In a busy server each millisecond of CPU is
# one that others wait for, too, and the busier the server is, the longer they wait ([lesson
# 15](15_overload.ipynb) has the law of the queue). The same break-evens, computed for two rates, at
# which gzip 9 keeps a core busy for 30 % and for 80 % of the time:


# %%
def in_a_crowd(way: Delivery, per_ms: float) -> Delivery:
    """With the mean wait for those who came before: requests of equal work, at random times."""
    busy = np.minimum(per_ms * way.cpu_ms, 0.99)
    return Delivery(way.cpu_ms * (1 + busy / (2 * (1 - busy))), way.size_bytes)


dearest_ms = mean_interval(ways["gzip 9"].cpu_ms).estimate
crowded = {}
for utilisation in (0.3, 0.8):
    rate = utilisation / dearest_ms
    crowd = {name: in_a_crowd(way, rate) for name, way in ways.items() if name != "br 11"}
    crowded[utilisation] = {n: break_even(crowd[n], crowd["plain"]) for n in list(crowd)[1:]}
    said = "; ".join(
        f"{n} pays below {speed:significant}" for n, speed in crowded[utilisation].items()
    )
    print(f"At {1e3 * rate:.0f} requests/s, in Mbit/s: {said}")

# %% [markdown]
# By this formula the dearer a coding is, the more of its range a crowd takes from it. Compare gzip
# 9 with the others at the higher rate, limits and all.
#
# ### What is dense, and what is sent in pieces
#
# Images, archives and encrypted data hold no repetition. Since its version 1.5 Starlette leaves a
# list of types alone: the usual images, audio, video, some archives and fonts. It cannot know all
# types, least of all `application/octet-stream`, which says nothing. And an answer sent in pieces
# is compressed in pieces, because each has to leave at once (before 1.5 they stayed in the
# compressor until there was enough).

# %%
from fastapi import Response
from fastapi.responses import StreamingResponse


async def piece_by_piece():
    for post in POSTS[:90]:
        yield post.model_dump_json()


ANSWERS = {
    "list": lambda: Response(body, media_type="application/json"),
    "same list, in pieces": lambda: StreamingResponse(piece_by_piece(), media_type="text/plain"),
    "photo": lambda: Response(DENSE, media_type="image/jpeg"),
    "archive": lambda: Response(DENSE, media_type="application/octet-stream"),
    "small": lambda: Response(b'{"ok": true}', media_type="application/json"),
}
kinds = FastAPI()
kinds.add_api_route("/{kind}", lambda kind: ANSWERS[kind]())
kinds.add_middleware(GZipMiddleware, minimum_size=1000)

# %%
sent = {}
with lab.serve(kinds) as server:
    for kind in ANSWERS:
        _, before = fetch(server, f"/{kind}", "identity")
        headers, after = fetch(server, f"/{kind}")
        sent[kind] = len(before), len(after)
        coding = headers["Content-Encoding"] or "as it is"
        print(f"{kind:>20}: {len(before):7,} B, {len(after):7,} B {coding}")

# %% [markdown]
# Name such types yourself: `exclude_content_types=(*DEFAULT_EXCLUDED_CONTENT_TYPES, ...)`.
