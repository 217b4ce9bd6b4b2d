# %% [markdown]
# # 11 - Rate limiting
#
# The guide protects an API with a few lines: an HTTP middleware keeps a list of time stamps for
# each client address, and raises `HTTPException(429)` when the list is full.
#
# In this lesson you look at what its clients really get, what a check costs, what it keeps, and
# what happens to the limit when a second worker starts. Then you build one that is exact. It
# takes about a minute of measuring.

# %%
from course_app.lab import Lab, get, sequence

lab = Lab()

# %% [markdown]
# ## Your prediction
#
# The limit is 60 requests a minute. One client sends 100 in a row. How many of them are answered
# with status 429?

# %%
guess = lab.predict(40, "of 100 requests answered with 429")

# %% [markdown]
# ## The limiter of the guide
#
# A middleware that remembers when each client came. It forgets what is older than the window, and
# refuses who has come too often.

# %%
import time
from collections import defaultdict

from fastapi import FastAPI, HTTPException, Request


def raises_in_middleware(limit: int = 60, window_seconds: float = 60) -> FastAPI:
    app, seen = FastAPI(), defaultdict(list)

    @app.middleware("http")
    async def rate_limit(request: Request, call_next):
        now, client = time.time(), request.client.host
        seen[client] = [stamp for stamp in seen[client] if now - stamp < window_seconds]
        if len(seen[client]) >= limit:
            raise HTTPException(429, "Too many requests")
        seen[client].append(now)
        return await call_next(request)

    @app.get("/hello")
    async def hello():
        return {"hello": "world"}

    return app


# %%
from collections import Counter

ANY = (200, 429, 500)


def statuses(app: FastAPI) -> Counter:
    answers = lab.replay(app, get("/hello", expect_status=ANY), requests=100).answers
    return Counter(f"status {answer.status}" for answer in answers)


raised = statuses(raises_in_middleware())
print(f"predicted: {guess.value:g} x 429; counted: {dict(raised)}")

# %% [markdown]
# Who is refused gets a status, but whose? FastAPI turns an `HTTPException` into an answer in one
# layer of the stack. Here is that stack, from the outside to the inside.


# %%
def layers(app: FastAPI) -> list[str]:
    found, layer = [], app.build_middleware_stack()
    while layer is not app.router:
        found.append(type(layer).__name__)
        layer = layer.app
    return [*found, "your routes"]


print(" > ".join(layers(raises_in_middleware())))

# %% [markdown]
# A middleware of ours (`BaseHTTPMiddleware`) stands **outside** of the `ExceptionMiddleware`, which
# knows what an `HTTPException` is. What it raises meets only the `ServerErrorMiddleware`: an
# unknown error, status 500, and a traceback in the log. A client that is told 500 does not slow
# down. It tries again.
#
# A middleware has to *return* its refusal; a dependency may raise it, because it runs inside.
# We take the dependency, for any limiter that says how long a client has to wait.

# %%
import math
from contextlib import aclosing, asynccontextmanager

from fastapi import Depends


def limited(limiter) -> FastAPI:
    async def check(request: Request):
        wait = await limiter.wait_seconds(request.client.host)
        if wait > 0:
            raise HTTPException(429, "Too many requests", {"Retry-After": str(math.ceil(wait))})

    @asynccontextmanager
    async def lifespan(app: FastAPI):
        async with aclosing(limiter):
            yield

    app = FastAPI(lifespan=lifespan, dependencies=[Depends(check)])

    @app.get("/hello")
    async def hello():
        return {"hello": "world"}

    return app


# %% [markdown]
# The guide's list again, as such a limiter:


# %%
class ListLimiter:
    def __init__(self, limit: int = 60, window_seconds: float = 60):
        self.limit, self.window_seconds, self.seen = limit, window_seconds, defaultdict(list)

    async def wait_seconds(self, client: str) -> float:
        now = time.time()
        stamps = [stamp for stamp in self.seen[client] if now - stamp < self.window_seconds]
        self.seen[client] = stamps
        if len(stamps) >= self.limit:
            return stamps[0] + self.window_seconds - now
        stamps.append(now)
        return 0

    async def aclose(self):
        pass


# %%
from course_app.plots import plot_counts

by_dependency = statuses(limited(ListLimiter()))
plot_counts(
    {"raised in a middleware": raised, "raised in a dependency": by_dependency},
    x_label="requests of one client, sent in a row",
    title=f"100 requests, 60 allowed: raised in a middleware, 429 comes {raised['status 429']} "
    f"times; raised in a dependency, {by_dependency['status 429']} times",
    mark=(60, "the limit"),
)

# %% [markdown]
# ## What a refusal costs
#
# A 500 is not only wrong: each comes with a traceback in the log. To see what that takes we need
# uvicorn as a program, in a process of its own. It cannot import a notebook's cell, so both ways to
# refuse stand in a module too, `course_app.apps.rate_limited`.

# %%
from course_app.serving import ProcessServer


def serve(workers: int, *arguments: str) -> ProcessServer:
    return ProcessServer(
        "course_app.apps.rate_limited:from_environment",
        workers=workers,
        env={"RATE_VALKEY_URL": lab.valkey_url, "RATE_LIMIT": "60"},
        arguments=["--factory", *arguments],
    )


# %%
with serve(1) as server:
    refusals = lab.compare(
        {"refused by 500": server, "refused by 429": server},
        {
            "refused by 500": get("/raises", expect_status=500),
            "refused by 429": get("/memory", expect_status=(200, 429)),
        },
        concurrency=1,
        same_answers=False,
        at_least=1.5,
        most_rounds=10,
    )
refusals.plot(counters=0)

# %% [markdown]
# ## What a check costs, and what it keeps
#
# The list is rebuilt on every request. How long does that take when the limit is high and the
# client has used it up? Beside it, the limiter that we are going to trust. It keeps its stamps in
# Valkey, and does everything in one script:

# %%
import redis.asyncio as redis

SCRIPT = """
local seconds, micros = unpack(redis.call('TIME'))
local now, limit, window = seconds * 1e6 + micros, tonumber(ARGV[1]), tonumber(ARGV[2])
local oldest = redis.call('LINDEX', KEYS[1], limit - 1)
if oldest and oldest + window > now then
    return oldest + window - now
end
redis.call('LPUSH', KEYS[1], now)
redis.call('LTRIM', KEYS[1], 0, limit - 1)
redis.call('PEXPIRE', KEYS[1], window / 1000)
return 0
"""


class ValkeyLimiter:
    def __init__(self, limit: int = 60, window_seconds: float = 60, url: str = ""):
        self.arguments = [limit, int(window_seconds * 1e6)]
        self.valkey = redis.Redis.from_url(url or lab.valkey_url)
        self.script = self.valkey.register_script(SCRIPT)

    async def wait_seconds(self, client: str) -> float:
        return int(await self.script([f"rate:{client}"], self.arguments)) / 1e6

    async def aclose(self):
        await self.valkey.aclose()


# %% [markdown]
# It is a **sliding window**: at most `limit` requests in *any* stretch of that length, not one
# limit before and another after the full minute. The trick is in the third line. The list holds the
# newest stamp first, so at index `limit - 1` stands the request that was let through `limit`
# requests ago. If that one is younger than the window, the client has to wait until it is not.
# No loop, and never more than `limit` stamps.
#
# Valkey runs a script as a whole, so no other worker gets in between. The clock is Valkey's, too.

# %%
from redis import Redis

valkey, HOUR = Redis.from_url(lab.valkey_url), 3600


def full_list(limit: float) -> FastAPI:
    limiter = ListLimiter(int(limit), HOUR)
    limiter.seen["127.0.0.1"] = [time.time()] * int(limit)
    return limited(limiter)


def full_valkey(limit: float) -> FastAPI:
    valkey.delete("rate:127.0.0.1")
    micros = int(time.time() * 1e6)
    for start in range(0, int(limit), 5000):
        valkey.lpush("rate:127.0.0.1", *[micros] * min(5000, int(limit) - start))
    return limited(ValkeyLimiter(int(limit), HOUR))


# %%
costs = lab.sweep(
    {"list in memory": full_list, "script in Valkey": full_valkey},
    get("/hello", expect_status=429),
    parameter="limit, requests per window",
    values=[60, 600, 6_000, 60_000],
    metric="p50",
    concurrency=1,
    windows=2,
)
list_growth = costs.growth("list in memory", 60, 60_000)
valkey_growth = costs.growth("script in Valkey", 60, 60_000)
costs.plot(
    title=f"1000 times the limit: a request takes {list_growth} as long with the list, "
    f"{valkey_growth} with the script",
    crossing=True,
)

# %% [markdown]
# The list's work grows with the limit, and it is done on the event loop, where everybody else
# waits for it. The script pays one round trip and then always the same. For a small limit the list
# is the faster one, left of where the lines cross: what you buy in Valkey is not speed.
#
# Now 1,000 clients come once each, within a second or so. The window is a second. How many keys
# does each limiter hold, then and later? (The load generator sends `X-Forwarded-For`, so that each
# request comes from another address.)

# %%
from contextlib import ExitStack

from course_app.load import text

strangers = {"X-Forwarded-For": text("2001:db8::{n}", n=sequence())}
from_anywhere = get("/hello", headers=strangers)
limiters = {"list in memory": ListLimiter(60, 1), "script in Valkey": ValkeyLimiter(60, 1)}
count_keys = {
    "list in memory": lambda: len(limiters["list in memory"].seen),
    "script in Valkey": lambda: sum(1 for _ in valkey.scan_iter("rate:*", count=1000)),
}
valkey.flushdb()
keys = {name: ([0.0], [count()]) for name, count in count_keys.items()}

# %%
with ExitStack() as stack:
    targets = []
    for limiter in limiters.values():
        server = stack.enter_context(lab.serve(limited(limiter)))
        targets.append(lab.generator.connect(server.url, from_anywhere, concurrency=4))
    start = time.monotonic()
    for step in range(11):
        for target in targets if step < 4 else ():
            lab.generator.closed(target, requests=250)
        time.sleep(0.25)
        for name, count in count_keys.items():
            keys[name][0].append(time.monotonic() - start)
            keys[name][1].append(count())

# %%
from course_app.plots import plot_over_time

left = {name: counts[-1] for name, (_, counts) in keys.items()}
plot_over_time(
    keys,
    y_label="clients remembered",
    title=f"When every window is over, {left['list in memory']:,} clients are still remembered in "
    f"memory, {left['script in Valkey']:,} in Valkey",
)

# %% [markdown]
# The stamps of a client are thrown away when *that client* comes again. Who never comes again stays
# for ever, and addresses are cheap: an attacker with IPv6 has more of them than you have memory. In
# Valkey every key has an expiry, and nobody has to remember to clean up.
#
# ## One limit, several workers
#
# Both limiters again, in the module, with 1, 2 and 4 worker processes. 400 requests of one client
# come over 60 connections, and the limit is 60.


# %%
def burst(server: ProcessServer, path: str, headers: dict | None = None) -> dict[str, int]:
    valkey.flushdb()
    traffic = get(path, headers=headers, expect_status=(200, 429))
    target = lab.generator.connect(server.url, traffic, concurrency=60)
    found = lab.generator.closed(target, requests=400).status_counts()
    return {"passed": found.get(200, 0), "refused": found.get(429, 0)}


# %%
MEMORY, VALKEY = "in memory", "in Valkey"
bursts = {}
for workers in (1, 2, 4):
    with serve(workers) as server:
        bursts[MEMORY, workers] = burst(server, "/memory")
        bursts[VALKEY, workers] = burst(server, "/valkey")

# %%
passed = {key: parts["passed"] for key, parts in bursts.items()}
plot_counts(
    {f"{kind}, workers: {n}": bursts[kind, n] for kind in (MEMORY, VALKEY) for n in (1, 2, 4)},
    x_label="requests of one client within a few moments",
    title=f"Limit 60, four workers: {passed[MEMORY, 4]} pass if each worker counts for itself, "
    f"{passed[VALKEY, 4]} if Valkey counts",
    mark=(60, "the limit"),
)

# %% [markdown]
# Each worker has its own dictionary, and the kernel
# deals out connections as it likes: the limit becomes *up to* the limit times the workers, and
# another number after each deployment.
#
# ## The library's answer
#
# [`limits`](https://limits.readthedocs.io) has sliding windows on Redis and Valkey, also by a
# script. Its `hit` says yes or no. How long to wait is another question, and another round trip.

# %%
from limits import RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter


class LibraryLimiter:
    def __init__(self, limit: int = 60, url: str = ""):
        address = f"async+{url or lab.valkey_url}"
        self.storage = RedisStorage(address, implementation="redispy")
        self.window = MovingWindowRateLimiter(self.storage)
        self.limit = RateLimitItemPerMinute(limit)

    async def wait_seconds(self, client: str) -> float:
        if await self.window.hit(self.limit, client):
            return 0
        stats = await self.window.get_window_stats(self.limit, client)
        return max(stats.reset_time - time.time(), 0.001)

    async def aclose(self):
        await self.storage.bridge.get_connection().aclose()


# %%
HIGH = 1_000_000
round_trips = {}
with lab.wire_tap() as tap:
    for name, kind in {"our script": ValkeyLimiter, "limits": LibraryLimiter}.items():
        for what, limit, status in (("served", HIGH, 200), ("refused", 1, (200, 429))):
            valkey.flushdb()
            app, traffic = limited(kind(limit)), get("/hello", expect_status=status)
            round_trips[name, what] = tap.count(app, traffic, server="valkey").round_trips
for (name, what), count in round_trips.items():
    print(f"{name}, a request that is {what}: {count:.1f} round trips to Valkey")

# %%
unlimited = FastAPI()


@unlimited.get("/hello")
async def hello():
    return {"hello": "world"}


ways = lab.compare_requests(
    {
        "no limiter": unlimited,
        "our script": limited(ValkeyLimiter(HIGH)),
        "limits": limited(LibraryLimiter(HIGH)),
    },
    "/hello",
    at_least=0.9,
)
ours, theirs = ways.speedup("our script"), ways.speedup("limits")
ways.plot(
    title="What a limiter costs everybody: the CPU of a request that is served grows to "
    f"{ours.inverse()} with our script, {theirs.inverse()} with limits",
    counters=["Valkey round trips / request"],
)

# %% [markdown]
# Both decide in one script, for any number of workers. They differ by whose clock counts (`limits`
# sends the worker's) and by that second question, which is asked a moment later: the window may
# have moved on, and what is left of the wait may be nothing. Hence the `max`; without it, a refused
# request would slip through. Take the library if you want its choice of strategies and storages.
# Neither is free: this is the price of every *well-behaved* request, too.
#
# ## When it does not help: behind a proxy
#
# In production your app sees one address only, the proxy's. uvicorn puts in its place what the
# proxy writes into `X-Forwarded-For`, if the proxy is one of `--forwarded-allow-ips`. Many set that
# to `*` and are done. Here 400 honest clients send one request each. Then a liar sends 400, each
# with another invented address, to which the proxy appends the true one.

# %%
LIES = {"X-Forwarded-For": text("2001:db8::{n}, 203.0.113.9", n=sequence())}
SETTINGS = {
    "header ignored": ["--no-proxy-headers"],
    "proxy trusted": ["--forwarded-allow-ips", "127.0.0.1"],
    "all trusted": ["--forwarded-allow-ips", "*"],
}
behind = {}
for setting, arguments in SETTINGS.items():
    with serve(1, *arguments) as server:
        behind[f"{setting}, 400 clients"] = burst(server, "/valkey", strangers)
        behind[f"{setting}, one liar"] = burst(server, "/valkey", LIES)

# %%
plot_counts(
    behind,
    x_label="requests by way of a proxy",
    title=f"Header ignored: {behind['header ignored, 400 clients']['refused']} of 400 clients are "
    f"refused. All trusted: one liar passes {behind['all trusted, one liar']['passed']} times",
    mark=(60, "limit of one client"),
)

# %% [markdown]
# Only the middle setting is right both times: 400 clients pass, and the liar counts as one. Better
# than any address is a user, or an API key that was verified: whole offices share an address, and
# addresses are free.
#
# ## When it does not help: overload
#
# A refusal is work as well: the connection is accepted, the request parsed, the limiter asked. The
# sweep compares the CPU of a request that is served with that of one that is refused, over the
# work that the handler would have had.


# %%
def working(app: FastAPI, ms: float) -> FastAPI:
    @app.get("/work")
    async def work():
        end = time.thread_time() + ms / 1e3
        while time.thread_time() < end:
            pass

    return app


overload = lab.sweep(
    {
        "served, no limiter": lambda ms: working(FastAPI(), ms),
        "refused, script in Valkey": lambda ms: working(limited(ValkeyLimiter(1, HOUR)), ms),
    },
    get("/work", expect_status=(200, 429)),
    parameter="work in the handler, ms",
    values=[0.03, 0.2, 1, 5],
    metric="cpu",
    concurrency=8,
    windows=2,
)

# %%
small, large = (
    overload.ratio("served, no limiter", "refused, script in Valkey", ms) for ms in (0.03, 5)
)
overload.plot(
    title=f"Serving costs {small} as much as refusing if there is little to do, "
    f"{large} if there are 5 ms of work",
    crossing=True,
)

# %% [markdown]
# Left of the crossing a refusal costs the server more than an answer would have. Right of it each
# refusal saves a request's work, but never the price of refusing: a flood of refused requests still
# fills the loop. Overload is stopped where requests are cheap to drop: in the proxy, the load
# balancer, the network. A limiter in the app shares out what the app can do among its clients.
# [Lesson 15](15_overload.ipynb) overloads a service and finds what an app can do itself.
#
# ## The verdicts

# %%
lab.verdict(
    20,
    "wrong",
    "A middleware stands outside of the layer that makes answers of an HTTPException; its clients "
    "get 500. Return the refusal, or raise it in a dependency.",
    {
        "raised in a middleware: 40 of 100 get 500, none 429": (
            raised == {"status 200": 60, "status 500": 40}
        ),
        "raised in a dependency: 40 of 100 get 429": (
            by_dependency == {"status 200": 60, "status 429": 40}
        ),
    },
    number=f"429: {raised['status 429']} of 40 refusals",
)

# %%
lab.verdict(
    21,
    "holds when",
    "There is one worker, a low limit, and few clients. Each worker counts for itself, a check "
    "costs more the higher the limit, and no client is ever forgotten.",
    {
        "one worker: exactly 60 pass": passed[MEMORY, 1] == 60,
        "several workers: more than 60 pass": max(passed[MEMORY, n] for n in (2, 4)) > 60,
        "1000 times the limit makes a check at least 3 times as slow": list_growth.above(3),
        "1,000 clients are still remembered long after their window": (
            left["list in memory"] == 1000
        ),
    },
    number=f"{passed[MEMORY, 4]} pass with 4 workers, limit 60",
)

# %%
lab.verdict(
    "T8",
    "holds when",
    "The state is shared, the client is known by more than what it says itself, and a request "
    "costs more than its refusal. It shares out the app; it does not protect it from a flood.",
    {
        "counted in Valkey, exactly 60 pass with 1, 2 and 4 workers": all(
            passed[VALKEY, workers] == 60 for workers in (1, 2, 4)
        ),
        "with the proxy trusted 400 clients pass, and the liar 60 times": (
            behind["proxy trusted, 400 clients"]["passed"] == 400
            and behind["proxy trusted, one liar"]["passed"] == 60
        ),
        "with 5 ms of work a refusal costs less than half": large.above(2),
        "with next to no work a refusal saves less than a third": small.below(1.5),
    },
    number=f"exactly {passed[VALKEY, 4]} pass with 4 workers",
)

# %% [markdown]
# ## What to take away
#
# - Look at what the client gets. A limiter that answers 500 invites retries.
# - Raise in a dependency or return from a middleware, with `Retry-After`, so that a polite client
#   knows when to come back.
# - State that must be one for all workers belongs outside of them. One script is one round trip,
#   and nobody gets in between.
# - Give every key an expiry. Whatever is only cleaned up when its owner returns is a leak.
# - Know your client: by an API key, or by a proxy that you trust by its address, never by `*`.
# - Against floods, refuse before the app.
#
# Next: [the exercise](../exercises/11_rate_limiting.ipynb). You get the broken limiter and make it
# right, also on three workers.
