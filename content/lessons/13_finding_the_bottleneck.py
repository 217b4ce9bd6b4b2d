# %% [markdown]
# # 13 - Finding the bottleneck
#
# Twelve lessons made things faster that were known to be slow. In an application nobody tells you
# what is slow. The guide names two tools for that, a load test with Locust and a profiler (which
# tells in which functions the time goes), and warns of optimizing what is not the bottleneck.
#
# Here something was made slow on purpose, and where is drawn from a seed. You corner it with four
# instruments, each blind to what another one sees. Then you measure what the warning is worth. It
# takes about a minute of measuring.

# %% [markdown]
# ## Do you remember?
#
# <details><summary>A service does little but await another one, and is started with twice the cores
# plus one workers. Why does that rule not fit, and when would a second worker help?</summary>
#
# The rule is for synchronous workers, which wait for one thing at a time; one event loop waits for
# everything at once. A second worker helps when requests per second x CPU per request comes near
# one core, or when the first one dies. What the others add for certain is memory and connections.
#
# </details>
#
# <details><summary>Five workers may open 20 connections each, and PostgreSQL takes 100. All tests
# pass. How can the app fail on its busiest day?</summary>
#
# The hundred are not all the app's: others are connected, and some are kept for the administrator.
# A pool with a small `min_size` opens the rest only under load, so the refusal comes when most
# users are there, and not at the start.
#
# </details>
#
# <details><summary>Lesson 01: a server stands still for a second, and the load test reports few
# slow requests. Which load test does that, and how do you see the stall?</summary>
#
# One in the closed model: its clients wait for their answers and send nothing meanwhile, so few
# requests meet the stall (coordinated omission). Send at a given rate, the open model, and measure
# each request from the moment at which it was due.
#
# </details>

# %%
from course_app.lab import Lab, get, uniform

lab = Lab("13")

# %% [markdown]
# ## Your prediction
#
# The app puts each page together in three stages. Suppose you take a stage that is *not* the
# bottleneck and make it infinitely fast. How many times as fast does the page get? Write your guess
# in place of the dots.

# %%
guess = lab.predict(..., "times as fast with a stage that costs nothing")

# %% [markdown]
# ## The suspects
#
# A newsroom with three pages. A stage is a function of the pool and of the page so far. Two or
# three lines each, nine in all, and one of them is slow: which one follows from `SEED`. With
# another seed it may be another one, and everything below looks for it anew.

# %%
from course_app.apps.newsroom import SOUND, create_newsroom, replaced
from course_app.apps.suspects import planted

SEED = 13
stages = planted(SEED)


def newsroom(stages):
    return create_newsroom(lab.postgres_dsn, stages)


for page, functions in stages.items():
    print(f"/{page}/[id]:", ", then ".join(functions))

# %% [markdown]
# The endpoints are ordinary FastAPI code:

# %%
import inspect

source = inspect.getsource(create_newsroom)
print(source[source.index("    app = FastAPI") :])

# %% [markdown]
# ## First instrument: a load test
#
# Locust describes what a user does, as Python. Each task is one request; `name` puts all ids of one
# endpoint into one row. Each user waits a moment between two requests, so that the server is
# watched at work and not in a traffic jam.

# %%
READERS = """
import random
from locust import HttpUser, between, task

class Reader(HttpUser):
    wait_time = between(0.05, 0.25)

    @task
    def post(self):
        self.client.get(f"/posts/{random.randint(1, 100_000)}", name="/posts/[id]")

    @task
    def user(self):
        self.client.get(f"/users/{random.randint(1, 100)}", name="/users/[id]")

    @task
    def tag(self):
        self.client.get(f"/tags/{random.randint(1, 200)}", name="/tags/[id]")
"""

# %% [markdown]
# It is a text here, and runs as `locust -f ...` in a process of its own: importing Locust replaces
# Python's sockets, threads and `time.sleep` by those of gevent, a library with an event loop of its
# own, which would be the end of this notebook's server. The line below shows what Locust sees while
# it runs.

# %%
before = lab.load_test(READERS, newsroom(stages), users=4, seconds=3, name="the newsroom")
before

# %%
before.plot()

# %% [markdown]
# Each line is the median so far, in the end of some twenty or thirty requests, and Locust gives no
# interval: it tells one that is several times as slow from the others, not 5 ms from 6.
#
# That is what a load test is good at: **which endpoint**. It says nothing about why. And it only
# knows what its users ask for; an endpoint without a task is always fast.
#
# ## What the instrument costs
#
# A load generator shares the machine with what it measures. How many requests can it send at all?
# Eight users without a pause ask for work of three lengths, 0.1 seconds each, nine times in turn.
# (The first time is for warming up.)

# %%
import time

from fastapi import FastAPI

WORK_MS = (0, 1, 2)
TURNS, STEP_SECONDS = 9, 0.1
worker = FastAPI()


@worker.get("/work/{ms}")
async def work(ms: float):
    end = time.perf_counter() + ms / 1000
    while time.perf_counter() < end:
        pass


STEPS = """
import math, time
from locust import {user}, task
from locust.exception import StopUser

class Client({user}):
    begins = None

    @task
    def all_steps(self):
        # All processes read the same clock, and so begin their steps together.
        period = 3 * ({seconds} + 0.02)
        begins = math.ceil((time.monotonic() + 0.1) / period) * period
        Client.begins = start = Client.begins or begins
        for turn in range({turns}):
            for ms in (0, 1, 2):
                time.sleep(max(0, start - time.monotonic()))
                while time.monotonic() < start + {seconds}:
                    self.client.get(f"/work/{{ms}}", name=f"{{ms}} {{turn}}")
                start += {seconds} + 0.02
        raise StopUser
"""

# %% [markdown]
# Locust has two clients: `HttpUser`, built on the library requests, and `FastHttpUser`, built on
# geventhttpclient. It can also be **distributed**: a master collects what several workers
# measure, on one machine or on many. Then the course's own generator does the same. The users leave
# when they are done.

# %% [markdown]
# One server, a handler without work, eight users: how many times as many requests per second does
# the course's generator count as `HttpUser` does?

# %%
guess_sent = lab.predict(..., "times as many requests/s counted as by HttpUser")

# %%
HOW = {
    "HttpUser": ("HttpUser", 0),
    "FastHttpUser": ("FastHttpUser", 0),
    "master, 2 workers": ("FastHttpUser", 2),
}
tests = {}
with lab.serve(worker) as server:
    for name, (user, workers) in HOW.items():
        text = STEPS.format(user=user, turns=TURNS, seconds=STEP_SECONDS)
        tests[name] = lab.load_test(
            text, server, users=8, seconds=10, workers=workers, name=f"Locust, {name}"
        )
    targets = [lab.generator.connect(server.url, f"/work/{ms}", concurrency=8) for ms in WORK_MS]
    own = [
        [
            lab.generator.closed(target, seconds=STEP_SECONDS, warmup_seconds=0.02)
            for target in targets
        ]
        for _ in range(TURNS)
    ]

# %%
import math

import numpy as np

from course_app.measure.statistics import speedup_interval
from course_app.plots import plot_lines


def counted(test, ms: float) -> list[float]:
    """Requests/s in each turn; each user's last one is answered when the time is over."""
    sent = [test.endpoints.get(f"{ms} {turn}") for turn in range(1, TURNS)]
    done = [each.requests - test.users if each else 0 for each in sent]
    # On a very busy machine a turn can be over before anybody was answered: it tells nothing.
    return [number / STEP_SECONDS if number > 0 else math.nan for number in done]


def point(ms: float, rates: list[float]) -> tuple[float, float, float, float]:
    found = speedup_interval(np.log(rates))
    return ms, found.estimate, found.low, found.high


rates = {name: {ms: counted(test, ms) for ms in WORK_MS} for name, test in tests.items()}
ours = {ms: [turn[n].throughput for turn in own[1:]] for n, ms in enumerate(WORK_MS)}
more = {
    (name, ms): speedup_interval(np.log(ours[ms]) - np.log(rates[name][ms]))
    for name in HOW
    for ms in WORK_MS
}
print(guess_sent.against(more["HttpUser", 0]))
plot_lines(
    {
        name: [point(ms, by_turn) for ms, by_turn in line.items()]
        for name, line in {"the course's": ours, **rates}.items()
    },
    x_label="work in the handler, ms",
    y_label="requests/s, 8 users",
    title=f"Without work the course's generator gets {more['HttpUser', 0].times} as many "
    f"answers as HttpUser, {more['FastHttpUser', 0].times} as many as FastHttpUser",
    y_log=True,
)

# %% [markdown]
# Where the lines lie apart, you measure the generator, not the server. The more the handler works,
# the more it is the server that everybody waits for. Where they meet, any generator will do for
# counting throughput (not for latencies). A generator *keeps up* here if it counts four fifths of
# what the other does. (Each tool ran once; the intervals are of the turns within that run.)

# %%
SAID = {True: "counts fewer", False: "keeps up", None: "cannot tell"}
for name in HOW:
    said = [f"{ms:g} ms {SAID[more[name, ms].above(1 / 0.8)]}" for ms in WORK_MS]
    print(f"{name:>17}: {', '.join(said)}")

# %%
from course_app.plots import Bar, plot_bars

own_us = [
    1e6 * sum(load.generator_cpu_seconds for load in turn) / sum(load.completed for load in turn)
    for turn in own[1:]
]
costs = {
    name: speedup_interval(np.log(test.cpu_us_in_parts(TURNS)[1:]) - np.log(own_us))
    for name, test in tests.items()
}
plot_bars(
    [Bar("the course's generator", 1, below=f"{np.median(own_us):,.0f} µs")]
    + [
        Bar(name, cost.estimate, cost, below=f"{tests[name].cpu_us_per_request:,.0f} µs")
        for name, cost in costs.items()
    ],
    title=f"A request takes HttpUser {costs['HttpUser'].times} the CPU that it takes the "
    f"course's generator, and FastHttpUser {costs['FastHttpUser'].times}",
    unit="times the CPU per request of",
)

# %% [markdown]
# CPU is what generator and server compete for on one machine. Distributing is not there to make a
# request cheaper (its bar says what it did). It lets the generator use more cores, and is for when
# they are not the server's: Locust's workers can run on other machines.
#
# Locust is good at *what users do*: sessions, log-ins, pages in order, on many machines. To know
# what a fast server can take, choose a cheaper generator. Either way, look at its CPU.
#
# ## Second instrument: a waterfall
#
# Now to the slowest endpoint. One request, and what it waited for. Do the bars of other servers
# fill the time, or is there a gap between them, in which only Python can be at work?

# %%
page = before.slowest.name.split("/")[1]
one_page = get(f"/{page}/{{number}}", number=uniform(1, 20))
waterfall = lab.trace(newsroom(stages), one_page)
waterfall.plot()

# %% [markdown]
# A waterfall sees whom a request asks, how often, and how long that takes. Between its bars it is
# blind: "the handler" is all that it knows. And it is one request, alone: of queues for a
# connection or for a core it knows nothing.
#
# ## Third instrument: a flame graph
#
# pyinstrument looks at the server's thread a thousand times a second, and notes which function is
# running and who called it. Callers are above, the width is time.

# %%
flame = lab.profile(newsroom(stages), one_page, name=f"/{page}/[id]")
flame.plot()

# %%
flame

# %% [markdown]
# A flame graph sees what Python does, down to the function. To waiting it is blind: a query that
# takes PostgreSQL a second is a second of "waiting", whoever sent it. Each of the two instruments
# sees what the other does not.
#
# Looking costs time, most where many small functions are called. In production use `py-spy`: it
# reads another process's memory from outside, attaches to a server that runs, and by its authors'
# account hardly slows it down. It needs the right to do so (root on macOS, `SYS_PTRACE` in a
# container).
#
# ## Fourth instrument: a stopwatch
#
# What counts is neither calls nor functions but **share of time**. One stopwatch goes around each
# stage of the page, and one around the whole app, as in lesson 01. First with one request at a
# time.

# %%
from collections import defaultdict

spent = defaultdict(list)


def timed(name, stage):
    async def with_stopwatch(pool, page):
        began = time.perf_counter()
        value = await stage(pool, page)
        spent[name].append(time.perf_counter() - began)
        return value

    return with_stopwatch


def timed_app(app):
    async def with_stopwatch(scope, receive, send):
        began = time.perf_counter()
        await app(scope, receive, send)
        if scope["type"] == "http":
            spent["whole"].append(time.perf_counter() - began)

    return with_stopwatch


# %%
from course_app.measure.statistics import Interval, mean_interval


def in_blocks(seconds: list[float]) -> np.ndarray:
    return np.array([np.median(block) for block in np.array_split(seconds, 8)])


def with_stopwatches(stages):
    watched = {name: timed(name, stage) for name, stage in stages[page].items()}
    return timed_app(newsroom({**stages, page: watched}))


def shares_seen() -> dict[str, Interval]:
    """Of each stage in per cent, over eight blocks of requests."""
    whole = in_blocks(spent["whole"])
    found = {n: mean_interval(100 * in_blocks(part) / whole) for n, part in spent.items()}
    return {
        name: Interval(part.estimate, max(0, part.low), min(100, part.high))
        for name, part in found.items()
        if name != "whole"
    }


def shares(stages, clients=1) -> dict[str, Interval]:
    spent.clear()
    lab.measure(with_stopwatches(stages), one_page, concurrency=clients, name="stopwatches")
    return shares_seen()


def largest(found: dict[str, Interval]) -> str:
    return max(found, key=lambda name: found[name].estimate)


share = shares(stages)
culprit = largest(share)
for name, part in share.items():
    print(f"{name:>10}: {part:.1f} %")
stages_seen = sum(in_blocks(spent[name]) for name in share)
rest = mean_interval(100 - 100 * stages_seen / in_blocks(spent["whole"]))
print(f"{'the rest':>10}: {rest:.1f} % (framework, JSON)")

# %% [markdown]
# In brackets, as always, what eight blocks of requests leave open. The largest share is the
# culprit. That was one client at a time. Now sixteen come at once: what
# share of the time do the same stopwatches show for the same stage, in per cent?

# %%
guess_crowded = lab.predict(..., "% of the time for the slow stage, among sixteen clients")

# %%
crowded = shares(stages, clients=16)
for name, part in share.items():
    print(f"{name:>10}: {part:.1f} % alone, {crowded[name]:.1f} % among sixteen")
print(guess_crowded.against(crowded[culprit]))
blamed = largest(crowded)
still = "still" if blamed == culprit else "no longer"
print(f"Among sixteen the largest share of this run is {still} that of {culprit}.")

# %% [markdown]
# A stopwatch around an `await` runs until the event loop comes back to it. Under load the loop is
# busy with other requests' Python, and the time that they take is booked to whoever waits; so is
# the wait for one of the pool's connections. So a quick query may look slow, and the culprit
# innocent: the last line says whether it did. The spans of a tracer (the bars of the waterfall) are
# stopwatches, too. Take shares of time with one request at a time, and look at queues from outside
# ([lesson 15](15_overload.ipynb)).
#
# The culprit's code, and then the same stage as it should be:

# %%
print(inspect.getsource(stages[page][culprit]))
print(inspect.getsource(SOUND[page][culprit]))

# %% [markdown]
# ## What a repair can be worth
#
# Amdahl's law: if a part takes the share *p* of the time, then no change to that part makes the
# whole more than 1 / (1 - *p*) times as fast. Not even if it costs nothing.
#
# Let us try. A stage that remembers its answers costs nothing from the second time on (and would
# soon be wrong; this is an experiment, not a cache). Each stage is made free in turn, and the
# culprit is repaired. The stopwatches run once more, in turn with them: a share of another moment
# may be one of another machine. (The table counts the first times of a free stage, too; and it
# calls the loop unresponsive only while a timer on it is late by more than 10 ms.)


# %%
def free(stage):
    known = {}

    async def remembered(pool, page):
        if page["id"] not in known:
            known[page["id"]] = await stage(pool, page)
        return known[page["id"]]

    return remembered


repaired = replaced(stages, page, culprit, SOUND[page][culprit])
apps = {"the newsroom": newsroom(stages), f"{culprit} repaired": newsroom(repaired)}
for name, stage in stages[page].items():
    apps[f"{name} free"] = newsroom(replaced(stages, page, name, free(stage)))
apps["with stopwatches"] = with_stopwatches(stages)
spent.clear()
tuned = lab.compare_requests(apps, one_page, metric="p50", at_least=1.5)
share = shares_seen()
tuned

# %%
from course_app.plots import Gain, plot_amdahl

gains = {name: tuned.speedup(f"{name} free") for name in share}
repair = tuned.speedup(f"{culprit} repaired")
others = [name for name in share if name != culprit]
best_other = max((gains[name] for name in others), key=lambda gain: gain.high)
print(guess.against(best_other))
plot_amdahl(
    {
        "free": [Gain(name, share[name], gains[name]) for name in share],
        "repaired": [Gain(culprit, share[culprit], repair)],
    },
    title=f"{culprit} takes {share[culprit]:.0f} % of the time: repaired {repair}. "
    f"Any other stage, made free: at most {best_other}",
    predicted=guess.value,
)


# %%
from course_app.plots.amdahl import bound


def at_most(part: Interval) -> Interval:
    """What the whole can gain, by a part's share."""
    return Interval(*(bound(share) for share in (part.estimate, part.low, part.high)))


def lies_above(name: str, gain: Interval) -> bool:
    """By more than both intervals together: the law is one, so the machine was another."""
    most = at_most(share[name])
    halves = (math.log(each.high / each.low) / 2 for each in (gain, most))
    return math.log(gain.estimate / most.estimate) > math.hypot(*halves)


found = [*gains.items(), (culprit, repair)]
above = sorted({name for name, gain in found if lies_above(name, gain)})
print(f"By the law {culprit} can gain {at_most(share[culprit]).times} at most.")
print("Above their bounds:", ", ".join(above) or "none.")

# %% [markdown]
# The curve is the law, the shares come from the stopwatches: both can be known before anything is
# changed. So you can know what a change is worth at most before you make it. Free stages belong at
# the curve or below it: a client also waits for what no stopwatch in the app sees. (A dot that lies
# further above it than its two bars leave open had another share in the blocks with stopwatches
# than in those without: the machine was too busy for this figure.)
# Where the share is small, an evening of clever work ends near 1.
#
# ## The cause, counted
#
# Times tell where. Now look at what has changed between the columns, and what has not: the one is
# the cause's trace, the other is acquitted.

# %%
was, is_now = (tuned[name] for name in ("the newsroom", f"{culprit} repaired"))
print(f"{'a request':>16} {'before':>8} {'repaired':>8}")
for cause in ("SQL statements", "rows", "buffers"):
    print(f"{cause:>16} {was.counts[cause]:8,.0f} {is_now.counts[cause]:8,.0f}")
print(f"{'server CPU, µs':>16} {was.middle('cpu'):8,.0f} {is_now.middle('cpu'):8,.0f}")

# %% [markdown]
# ## The users again, and what comes next

# %%
after = lab.load_test(
    READERS, newsroom(repaired), users=4, seconds=3, name="the newsroom, repaired"
)
for name, endpoint in after.endpoints.items():
    print(
        f"{name:>11}: p50 {before.endpoints[name].p50_ms:g} ms before, {endpoint.p50_ms:g} ms after"
    )

# %% [markdown]
# Pages that share an event loop with the culprit may have become faster too, if it was Python that
# kept the loop busy. (Where the second number is not the smaller one, nothing of it shows. These
# are two runs and not turns, so a busier moment may even make it larger; and Locust rounds to whole
# ms.) And the shares have changed. Is the largest still that of the repaired stage?

# %%
now = shares(repaired)
next_one = largest(now)
for name, part in now.items():
    print(f"{name:>10}: {part:.1f} % of the time now, {share[name]:.1f} % before")
clearly = all(now[next_one].low > part.high for name, part in now.items() if name != next_one)
print(f"The largest is {next_one}." if clearly else "Which is the largest cannot be told.")
print(f"Even without {next_one}, the page would be at most {at_most(now[next_one]).times} as fast.")

# %% [markdown]
# Where that bound is near 1, stop, or think of something else than stages: fewer requests, a cache.
# Else that stage is the next one.
#
# ## The verdict
#
# If no stage stands out, the load test has led to the wrong page, as it may on a busy machine. Then
# this says nothing.

# %% jupyter={"source_hidden": true}
stands_out = share[culprit].above(50) or None
lab.verdict(
    "P3",
    "holds",
    "What a change can gain is bounded by its share of the time; only the stage with the largest "
    "share was worth the work.",
    {
        f"{culprit} takes more than half of the time": stands_out,
        f"{culprit}, repaired: more than twice as fast": stands_out and repair.above(2),
        "no gain lies above its bound": stands_out and (not above or None),
        **{
            f"{name}, made free: less than 1.5x": stands_out and gains[name].below(1.5)
            for name in others
        },
    },
    evidence=repair,
    number=f"{culprit} {repair}, any other stage made free at most {best_other}",
)

# %% [markdown]
# ## What to take away
#
# - First *which endpoint* (a load test), then *whom it asks* (a waterfall) or *what Python does* (a
#   flame graph), then *what share of the time* (a stopwatch). Then change something.
# - Before you change it, compute 1 / (1 - share). If that is 1.1, do something else.
# - A load test tells you about the server only while the generator has CPU to spare. Print it.
# - Repair, measure again, and look for the next bottleneck. Stop when no share stands out.
#
# Next: [the exercise](../exercises/13_finding_the_bottleneck.ipynb). Another seed, and nobody to
# tell you where to look.
#
# ## Read more
#
# - G. M. Amdahl, [Validity of the single processor
#   approach](https://doi.org/10.1145/1465482.1465560), AFIPS 1967: three pages with the argument
#   that became the law.
# - [Flame graphs](https://www.brendangregg.com/flamegraphs.html): Brendan Gregg, who invented them,
#   on how to read one, and on the kinds that show waiting.
# - C. Curtsinger and E. Berger, [Coz: finding code that counts with causal
#   profiling](https://doi.org/10.1145/2815400.2815409), SOSP 2015: a profiler that tells what a
#   faster line would be worth, by slowing down everything else.
# - [py-spy](https://github.com/benfred/py-spy): how to attach it to a server that runs, also in a
#   container.
#
# **From the field.** GTA Online took six minutes to start on the PC of a player known as t0st, and
# kept one core busy for four of them. In 2021 t0st sampled the stack, without the source code, and
# found two culprits: for each value the length of a 10 MB JSON text was counted anew, and each of
# 63,000 items was looked for in the whole list before it was added. Mending only the list left 4:30
# minutes, only the JSON 2:50, both 1:50; the studio mended it within three weeks and paid 10,000
# dollars ([t0st's report](https://nee.lv/2021/02/28/How-I-cut-GTA-Online-loading-times-by-70/)).
