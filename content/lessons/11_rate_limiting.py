# %% [markdown]
# # 11 - Rate limiting
#
# The guide protects an API with a few lines: an HTTP middleware keeps a list of time stamps for
# each client address, and raises `HTTPException(429)` when the list is full.
#
# In this lesson you look at what its clients really get, what a limit means at the border of its
# window, what a check costs and keeps, and what happens to the limit when a second worker starts.
# It takes less than a minute of measuring.

# %% [markdown]
# ## Do you remember?
#
# <details><summary>A report takes seconds of pure Python. Somebody moves it into a background task,
# written as <code>async def</code>, so that nobody waits for it any more. Who waits now?</summary>
#
# Everybody else. The task runs after the answer, but on the same event loop, and while it computes
# no other request gets a turn. Computing belongs in another process.
#
# </details>
#
# <details><summary>A shop mails its confirmations in background tasks, and each deployment ends the
# server by a clean SIGTERM. Can mails be lost, and what would keep them?</summary>
#
# They can: the work is in the server's memory and nowhere else, so it depends on the server
# program, on its options and on the patience of whoever sent the signal. A queue keeps each job
# until a worker has finished it. The price is that a job may be done twice, so it has to look
# whether it is done already.
#
# </details>
#
# <details><summary>Lesson 08: a cache is a dictionary, and each of its entries expires after a
# minute. Why can the process still run out of memory, and what changes with four workers?</summary>
#
# An expired entry goes only when somebody asks for its key again; a key that comes once stays. So a
# cache needs a largest size. Four workers have four such dictionaries: up to four times the memory
# and the fetches, and answers of four different ages.
#
# </details>

# %%
from course_app.lab import Lab, get, sequence

lab = Lab("11")

# %% [markdown]
# ## Your prediction
#
# The limit is 60 requests a minute. One client sends 100 in a row. How many of them are answered
# with status 429? Write your guess in place of the dots.

# %%
guess = lab.predict(..., "of 100 requests answered with 429")

# %% [markdown]
# ## The limiter of the guide
#
# A middleware that remembers when each client came. It forgets what is older than the window, and
# refuses who has come too often.

# %%
import itertools
import time
from collections import defaultdict

from fastapi import FastAPI, HTTPException, Request


async def hello():
    return {"hello": "world"}


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

    app.get("/hello")(hello)
    return app


# %%
from collections import Counter


def statuses(app: FastAPI) -> Counter:
    traffic = get("/hello", expect_status=(200, 429, 500, 503))
    answers = lab.replay(app, traffic, requests=100).answers
    return Counter(f"status {answer.status}" for answer in answers)


raised = statuses(raises_in_middleware())
print(dict(raised))
print(guess.against(raised["status 429"]))

# %% [markdown]
# Who is refused gets a status, but whose? FastAPI turns an `HTTPException` into an answer in one
# layer of the stack. Here is that stack, from the outside to the inside.


# %%
def layers(app: FastAPI):
    layer = app.build_middleware_stack()
    while layer is not app.router:
        yield type(layer).__name__
        layer = layer.app


print(" > ".join([*layers(raises_in_middleware()), "your routes"]))

# %% [markdown]
# A middleware of ours (`BaseHTTPMiddleware`) stands **outside** of the `ExceptionMiddleware`, which
# knows what an `HTTPException` is. What it raises meets only the `ServerErrorMiddleware`: an
# unknown error, status 500, and a traceback in the log. A client that is told 500 has no reason to
# slow down. Many try again. (Further layers are FastAPI's own, such as those for its telemetry and
# for the size of bodies; which ones there are depends on its version.)
#
# A middleware has to *return* its refusal; a dependency may raise it, because it runs inside. But
# it runs for the app's own handlers only: unknown paths, `/docs` and mounted apps are limited by
# a middleware alone. We take the dependency, for any limiter that says how many seconds a client
# has to wait; the client is told by the header `Retry-After`.

# %%
import math
from contextlib import asynccontextmanager

from fastapi import Depends


def limited(limiter, *opened) -> FastAPI:
    """An app behind a limiter, which closes at its end what the limiter has opened."""

    async def check(request: Request):
        wait = await limiter(request.client.host)
        if wait > 0:
            raise HTTPException(429, "Too many requests", {"Retry-After": str(math.ceil(wait))})

    @asynccontextmanager
    async def lifespan(app: FastAPI):
        yield
        for client in opened:
            await client.aclose()

    app = FastAPI(lifespan=lifespan, dependencies=[Depends(check)])

    app.get("/hello")(hello)
    return app


# %% [markdown]
# The guide's list again, as such a limiter:


# %%
class ListLimiter:
    def __init__(self, limit: int = 60, window_seconds: float = 60):
        self.limit, self.window_seconds, self.seen = limit, window_seconds, defaultdict(list)

    async def __call__(self, client: str) -> float:
        now = time.time()
        self.seen[client] = stamps = [t for t in self.seen[client] if now - t < self.window_seconds]
        if len(stamps) >= self.limit:
            return stamps[0] + self.window_seconds - now
        stamps.append(now)
        return 0


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
# ## Ten a second: which ten?
#
# "Ten requests a second" can mean three things. A **fixed window** counts from each full second to
# the next. The guide's list is a **sliding window**: at most ten in *any* second. A **token
# bucket** fills by ten tokens a second, up to its size (ours holds three), and each request takes
# one. (Instead of tokens ours keeps the time at which it will be full again.)
#
# One client sends 24 requests around a full second, and later 20 a second. How many of the 24
# does the fixed window let through?

# %%
guess_border = lab.predict(..., "of 24 requests around the border of a fixed window")


# %%
class FixedWindow:
    number, count = -1, 0

    def wait(self, now: float) -> float:
        if self.number != now // 1:
            self.number, self.count = now // 1, 0
        if self.count >= 10:
            return self.number + 1 - now
        self.count += 1
        return 0


class SlidingWindow:
    def __init__(self):
        self.stamps = [-math.inf] * 10

    def wait(self, now: float) -> float:
        if (left := self.stamps[0] + 1 - now) > 0:
            return left
        self.stamps = [*self.stamps[1:], now]
        return 0


class TokenBucket:
    full, size, token = 0.0, 3, 0.1

    def wait(self, now: float) -> float:
        full = max(self.full, now) + self.token
        if (left := full - now - self.size * self.token) > 1e-9:
            return left
        self.full = full
        return 0


# %% [markdown]
# A limiter sees nothing but times. So we need no server and no clock to compare them: we play both.

# %%
came = [0.812 + 0.016 * n for n in range(24)] + [2.025 + 0.05 * n for n in range(40)]
kinds = {"fixed window": FixedWindow, "sliding window": SlidingWindow, "token bucket": TokenBucket}
waits = {name: list(map(kind().wait, came)) for name, kind in kinds.items()}
let = {name: [t for t, w in zip(came, each, strict=True) if w == 0] for name, each in waits.items()}


def most_within(times: list[float], seconds: float) -> int:
    return max(sum(start <= t < start + seconds for t in times) for start in times)


# %%
from course_app.plots import plot_passes

at_once = {name: most_within(times, 0.4) for name, times in let.items()}
plot_passes(
    {name: (came, [wait == 0 for wait in each]) for name, each in waits.items()},
    title="Ten a second. At most so many pass within any 0.4 s: "
    + ", ".join(f"{name} {most}" for name, most in at_once.items()),
    borders=[1, 2, 3, 4],
    border="the fixed window begins anew",
)

# %% [markdown]
# At most: how many pass in any second, the pause between two that pass while 20 a second come, and
# the wait that a client is told.

# %%
print(guess_border.against(sum(t < 2 for t in let["fixed window"])))
for name, times in let.items():
    pause = max(b - a for a, b in itertools.pairwise(t for t in times if t > 2))
    told = max(waits[name])
    print(f"{name}: {most_within(times, 1)} pass, pause {pause:.2f} s, told to wait {told:.2f} s")

# %% [markdown]
# The fixed window keeps its promise from second to second, and breaks it over the border, up to
# twice the limit. And as its border is the same for all clients, all who were refused, whoever
# they are, are told to come back at the same moment. The sliding window never breaks it, but a
# client that asks too often gets everything at once and then nothing. The bucket spreads what
# passes: that is what the server behind it feels, and its size says how much may come at once. (A
# full bucket lets its size pass on top of a second's tokens.)
#
# Is it the same with servers, workers and a shared count? `course_app.apps.rate_limited` has a door
# for each, as a script in Valkey: a few lines of the language Lua, which the server itself runs. It
# runs them as a whole, so no other worker gets in between, and the clock is Valkey's. This is the
# one for the sliding window:

# %%
from IPython.display import Code

from course_app.apps.rate_limited import SLIDING_WINDOW, in_valkey
from course_app.serving import ProcessServer

Code(SLIDING_WINDOW, language="lua")

# %% [markdown]
# The trick is in the third line. The list holds the newest stamp first, so at index `limit - 1`
# stands the request that was let through `limit` requests ago. If that one is younger than the
# window, the client has to wait until it is not. No loop, and never more than `limit` stamps.
#
# Two workers, 60 a second, a bucket of 20. A client sends 80 requests shortly before a full second
# and 80 shortly after it.


# %%
def serve(workers: int, *arguments: str, window_seconds: float = 60) -> ProcessServer:
    rate = {"RATE_LIMIT": "60", "RATE_WINDOW_SECONDS": str(window_seconds), "RATE_BURST": "20"}
    return ProcessServer(
        "course_app.apps.rate_limited:from_environment",
        workers=workers,
        env={"RATE_VALKEY_URL": lab.valkey_url, **rate},
        arguments=["--factory", *arguments],
    )


def send(server, path: str, requests: int, headers: dict | None = None, at_once=60) -> Counter:
    traffic = get(path, headers=headers, expect_status=(200, 429))
    target = lab.generator.connect(server.url, traffic, concurrency=min(requests, at_once))
    return Counter(lab.generator.closed(target, requests=requests).status_counts())


# %%
DOORS = {"fixed window": "/fixed", "sliding window": "/valkey", "token bucket": "/bucket"}
at_border, in_time = {}, {}
with serve(2, window_seconds=1) as server:
    for name, door in DOORS.items():
        send(server, door, 80)
        time.sleep(2.7 - time.time() % 1)  # all is forgotten, and a full second is near
        began, before, between = time.time(), send(server, door, 80), time.time()
        time.sleep(max(0, math.ceil(began) + 0.02 - between))
        after = send(server, door, 80)
        in_time[name] = between < math.ceil(began) and time.time() < math.ceil(began) + 0.7
        at_border[name] = {"passed": (before + after)[200], "refused": (before + after)[429]}

# %%
around = {name: parts["passed"] for name, parts in at_border.items()}
plot_counts(
    at_border,
    x_label="requests of one client around a full second, by two workers",
    title="60 a second, 160 requests around a border, let through: "
    + ", ".join(f"{name} {count}" for name, count in around.items()),
    mark=(60, "the limit"),
)

# %%
print("sent too late to tell:", ", ".join(n for n in in_time if not in_time[n]) or "none")

# %% [markdown]
# ## What a check costs, and what it keeps
#
# The guide's list is rebuilt on every request. How long does that take when the limit is high and
# the client has used it up? Beside it, the script.

# %%
import redis.asyncio as redis
from redis import Redis

valkey, HOUR = Redis.from_url(lab.valkey_url), 3600


def by_script(limit: int = 60, window_seconds: float = 60) -> FastAPI:
    client = redis.Redis.from_url(lab.valkey_url)
    return limited(in_valkey(client, limit, window_seconds), client)


def full_list(limit: float) -> FastAPI:
    limiter = ListLimiter(int(limit), HOUR)
    limiter.seen["127.0.0.1"] = [time.time()] * int(limit)
    return limited(limiter)


def full_valkey(limit: float) -> FastAPI:
    valkey.delete("rate:127.0.0.1")
    valkey.lpush("rate:127.0.0.1", *[int(time.time() * 1e6)] * int(limit))
    return by_script(int(limit), HOUR)


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
list_growth, valkey_growth = (costs.growth(name, 60, 60_000) for name in costs.series)
costs.plot(
    title=f"1000 times the limit: a request takes {list_growth} as long with the list, "
    f"{valkey_growth} with the script",
    crossing=True,
)

# %% [markdown]
# The list's work grows with the limit, and it is done on the event loop, where everybody else
# waits for it. The script pays one round trip, whatever the limit. Left of a crossing the list is
# the faster one: there, what you buy in Valkey is not speed. (Two windows a point: their limits
# hold a ratio with 67 % only.)
#
# Now 1,000 clients come once each. The window is a second. Two seconds later, how many of them does
# each limiter remember? (The load generator sends `X-Forwarded-For`, the header in which a proxy
# says for whom it asks, so that each request comes from another address.)

# %%
from course_app.load import text

strangers = {"X-Forwarded-For": text("2001:db8::{n}", n=sequence())}
in_memory = ListLimiter(60, 1)
valkey.flushdb()
for app in (limited(in_memory), by_script(60, 1)):
    with lab.serve(app) as server:
        send(server, "/hello", 1000, strangers)
time.sleep(2)
left = {"in memory": len(in_memory.seen), "in Valkey": sum(1 for _ in valkey.scan_iter("rate:*"))}
print(f"clients remembered two seconds later: {left}")

# %% [markdown]
# The stamps of a client are thrown away when *that client* comes again. Who never comes again stays
# for ever, and addresses are cheap: an attacker with IPv6 has more of them than you have memory. In
# Valkey every key has an expiry, and nobody has to remember to clean up.
#
# ## One limit, several workers
#
# With 1, 2 and 4 worker processes, 400 requests of one client come over 60 connections. The limit
# is 60 a minute. How many pass, if four workers count in their own memory?

# %%
guess_workers = lab.predict(..., "of 400 requests let through by four workers")


# %%
def burst(server: ProcessServer, path: str, headers: dict | None = None) -> dict[str, int]:
    valkey.flushdb()
    found = send(server, path, 400, headers)
    return {"passed": found[200], "refused": found[429]}


MEMORY, VALKEY = "in memory", "in Valkey"
bursts = {}
for workers in (1, 2, 4):
    with serve(workers) as server:
        bursts[MEMORY, workers] = burst(server, "/memory")
        bursts[VALKEY, workers] = burst(server, "/valkey")

# %%
passed = {key: parts["passed"] for key, parts in bursts.items()}
print(guess_workers.against(passed[MEMORY, 4]))
plot_counts(
    {f"{kind}, workers: {n}": bursts[kind, n] for kind in (MEMORY, VALKEY) for n in (1, 2, 4)},
    x_label="requests of one client within a few moments",
    title=f"Limit 60, four workers: {passed[MEMORY, 4]} pass if each counts for itself, "
    f"{passed[VALKEY, 4]} if Valkey counts",
    mark=(60, "the limit"),
)

# %% [markdown]
# Each worker has its own dictionary, and the kernel deals out connections as it likes: the limit
# becomes *up to* the limit times the workers, and may be another number after each deployment.
#
# ## When Valkey does not answer
#
# Then nobody knows who has come how often. Somebody has to decide: let everybody pass (**fail
# open**), or nobody (**fail closed**)? Who does not decide gets what falls out of it:

# %%
import asyncio

from redis.exceptions import RedisError

undecidable = Counter()  # in production: a metric, where somebody looks


def decided(limiter, fail_open: bool, patience_seconds: float = 0.05):
    async def wait_seconds(client: str) -> float:
        try:
            async with asyncio.timeout(patience_seconds):
                return await limiter(client)
        except (RedisError, TimeoutError) as error:
            undecidable[type(error).__name__] += 1
            if fail_open:
                return 0
            raise HTTPException(503, "Try again", {"Retry-After": "1"}) from None

    return wait_seconds


# %%
with lab.outages() as network:
    client = redis.Redis.from_url(lab.valkey_url)
    script = in_valkey(client, 60, 60)
    network.cut("valkey")
    decisions = {
        "undecided": script,
        "open": decided(script, True),
        "closed": decided(script, False),
    }
    for name, limiter in decisions.items():
        print(f"{name}: {dict(statuses(limited(limiter, client)))}")

# %% [markdown]
# A limiter against carelessness should fail open: it must not be the reason for an outage. One that
# guards a password or a bill should fail closed. Both need a time limit of their own: a Valkey
# whose process ended says so at once, but for one that is silent a client library waits ([lesson
# 09](09_redis_cache.ipynb)).
#
# ### The crowd that opens the door
#
# Now Valkey is well, and what fails open is put to the test that it was made for: one client sends
# 600 requests, 200 at a time. The limit is 60. How many pass the limiter above?

# %%
guess_crowd = lab.predict(..., "of 600 requests, 200 at a time, let through by what fails open")

# %%
POOLS = {"redis-py's pool": redis.ConnectionPool, "a pool that waits": redis.BlockingConnectionPool}
crowds, reasons = {}, {}
for (kind, pool), seconds in itertools.product(POOLS.items(), (0.05, 1)):
    valkey.flushdb()
    undecidable.clear()
    client = redis.Redis(connection_pool=pool.from_url(lab.valkey_url))
    with lab.serve(limited(decided(in_valkey(client, 60, 60), True, seconds), client)) as server:
        found = send(server, "/hello", 600, at_once=200)
    name = f"{kind}, {1e3 * seconds:.0f} ms"
    crowds[name] = {"passed": found[200], "refused": found[429]}
    reasons[name] = dict(undecidable) or "none"

# %%
FIRST, *_, LAST = crowds
print(guess_crowd.against(crowds[FIRST]["passed"]))
for name, why in reasons.items():
    print(f"{name}: not decided: {why}")
plot_counts(
    crowds,
    x_label="requests of one client, 200 at a time, to a limiter that fails open",
    title=f"Limit 60, Valkey is well: {crowds[FIRST]['passed']} pass with {FIRST}, "
    f"{crowds[LAST]['passed']} with {LAST}",
    mark=(60, "the limit"),
)

# %% [markdown]
# Whatever is not decided passes, and here it is not Valkey that fails. The pool of redis-py 8
# holds 100 connections (that of earlier releases practically any number); who comes when all are
# taken does not wait, but gets a `MaxConnectionsError`, which is a `RedisError`. And the time
# limit runs while 199 others have their turns on the same loop: where a line above counts
# `TimeoutError`, 50 ms were over before the answer had been read. (A fast machine may count
# none.) So the crowd itself switches the limiter off. Let callers wait for a connection
# (`BlockingConnectionPool`), give them a time limit that a crowd does not reach, and count how
# often you could not decide.
#
# ## When it does not help: behind a proxy
#
# Behind a proxy your app sees one address only, the proxy's. uvicorn puts in its place what the
# proxy writes into `X-Forwarded-For`, if the proxy is one of `--forwarded-allow-ips` (by default
# only this machine). Many set that to `*` and are done. Here the load generator plays the proxy of
# 400 honest clients who send one request each. Then it plays the proxy of a liar who sends 400,
# each with another invented address, to which the proxy appends the true one.

# %% [markdown]
# The limit is 60, and `*` is set. How many of the liar's 400 requests pass?

# %%
guess_liar = lab.predict(..., "of a liar's 400 requests let through, with all proxies trusted")

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
print(guess_liar.against(behind["all trusted, one liar"]["passed"]))
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
# A refusal is work as well: the connection is accepted, the request parsed, the limiter asked. A
# flood of refused requests still fills the loop. Overload is stopped where requests are cheap to
# drop: in the proxy, the load balancer, the network. A limiter in the app shares out what the app
# can do among its clients. [Lesson 15](15_overload.ipynb) overloads a service and finds what an app
# can do itself.
#
# ## The verdicts

# %% jupyter={"source_hidden": true}
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

# %% jupyter={"source_hidden": true}
lab.verdict(
    21,
    "holds when",
    "There is one worker, a low limit, and few clients. Each worker counts for itself, a check "
    "costs more the higher the limit, and no client is ever forgotten.",
    {
        "one worker: exactly 60 pass": passed[MEMORY, 1] == 60,
        "several workers: more than 60 pass": max(passed[MEMORY, n] for n in (2, 4)) > 60,
        "1000 times the limit makes a check at least 3 times as slow": list_growth.above(3),
        "1,000 clients are still remembered long after their window": left[MEMORY] == 1000,
    },
    number=f"{passed[MEMORY, 4]} pass with 4 workers, limit 60",
)

# %% jupyter={"source_hidden": true}
lab.verdict(
    "T8",
    "holds when",
    "The state is shared, the window slides, and the client is known by more than what it says "
    "itself. It shares out the app; it does not protect it from a flood (lesson 15).",
    {
        "counted in Valkey, exactly 60 pass with 1, 2 and 4 workers": all(
            passed[VALKEY, workers] == 60 for workers in (1, 2, 4)
        ),
        "around a border a fixed window lets more than the limit pass, a sliding one does not": (
            around["fixed window"] > 60 >= around["sliding window"]
            if all(in_time.values())
            else None
        ),
        "with the proxy trusted 400 clients pass, and the liar 60 times": (
            behind["proxy trusted, 400 clients"]["passed"] == 400
            and behind["proxy trusted, one liar"]["passed"] == 60
        ),
    },
    number=f"exactly {passed[VALKEY, 4]} pass with 4 workers",
)

# %% [markdown]
# ## What to take away
#
# - Look at what the client gets. A limiter that answers 500 invites retries.
# - Raise in a dependency or return from a middleware, with `Retry-After`, so that a polite client
#   knows when to come back.
# - Say which limit you mean. A fixed window lets up to twice the limit pass over its border, a
#   sliding one never; a token bucket says how much may come at once, and spreads the rest.
# - State that must be one for all workers belongs outside of them. One script is one round trip,
#   and nobody gets in between.
# - Decide what happens when the count cannot be asked for: open or closed, and after how long. Try
#   it with a crowd: what fails open may open for the crowd alone.
# - Give every key an expiry. Whatever is only cleaned up when its owner returns is a leak.
# - Know your client: by an API key, or by a proxy that you trust by its address, never by `*`.
# - Against floods, refuse before the app.
#
# Next: [the exercise](../exercises/11_rate_limiting.ipynb). You get the broken limiter and make it
# right, also on three workers.
#
# ## Read more
#
# - [How we built rate limiting capable of scaling to millions of
#   domains](https://blog.cloudflare.com/counting-things-a-lot-of-different-things/): Cloudflare on
#   windows, with what an approximation gets wrong in numbers.
# - [Scaling your API with rate limiters](https://stripe.com/blog/rate-limiters): Stripe on token
#   buckets, and on the load shedders beside them.
# - [RFC 6585, section 4](https://www.rfc-editor.org/rfc/rfc6585#section-4): what status 429 means,
#   and that it may say when to come back.
#
# **From the field.** When GitHub had moved the limits of its API from Memcached to Redis, clients
# were refused by answers that said `X-RateLimit-Remaining: 5000`, and the moment of the next window
# moved by a second between two answers. The check had asked a replica, which still held the old
# window; the headers came from the primary, which had begun a new one; and the moment was Redis's
# remaining time plus Ruby's clock, read a little later. Now the moment is stored once, and a
# refusal takes all that it says from one question ([GitHub's
# report](https://github.blog/2021-04-05-how-we-scaled-github-api-sharded-replicated-rate-limiter-redis/)).

# %% [markdown]
# ## Going further (optional)
#
# Nothing below belongs to a verdict.
#
# ### What a refusal by 500 costs
#
# A 500 is not only wrong: each comes with a traceback in the log. (It is raised in a middleware,
# too, whose own price lesson 01 tells: the factor below is of both.)

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
# ### What a refusal costs beside an answer
#
# The sweep compares the CPU of a request that is served with that of one that is refused, over the
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
        "refused, script in Valkey": lambda ms: working(by_script(1, HOUR), ms),
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
# Left of a crossing a refusal costs the server more than an answer would have. Right of it each
# refusal saves a request's work, but never the price of refusing.
#
# ### The library's answer
#
# [`limits`](https://limits.readthedocs.io) has sliding windows on Redis and Valkey, also by a
# script. Its `hit` says yes or no. How long to wait is another question, and another round trip.

# %%
from limits import RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter


class LibraryLimiter:
    def __init__(self, limit: int = 60):
        self.storage = RedisStorage(f"async+{lab.valkey_url}", implementation="redispy")
        self.window = MovingWindowRateLimiter(self.storage)
        self.limit = RateLimitItemPerMinute(limit)

    async def __call__(self, client: str) -> float:
        if await self.window.hit(self.limit, client):
            return 0
        stats = await self.window.get_window_stats(self.limit, client)
        return max(stats.reset_time - time.time(), 0.001)

    async def aclose(self):
        await self.storage.bridge.get_connection().aclose()


def by_library(limit: int) -> FastAPI:
    limiter = LibraryLimiter(limit)
    return limited(limiter, limiter)


# %%
HIGH = 1_000_000
round_trips = {}
with lab.wire_tap() as tap:
    for name, make in {"our script": by_script, "limits": by_library}.items():
        for what, limit, status in (("served", HIGH, 200), ("refused", 1, (200, 429))):
            valkey.flushdb()
            app, traffic = make(limit), get("/hello", expect_status=status)
            round_trips[name, what] = tap.count(app, traffic, server="valkey").round_trips
for (name, what), count in round_trips.items():
    print(f"{name}, a request that is {what}: {count:.1f} round trips to Valkey")

# %%
from course_app.plots import Bar, plot_bars

unlimited = FastAPI()


unlimited.get("/hello")(hello)
ways = lab.compare_requests(
    {
        "no limiter": unlimited,
        "our script": by_script(HIGH),
        "limits": by_library(HIGH),
    },
    "/hello",
    at_least=0.9,
)
costs_more = {name: ways.speedup(name).inverse() for name in ("our script", "limits")}
trips = {name: f"round trips {ways[name].counts['Valkey round trips']:.0f}" for name in costs_more}
plot_bars(
    [
        Bar("no limiter", 1.0),
        *(Bar(name, x.estimate, x, below=trips[name]) for name, x in costs_more.items()),
    ],
    title="What a limiter costs everybody: the CPU of a request that is served grows to "
    f"{costs_more['our script']} with our script, {costs_more['limits']} with limits",
    unit="times the CPU of",
)

# %% [markdown]
# Both decide in one script, for any number of workers. They differ by whose clock counts (`limits`
# sends the worker's) and by that second question, which is asked a moment later: the window may
# have moved on, and what is left of the wait may be nothing. Hence the `max`; without it, a refused
# request would slip through. Take the library if you want its choice of strategies and storages.
# Neither is free: this is the price of every *well-behaved* request, too.
