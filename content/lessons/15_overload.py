# %% [markdown]
# # 15 - Overload
#
# "Rate limiting", says the guide, "prevents overloading". So far every lesson made one request
# cheaper. This one is about the day on which more requests come than the app can answer, however
# cheap they are.
#
# You drive a service to its limit and over it, watch what becomes of it when the crowd has left,
# and find out which of the usual remedies help. At the end there is a plan of how much to provide.
# It takes about a minute of measuring.

# %% [markdown]
# ## Do you remember?
#
# <details><summary>After each write a blog deletes the cached first page, and some readers get the
# old one for another minute. How, and what helps?</summary>
#
# Somebody had read the table before the write and stored the page after the key was deleted. Store
# each page together with the version under which it was looked for, and let each write set a new
# one: then a late reader may store what it likes, and nobody takes it.
#
# </details>
#
# <details><summary>A load test of the guide's blog shows fast answers and no error. What does it
# not see, and what kind of test does?</summary>
#
# Whether the answers are true: a stale list is a 200, and a fast one. It takes an audit that knows
# for each answer what the database would say, for instance by a single client, of whom it is known
# what has been written.
#
# </details>
#
# <details><summary>Lesson 02: a hundred requests come at once. Each needs 2 ms; in one app the
# handler computes for that long, in the other it awaits. When is the last one answered in
# each?</summary>
#
# One event loop computes for one request at a time, so the last of those waits for all of them, at
# least 200 ms. Waits overlap: there the last is answered after the 2 ms and what it costs to begin
# and end a hundred requests.
#
# </details>

# %%
from course_app.lab import Lab, Retries, get, uniform

lab = Lab("15")

# %% [markdown]
# ## Your prediction
#
# A service can answer a certain number of requests per second, its **capacity**. For a second
# and a half 1.4 times as many come, then half of what it can do. Clients wait 100 ms, then hang up
# and try again, up to three times. What share of the visitors is served when the rush has been
# over for two seconds, in per cent? Write your guess in place of the dots.

# %%
guess = lab.predict(..., "% of the visitors served, two seconds after the rush")

# %% [markdown]
# ## The service
#
# A report takes 2 ms of CPU. Nothing to wait for, nothing to tune.

# %%
import inspect

from IPython.display import Code

from course_app.apps.overloaded import create_service

Code(inspect.getsource(create_service), language="python")

# %% [markdown]
# What can it do? Eight clients that never pause (the closed model, lesson 01) keep it busy all the
# time. Then its answers come one service time apart: the gaps between them are what a report takes
# here, with all that belongs to it, and with what other programs take from it.

# %%
import numpy as np


def saturated():
    with lab.serve(create_service(), loop="asyncio") as server:
        return lab.measure(server, "/report", concurrency=8, seconds=0.5, name="never idle")


full = saturated()
service_ms = np.diff(np.sort(full.load.end_ns)) / 1e6
capacity = first_capacity = 1e3 / service_ms.mean()  # later cells measure it anew
print(f"capacity: {capacity:.0f} reports/s; a report takes {service_ms.mean():.2f} ms, in one run")


def capacities_now() -> list[float]:
    """The machine may have changed: three runs."""
    low, middle, high = sorted(saturated().throughput for _ in range(3))
    print(f"capacity: {middle:.0f} reports/s, in three runs {low:.0f} to {high:.0f}")
    return [low, middle, high]


# %% [markdown]
# ## The law of the queue
#
# Now strangers come, who know nothing of each other (the open model, at random times). The share
# of the time in which the service is busy is its **utilisation**: arrivals per second times
# service time. At 0.9, how long does it take on average until a visitor has the report, in ms?

# %%
guess_mean = lab.predict(..., "ms on average at 0.9 of the capacity")

# %% [markdown]
# Pollaczek (1930) and Khinchine (1932) found how long one waits on average, where visitors come at
# random and are served one at a time: *rate x mean of the squared service times / (2 x (1 -
# utilisation))*. All of it is known before the crowd comes, as long as a report takes what it took
# above, but for the way there and back: the first dot below tells that.


# %%
def queueing_ms(rate: float) -> float:
    """Waiting and service by the law; the rate in visitors per ms."""
    busy = rate * service_ms.mean()
    return service_ms.mean() + rate * np.mean(service_ms**2) / (2 * (1 - busy))


def windows(rate: float, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """300 windows of that length (Lindley's recursion): when visitors came, what they waited."""
    chance = np.random.default_rng(0)
    visitors = (300, max(2, int(1e3 * seconds * rate)))
    gaps, works = chance.exponential(1 / rate, visitors), chance.choice(service_ms, visitors)
    queue, took = np.zeros(300), np.empty(visitors)
    for n, (gap, work) in enumerate(zip(gaps.T, works.T, strict=True)):
        queue = np.maximum(queue - gap, 0) + work
        took[:, n] = queue
    return gaps.cumsum(axis=1), took


def likely(shown: np.ndarray) -> np.ndarray:
    """Between what limits 99 % of the windows lie."""
    return np.quantile(shown, [0.005, 0.995])


# %%
def arriving(path: str, utilisation: float, seconds: float):
    phases, name = [(seconds, utilisation * first_capacity)], f"{path} at {utilisation}"
    return lab.visitors(create_service(), path, phases=phases, patience_ms=10_000, name=name)


WINDOW = 1.2
STEPS = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
computing = {step: arriving("/report", step, WINDOW) for step in STEPS}
waiting = {step: arriving("/waits/2", step, 0.6) for step in (0.3, 0.7, 0.95)}

# %%
from course_app.plots import plot_lines

nan = float("nan")
rates = {step: step * first_capacity / 1e3 for step in STEPS}
way_ms = max(0, computing[0.3].mean_ms - queueing_ms(rates[0.3]))
law = {step: way_ms + queueing_ms(rate) for step, rate in rates.items()}
chance_ms = {
    s: way_ms + likely(windows(rate, computing[s].seconds)[1].mean(axis=1))
    for s, rate in rates.items()
}
plot_lines(
    {
        "the law, and 99 % of such windows": [(s, law[s], *chance_ms[s]) for s in STEPS],
        "a handler that computes": [(s, v.mean_ms, nan, nan) for s, v in computing.items()],
        "a handler that waits": [(s, v.mean_ms, nan, nan) for s, v in waiting.items()],
    },
    x_label="utilisation: arrivals per second x service time of a report",
    y_label="mean latency, ms",
    y_log=True,
    title=f"By the law {law[0.3]:.1f} ms at 0.3, {law[0.7]:.1f} ms at 0.7, {law[0.95]:.0f} ms at "
    f"0.95; 99 % of windows there show {chance_ms[0.95][0]:.0f} to {chance_ms[0.95][1]:.0f} ms, "
    f"this one {computing[0.95].mean_ms:.0f} ms",
)

# %%
from course_app.measure.statistics import Interval


def with_chance(measured: float, limits: np.ndarray) -> Interval:
    """What one window shows, and what 99 % of such windows would."""
    return Interval(measured, min(measured, limits[0]), max(measured, limits[1]))


means = {step: computing[step].mean_ms for step in STEPS}
outside = [s for s in STEPS[1:] if not chance_ms[s][0] <= means[s] <= chance_ms[s][1]]
print(
    "Every dot but the first, which sets the way there and back, lies within what 99 % of such "
    "windows would show."
    if not outside
    else f"Outside of what 99 % of such windows would show: {outside}."
)
print(guess_mean.against(with_chance(means[0.9], chance_ms[0.9])))
waits = 1 - (way_ms + service_ms.mean()) / law[0.9]
print(f"By the law {waits:.0%} of the latency at 0.9 is waiting.")

# %% [markdown]
# That waiting is made by nothing but chance: visitors that happen to come together. The law's curve
# bends up, each step costs more than the one before. This is why the plan below leaves a headroom.
# (The way there and back is read from the first dot, which has chance of its own: if that came out
# high, all brackets lie a little too high. Windows begin without a queue, so near 1 they show less
# than the law on average. And the capacity is that of one run: if it is 3 % too high, 0.95 is
# really 0.98, and by the law the wait more than doubles.)
#
# Where the law stops: a handler that **waits** (it has a line of its own) serves many at once, it
# has no queue of this kind. Several workers that took from one queue would make visitors wait less;
# uvicorn's do not: a connection stays with the worker that accepted it, so each is a queue of its
# own. At 1 and above there is no mean at all: the queue grows for as long as the rush lasts. And a
# program that takes the core away for a while makes service longer than it was when we measured
# it: then dots lie above.
#
# ## The cliff
#
# Beyond the capacity the question changes. Say that an answer is of use within 100 ms. **Goodput**
# is the number of such answers per second; throughput counts late ones, too. At 1.2 times the
# capacity one visitor in six is too many. How many of the answers will be in time, in per cent, in
# a rush of one second? (The longer it lasts, the fewer; and in one second chance decides much.
# Rates of answers leave out the first three tenths of the time, here and below.)

# %%
guess_in_time = lab.predict(..., "% of the answers in time, at 1.2 times the capacity")

# %%
LOADS = (0.6, 0.9, 1.2, 1.6)
_, capacity, _ = capacities_now()
cliff = {
    load: lab.visitors(
        create_service(),
        "/report",
        phases=[(1, load * capacity)],
        patience_ms=10_000,
        limit_ms=100,
        name=f"{load} of the capacity",
    )
    for load in LOADS
}


# %%
def percent_of(whole: float, rate: Interval) -> Interval:
    return Interval(*(min(100, 100 * r / whole) for r in (rate.estimate, rate.low, rate.high)))


def shares(rates: dict) -> list[tuple]:
    """Rates with their intervals, as shares of the capacity."""
    values = {load: (r.estimate, r.low, r.high) for load, r in rates.items()}
    return [(load, *(each / capacity for each in three)) for load, three in values.items()]


def in_time_percent(rate: float, seconds: float) -> np.ndarray:
    """What the same recursion says of a rush: of its answers, how many are in time."""
    came, took = windows(rate, seconds)
    counted = (came + took > 300 * seconds) & (came + took < 1e3 * seconds)
    in_time = counted & (way_ms + took <= 100)
    return 100 * in_time.sum(axis=1) / np.maximum(counted.sum(axis=1), 1)


good = {load: crowd.goodput for load, crowd in cliff.items()}
answered = {load: crowd.throughput for load, crowd in cliff.items()}
measured = percent_of(answered[1.2].estimate, good[1.2]).estimate
by_chance = likely(in_time_percent(1.2 / service_ms.mean(), cliff[1.2].seconds))
print(guess_in_time.against(with_chance(measured, by_chance)))
print("In brackets is what 99 % of such rushes would show: each has visitors of its own.")
in_time = shares(good)
in_time[2] = (*in_time[2][:2], nan, nan)  # no steady load: an interval would say too much
plot_lines(
    {"all answers": shares(answered), "answers within 100 ms": in_time},
    x_label="visitors per second, as a share of the capacity",
    y_label="answers per second, as a share of it",
    title=f"At 1.6 times the capacity: {answered[1.6]:.0f} answers/s, of which in time "
    f"{good[1.6]:.0f}",
)

# %% [markdown]
# Nothing in the service stops working. But it serves first who came first, and who came first has
# waited longest: once the queue is longer than 100 ms, every answer is late. Where the line of all
# answers stays up, a dashboard of requests per second shows a healthy service. (The capacity was
# measured in other runs, with eight clients, and is as sure as those are alike.)
#
# ## After the rush
#
# Clients do not wait for ever either. They hang up after 100 ms, which the service does not
# notice: the report is computed all the same, for nobody. And then many of them try again. A
# rush, then half of the capacity: once with clients that give up, once with clients
# that try again, three times, after 50 ms, 100 ms and 200 ms.

# %%
from course_app.apps.shedding import Shedding

RUSH = [(0.3, 0.5 * capacity), (1.5, 1.4 * capacity), (3.1, 0.5 * capacity)]
TRY_AGAIN = Retries(times=3, pause_seconds=0.05)


def rush(app, retries=TRY_AGAIN, name="app"):
    return lab.visitors(app, "/report", phases=RUSH, retries=retries, name=name)


gives_up = rush(create_service(), Retries(), "clients that give up")
insists = rush(create_service(), TRY_AGAIN, "clients that try again")
insists

# %%
from course_app.plots import plot_over_time


def served(crowd, begin: float, end: float) -> tuple[int, int]:
    """Good answers, and visitors, between two moments of the phases above."""
    pace = crowd.seconds / sum(seconds for seconds, _ in RUSH)
    begin, end = begin * pace, end * pace
    return crowd.good_between(begin, end), crowd.arrived_between(begin, end)


def at_the_end(crowd) -> str:
    good, came = served(crowd, 3.9, 4.9)
    return f"{good} for {came} visitors"


def is_back(crowd) -> bool:
    good, came = served(crowd, 3.9, 4.9)
    return good > 0.8 * came


good_at_the_end, came_at_the_end = served(insists, 3.9, 4.9)
print(guess.against(round(100 * good_at_the_end / came_at_the_end)))
print(f"(in one run, {at_the_end(insists)})")
plot_over_time(
    {
        "visitors": insists.over_time()["visitors"],
        "served, clients give up": gives_up.over_time()["good answers"],
        "served, clients try again": insists.over_time()["good answers"],
    },
    y_label="per second",
    title=f"Answers in time in the last second, long after the rush: {at_the_end(insists)} if "
    f"clients try again, {at_the_end(gives_up)} if they give up",
    steps=True,
)

# %% [markdown]
# The cause is in the counts: attempts, and requests that the app worked on, for each visitor.

# %%
for name, crowd in {"give up": gives_up, "try again": insists}.items():
    visitors, attempts = crowd.visits.visitors, crowd.visits.visitor.size
    print(
        f"clients that {name}: {visitors} visitors, {attempts} attempts, "
        f"{crowd.entered} reports begun, {crowd.served_in_time.sum()} of use"
    )

# %% [markdown]
# Half of the capacity times four attempts is twice the capacity. The rush is over, but if its echo
# keeps the queue longer than anybody waits, everybody tries again, and it stays long: the title
# tells. Then nothing in the service is broken, and nothing will repair it until somebody sends
# clients away. This is a **metastable failure** (Bronson et al., 2021): the cause has gone, and the
# failure sustains itself. (Attempts without a report were still in the queue when the last visitor
# had gone; the lab sends those away, or the service would work on them for seconds more. Answers
# are counted when they come, visitors when they arrive: a second may hold one answer more than
# visitors.)
#
# ## What is recommended against it
#
# On the side of the clients: wait longer each time, and not all alike (**back-off with jitter**),
# and a **retry budget**, here one retry for ten first attempts. On the side of the service:
# **shedding**, which refuses at once what would be answered too late. That helps as long as a
# refusal costs less than a report. Each against the same rush, once: look at what is all or
# nothing, not at differences of a few.

# %%
MODEST = Retries(times=3, pause_seconds=0.1, jitter=True, budget=0.1)
modest = rush(create_service(), MODEST, "retry budget, jitter")
sheds = rush(Shedding(create_service(), max_lag_seconds=0.025), TRY_AGAIN, "the app sheds")
sheds

# %%
runs = {"clients try again": insists, "a retry budget and jitter": modest, "the app sheds": sheds}
plot_over_time(
    {name: crowd.over_time()["good answers"] for name, crowd in runs.items()},
    y_label="good answers per second",
    title=f"Answers in time in the last second: {at_the_end(insists)}, with a retry budget "
    f"{at_the_end(modest)}, with shedding {at_the_end(sheds)}",
    steps=True,
    rows=True,
)

# %% [markdown]
# A budget adds little to the rush, but takes nothing off it: the queue grows until the rush is
# over, and can drain only then, with what half of the capacity leaves it. Shedding is there to keep
# the queue short all the time. How many were served, and who had recovered when the run was over?

# %%
for name, crowd in runs.items():
    good, came = served(crowd, 0.3, 1.8)
    print(
        f"{name}: {good} for {came} visitors during the rush, {at_the_end(crowd)} at the "
        f"end: {'back' if is_back(crowd) else 'still down'}"
    )

# %% [markdown]
# You seldom own both sides. A service that sheds does not depend on its clients' manners.
#
# Here is the class, pure ASGI, to be copied. A timer that beats while requests are under way tells
# how late the loop is. (Its file, `course_app/apps/shedding.py`, has the imports, too, and
# `BEAT_SECONDS = 0.005`.)

# %%
Code(inspect.getsource(Shedding), language="python")

# %% [markdown]
# ## What else is recommended
#
# Here are the usual remedies, all against one and a half times the capacity, with visitors that
# hang up after 100 ms and do not come back. First: **a limit on requests in flight**, and
# **deadlines**: a proxy notes when it took a request (`X-Request-Start`; here the generator does),
# and what is too old by the time the app begins is refused.

# %% [markdown]
# At most ten requests may be in flight: how much of the capacity is then answered in time, in per
# cent, once the first three tenths of the time are over?

# %%
guess_limit = lab.predict(..., "% of the capacity answered in time, with ten in flight at most")


# %%
import math
import time

from starlette.responses import Response

BUSY = Response("Too busy", 503, {"Retry-After": "2"})


def in_flight_limited(app, most=10):
    under_way = 0

    async def limit(scope, receive, send):
        nonlocal under_way
        if scope["type"] != "http":  # a lifespan is under way for as long as the server
            return await app(scope, receive, send)
        if under_way >= most:
            return await BUSY(scope, receive, send)
        under_way += 1
        try:
            await app(scope, receive, send)
        finally:
            under_way -= 1

    return limit


def with_deadline(app, patience_ms=100):
    async def deadline(scope, receive, send):
        try:
            sent_ms = float(dict(scope.get("headers", ())).get(b"x-request-start", b"inf"))
        except ValueError:  # another unit, with a prefix: nobody knows
            sent_ms = math.inf
        late = time.time() * 1e3 - sent_ms > 0.7 * patience_ms  # keeps time for the work
        await (BUSY if late else app)(scope, receive, send)

    return deadline


# %% [markdown]
# And the guide's: **a rate limiter** that lets each client send so many requests in a tenth of a
# second. Three greedy clients together may have 0.6 of the capacity. (Counted in one process it is
# simpler than lesson 11's, and good enough for one worker. `X-Client` stands for whom you have
# authenticated: what a client says of itself it can change.)


# %%
from collections import Counter


def rate_limited(app, limit):
    window, seen = 0, Counter()

    async def limiter(scope, receive, send):
        nonlocal window
        if (now := int(10 * time.monotonic())) != window:
            window = now
            seen.clear()
        client = dict(scope.get("headers", ())).get(b"x-client")
        seen[client] += 1
        refused = scope["type"] == "http" and seen[client] > limit
        await (BUSY if refused else app)(scope, receive, send)

    return limiter


# %%
from course_app.load import text

capacities = capacities_now()
capacity = np.median(capacities)
CROWD = get("/report", headers={"x-client": text("client {n}", n=uniform(1, 300))})
THREE = get("/report", headers={"x-client": text("client {n}", n=uniform(1, 3))})
LIMITED = rate_limited(create_service(), max(1, 0.02 * capacity))
remedies = {
    "nothing": (create_service(), CROWD),
    "10 in flight at most": (in_flight_limited(create_service()), CROWD),
    "rate limiter, three clients": (LIMITED, THREE),
    "rate limiter, many clients": (LIMITED, CROWD),
    "deadlines": (with_deadline(create_service()), CROWD),
    "shedding": (Shedding(create_service(), max_lag_seconds=0.025), CROWD),
}
overloaded = {
    name: lab.visitors(app, traffic, phases=[(1, 1.5 * capacity)], name=name)
    for name, (app, traffic) in remedies.items()
}
capacities += capacities_now()
of_six = np.median(capacities)

# %%
from course_app.plots import plot_counts


def of_capacity(name: str) -> Interval:
    """By the capacity before and after: what six runs leave open is in the interval."""
    rate, low, high = overloaded[name].goodput, min(capacities), max(capacities)
    return Interval(rate.estimate / of_six, rate.low / high, rate.high / low)


kept = {name: of_capacity(name) for name in remedies}
said = {name: f"{share:.2f}" for name, share in kept.items()}
seconds = overloaded["nothing"].seconds
print(guess_limit.against(percent_of(of_six, overloaded["10 in flight at most"].goodput)))
plot_counts(
    {name: crowd.fates for name, crowd in overloaded.items()},
    x_label=f"visitors in {seconds:g} s",
    title="At 1.5 times the capacity the answers in time are "
    f"{said['nothing']} of it without a remedy, {said['deadlines']} with deadlines, "
    f"{said['shedding']} with shedding",
    mark=(of_six * seconds, "the capacity"),
)

# %% [markdown]
# The bars count all visitors, also the first ones, who met a short queue; how many those are
# differs from run to run. The shares in the title leave out the first three tenths of the time.
#
# - **In flight**: a handler that computes does not let go of the loop until it is done. There is
#   never more than one in the app; the queue stands before it, where no counter in the app sees
#   it.
# - **A rate limiter** stops a few clients that want too much. Many that each stay within their
#   limit add up to the same rush, and nobody is refused.
# - **Deadlines** spare the work that nobody waits for. They need somebody in front who notes the
#   time, in the unit that the app expects and by the same clock, and who overwrites what the client
#   has sent.
# - **Shedding** looks at the queue itself, whoever made it.
#
# (The bars also count what was answered after the last visitor had come. The capacity comes from
# three runs before all this and three after it; if others left more of the core in between, a bar
# passes the line, and a share in the title may pass 1.)
#
# uvicorn has a limit of its own, `--limit-concurrency`. It counts open *connections*, or requests
# under way if those are more; and connections that clients keep open count while they do nothing. A
# limit of 50, twenty visitors a second:

# %%
from course_app.serving import ProcessServer

SERVICE = "course_app.apps.overloaded:app"
limited = {}
with ProcessServer(SERVICE, arguments=["--limit-concurrency", "50"]) as server:
    for kept_open in (20, 100):
        visits = lab.visitors(
            server, "/health", phases=[(0.5, 20)], connections=kept_open, name="--limit-concurrency"
        ).visits
        limited[kept_open] = int((visits.status == 503).sum()), visits.visitors
for kept_open, (refused, came) in limited.items():
    print(f"{kept_open} connections kept open: {refused} of {came} visitors refused")

# %% [markdown]
# ## When shedding does not help
#
# It sees only what the loop has read. asyncio's loop takes every new connection in its next turn.
# uvloop, the loop that uvicorn chooses where it is installed, takes **one** in each turn,
# since libuv, the C library in it, does ([libuv #3696](https://github.com/libuv/libuv/pull/3696)),
# and the others wait in the system. If each visitor connects anew and a turn takes as long as a
# report, that is where the queue is.

# %%
unseen = {}
for loop in ("asyncio", "uvloop"):
    with lab.serve(Shedding(create_service(), max_lag_seconds=0.025), loop=loop) as server:
        crowd = lab.visitors(
            server, "/report", phases=[(1, 1.5 * capacity)], connections=1, name=loop
        )
    unseen[loop] = crowd.fates
for loop, fates in unseen.items():
    print(f"{loop}: {fates}")

# %% [markdown]
# By the mechanism the difference is how the others learn of it: by a 503 at once, or by waiting 100
# ms in vain. (One run each: compare these counts, not the answers in time.) Behind a proxy that
# keeps its connections open nobody has to be accepted, so by this mechanism it should make no
# difference; that is not measured here. Where clients connect themselves, look at what hangs up,
# not only at what was refused; `--loop asyncio` is the remedy.
#
# Two more limits. Shedding protects the loop, so handlers that only wait never trip it: bound
# those (`max_in_flight`, a pool's time-out). And below the limit it has nothing to give: at 0.6 of
# the capacity, who would refuse anybody?

# %%
quiet = lab.visitors(
    Shedding(create_service(), max_lag_seconds=0.025),
    "/report",
    phases=[(1, 0.6 * capacity)],
    name="shedding, 0.6 of the capacity",
)
print(dict(quiet.fates))

# %% [markdown]
# ## The end of a worker
#
# A deployment is overload, too: while one worker ends, others do its work. What becomes of the
# requests under way when SIGTERM comes? Each takes 300 ms here, a hundred start each second.

# %%
import threading

from course_app.measure.pace import paced


def terminated(*arguments: str) -> tuple[int, int, int]:
    """Under way at SIGTERM and answered of them; those who came later and found nobody."""
    moment = []

    def terminate(server):
        worker = server.processes()[0]
        moment.append(time.perf_counter_ns())
        worker.terminate()

    with ProcessServer(SERVICE, arguments=arguments) as server:
        threading.Timer(paced(1.0), terminate, [server]).start()
        came = lab.visitors(
            server,
            "/waits/300",
            phases=[(2, 100)],
            patience_ms=2000,
            connections=64,
            name="SIGTERM",
        )
    visits = came.visits
    before = visits.start_ns < moment[0]
    under_way = before & (visits.end_ns > moment[0])
    refused = ~before & ~visits.right
    return int(under_way.sum()), int((under_way & visits.right).sum()), int(refused.sum())


ends = {"uvicorn": terminated(), "given 0 s": terminated("--timeout-graceful-shutdown", "0")}
for name, (under_way, finished, refused) in ends.items():
    print(
        f"{name}: {finished} of {under_way} under way were answered; "
        f"{refused} who came later were not"
    )

# %% [markdown]
# uvicorn lets the requests that it has begun finish. Given no time, it cancels those that are still
# under way a tenth of a second after it has closed its door; and it looks for the signal ten times
# a second, so that some of them finish even then, and some who came after it are begun and cut off.
# Once the door is closed, who comes is refused:
# the load balancer has to send them elsewhere *before* the signal (take the worker out, wait, then
# SIGTERM), and give it longer than the longest request takes.
#
# ## A plan
#
# Two measured numbers make a plan, CPU per request and the memory of a worker, and the headroom
# that the law of the queue asks for. **Workers = rate x CPU per request / 0.7**, rounded up. For
# 900 reports a second, with a pool of 5 connections in each worker:

# %%
RATE, HEADROOM, POOL = 900, 0.7, 5
with ProcessServer(SERVICE) as server:
    alone = lab.measure(server, "/report", concurrency=8, seconds=0.6, name="one worker")
    memory_mb = server.pss_bytes() / 1e6
    cpu_seconds = alone.cpu_us_per_request / 1e6
    needed = RATE * cpu_seconds / HEADROOM
    workers = math.ceil(needed)
    print(
        f"{RATE}/s x {1e3 * cpu_seconds:.2f} ms / {HEADROOM} = {needed:.2f}, so {workers} workers,"
    )
    print(f"which want {RATE * cpu_seconds:.1f} cores; here are {lab.card.cores}")
    print(f"{workers * memory_mb:.0f} MB, {workers * POOL} PostgreSQL connections")
    planned = HEADROOM / cpu_seconds
    checked = lab.visitors(
        server, "/report", phases=[(1, planned)], connections=50, name="as planned"
    )
print(f"one worker at its planned {planned:.0f}/s:", dict(checked.fates))

# %% [markdown]
# A plan is a claim; the last line checks one of its workers, alone on this machine. The generator
# needs its part of the cores, too: where there is only one, or others use them, the check may fail,
# and then it is right.
#
# ## The verdict

# %% jupyter={"source_hidden": true}
really = (
    kept["nothing"].below(0.7) or None
)  # else the machine has become faster, and this is no overload
MANY, FEW = "rate limiter, many clients", "rate limiter, three clients"
refused = {name: float((overloaded[name].visits.status == 503).mean()) for name in (MANY, FEW)}


def if_calm(held: bool | None) -> bool | None:
    """On a busy machine what does not show proves nothing."""
    calm = all(overloaded[name].noise.badge == "calm" for name in (MANY, FEW))
    return held if held or calm else None


def more_than(less: str, more: str) -> bool | None:
    """Where the intervals lie apart."""
    if kept[more].low > kept[less].high:
        return True
    return False if kept[more].high < kept[less].low else None


lab.verdict(
    "32",
    "holds when",
    "It stops a few clients that send too much. Many that each keep their limit overload the app "
    "all the same; what prevents that refuses by how long a request has waited or would wait: a "
    "deadline, or shedding.",
    {
        "over a third of three greedy clients' requests are refused": if_calm(refused[FEW] > 1 / 3),
        "of many clients' requests none is refused": refused[MANY] == 0,
        "then less than 0.7 of the capacity is answered in time": if_calm(
            really and kept[MANY].below(0.7)
        ),
        "with shedding more of it than with the rate limiter": really
        and more_than(MANY, "shedding"),
        "with deadlines, too": really and more_than(MANY, "deadlines"),
    },
    number=f"of the capacity in time: {said[MANY]}, with shedding {said['shedding']}",
)

# %% [markdown]
# ## What to take away
#
# - Plan for 0.7 of what you measured. Above it more and more of the latency is chance; towards 1 it
#   grows without end.
# - Beyond capacity, throughput can look healthy. Watch goodput: answers that came in time.
# - A retry is load. Back off, with jitter, within a budget, and only on one level of the stack.
# - Refuse early, cheaply, with `Retry-After`, by how long the queue is and not by who stands in
#   it.
# - Everything that waits needs an end: time-outs on clients, deadlines on requests, bounds on
#   queues.
#
# ## Recall
#
# Without looking back: for which handlers does a limit on requests in flight do something? The rush
# is over and the service stays down: what would you do first?
#
# ## Read more
#
# - N. Bronson et al., [Metastable Failures in Distributed
#   Systems](https://sigops.org/s/conferences/hotos/2021/papers/hotos21-s11-bronson.pdf), HotOS
#   2021: the failure that sustains itself, with retries as one of its examples.
# - L. Huang et al., [Metastable Failures in the
#   Wild](https://www.usenix.org/conference/osdi22/presentation/huang-lexiang), OSDI 2022: 22 of
#   them in 11 organisations, from public reports.
# - D. Yanacek, [Using load shedding to avoid
#   overload](https://aws.amazon.com/builders-library/using-load-shedding-to-avoid-overload/),
#   Amazon Builders' Library: goodput, and how services at Amazon refuse in time.
# - [Addressing Cascading Failures](https://sre.google/sre-book/addressing-cascading-failures/), in
#   Google's *Site Reliability Engineering*: how one full server takes the others along, and what to
#   try before it does.
#
# **From the field.** On 20 September 2015 a brief network disruption at 2:19 made storage servers
# of DynamoDB ask, all at once, which data they have to serve. The answers came too late, the
# servers asked again, and at 2:37 about 55 % of the customers' requests failed, though the network
# was well. The service that they asked was so busy with retries that not even capacity could be
# added until, at 5:06, requests to it were paused; by 7:10 it was largely over ([Amazon's
# summary](https://aws.amazon.com/message/5467D2/)).
#
# Next: [the exercise](../exercises/15_overload.ipynb). An app falls over at 1.3 times its
# capacity. Keep it standing.
