# %% [markdown]
# # 12 - Workers and servers
#
# The guide's advice on deployment is a command line: Gunicorn, a program that starts workers and
# watches over them, with uvicorn's worker class; one worker per core if the app computes, twice the
# cores plus one if it waits for I/O; and Hypercorn, another server, as something to try.
#
# A worker is a whole process: its own interpreter, its own event loop, its own pool of connections.
# In this lesson you start real ones, measure what more of them give, and count what they take. That
# is about a minute of measuring, and a quarter of a minute or more of starting servers.

# %% [markdown]
# ## Do you remember?
#
# <details><summary>A limiter raises <code>HTTPException(429)</code> in an HTTP middleware. What
# does a client get that is refused, and why?</summary>
#
# A 500. The layer that makes an answer of an `HTTPException` stands *inside* of the middleware;
# what is raised outside of it is an unknown error. A middleware returns its refusal, a dependency
# may raise it.
#
# </details>
#
# <details><summary>A limit of 60 a minute is counted in a dictionary, and the app gets four
# workers. How many requests of one client pass, and what would make it 60 again?</summary>
#
# Up to 240, depending on which workers its connections happen to meet. The count has to be in one
# place that all workers ask, and asking and counting have to be one step, so that nobody gets in
# between: a script in Valkey does both in one round trip.
#
# </details>
#
# <details><summary>Lesson 04: each request holds a connection for 5 ms, and 400 requests come per
# second. Which pool do you choose, and what would 50 connections change?</summary>
#
# By Little's law 400 x 0.005 s = 2 connections are busy on average; take those and some headroom.
# Of fifty most would lie idle, and count against `max_connections`, once for each worker.
#
# </details>

# %%
from course_app.lab import Lab, get, uniform

lab = Lab("12")

# %% [markdown]
# ## Your prediction
#
# A handler computes for a millisecond or two and never waits. How many times the requests per
# second will it answer with one worker per core, instead of one worker? Write your guess in place
# of the dots.

# %%
guess = lab.predict(..., "times the throughput with one worker per core")

# %% [markdown]
# ## The app
#
# Worker processes import their app, so it lives in a module. One handler computes, one
# waits for another service, one asks PostgreSQL. Each worker opens a pool when it starts.

# %%
import inspect

from IPython.display import Code

from course_app.apps import workers as service

handlers = (service.lifespan, service.computes, service.waits, service.read_user)
Code("\n\n".join(inspect.getsource(handler) for handler in handlers), language="python")


# %% [markdown]
# We start the same app with 1, 2, 5 and 9 workers, with as many as there are cores, and with as
# many as the guide's rule says, 2 x cores + 1: nine at most. They all stay up, so that measurements
# can take turns.


# %%
running = {}


def serve(workers: int, program: str = "uvicorn", pool: int = 2):
    name = f"{program} x {workers}"
    if name in running:
        running.pop(name).stop()  # this cell was run before
    settings = {"POSTGRES_DSN": lab.postgres_dsn, "POOL_SIZE": str(pool), "SERVICE": name}
    running[name] = lab.serve_processes(
        "course_app.apps.workers:app", program=program, workers=workers, env=settings, name=name
    )
    return running[name]


cores, rule = min(lab.card.cores, 9), 2 * lab.card.cores + 1
uvicorn = {workers: serve(workers) for workers in sorted({1, 2, 5, 9, cores, min(rule, 9)})}
started = [process for server in uvicorn.values() for process in server.processes()]

# %% [markdown]
# ## One worker, and one per core
#
# Sixteen clients (four for each worker, if those are more) send requests that compute, to both in
# turns. On a machine with a single core we try two workers all the same.

# %%
per_core = max(cores, 2)
worth = max(1.15, 0.4 * per_core)  # times one worker, for so many to be worth it
computing = lab.compare(
    {"one worker": uvicorn[1], f"{per_core} workers": uvicorn[per_core]},
    "/computes",
    concurrency=max(16, 4 * per_core),
    metric="throughput",
    at_least=worth,
    most_rounds=9,
)
print(guess.against(computing.speedup()))
computing.plot(
    predicted=guess,
    title=f"{per_core} workers: {computing.speedup()} the throughput of one worker",
)

# %% [markdown]
# ## The cause, counted
#
# Throughput times CPU per request is how many cores the server kept busy. One process runs Python
# on one core at a time, whatever the number of its threads or clients.

# %%
busy_cores = {
    side.name: side.rounds["throughput"] * side.rounds["cpu"] / 1e6 for side in computing.variants
}
for name, seen in busy_cores.items():
    print(f"{name}: {min(seen):.2f} to {max(seen):.2f} cores kept busy; there are {lab.card.cores}")
cost = computing.speedup(metric="cpu").inverse()
dearer = {True: "it costs more", False: "it costs less", None: "cannot tell if that is more"}
print(f"A request takes {cost.times} the CPU with {per_core} workers: {dearer[cost.above(1)]}")

# %% [markdown]
# (A little over 1 is the window's doing: some answers that it counts have cost their CPU before
# it began. Read it as a full core.)
#
# Throughput is cores over CPU per request. Where the second number has grown, too, more cores give
# less than their number: what counts as a core may be half of one (a hyper-thread), a slow one, or
# one that a virtual machine shares with others.
#
# The rest of the machine is not idle either: the load generator needs its share, and in
# production so do the database and the proxy, if they live on the same machine.
#
# ## From one worker to nine
#
# Now all three handlers, from 1 to 9 workers, 32 requests at a time. The handler that waits does so
# for 50 ms. How many times the requests per second will nine workers answer there, instead of one?

# %%
guess_waiting = lab.predict(..., "times the throughput with nine workers, for 32 that wait")

# %%
traffic = {
    "computes": "/computes",
    "waits 50 ms": "/waits",
    "asks PostgreSQL": get("/users/{user_id}", user_id=uniform(1, lab.users)),
}
scaling = lab.sweep(
    dict.fromkeys(traffic, lambda workers: uvicorn[int(workers)]),
    traffic,
    parameter="workers",
    values=list(uvicorn),
    concurrency=32,
    windows=2,
)
scaling

# %% [markdown]
# What the workers take is counted, not timed. Memory is PSS (proportional set size): a page
# that three processes share counts as a third for each (on macOS: each process's footprint).
# With two workers or more there is also a process that watches over them. PostgreSQL says who is
# connected, and how many may be (`max_connections`).

# %%
import asyncio

import asyncpg


async def ask(query: str):
    connection = await asyncpg.connect(lab.postgres_dsn)
    try:
        return await connection.fetch(query)
    finally:
        await connection.close()


def connections() -> dict[str, int]:
    query = "SELECT application_name, count(*) FROM pg_stat_activity GROUP BY 1"
    return dict(map(tuple, asyncio.run(ask(query))))


most = int(asyncio.run(ask("SHOW max_connections"))[0][0])
memory_mb = {workers: server.pss_bytes() / 1e6 for workers, server in uvicorn.items()}
connected = {workers: connections().get(f"uvicorn x {workers}", 0) for workers in uvicorn}
print("memory, MB:", {workers: round(mb) for workers, mb in memory_mb.items()})
print("connections:", connected, "of", most)

# %%
from course_app.plots import plot_panels


def relative(metric: str) -> dict[str, list]:
    """By handler: what it gives or takes, as a multiple of what it does with one worker."""
    lines = {}
    for name in traffic:
        factors = {w: scaling.growth(name, 1, w, metric) for w in scaling.values if w > 1}
        points = [(w, f.estimate, f.low, f.high) for w, f in factors.items()]
        lines[name] = [(1, 1, 1, 1), *points]
    return lines


def counted(values: dict[int, float]) -> list[tuple]:
    return [(workers, *3 * (value,)) for workers, value in values.items()]


growth = {name: scaling.growth(name, 1, 9) for name in traffic}

# %% [markdown]
# Throughput is what they give; the other three panels are what they take:

# %%
plot_panels(
    {
        "throughput, times 1 worker's": relative("throughput"),
        "CPU per request, times 1 worker's": relative("cpu"),
        "memory (PSS), MB": {"all processes": counted(memory_mb)},
        "PostgreSQL connections": {
            "pools of 2": counted(connected),
            "max_connections": counted(dict.fromkeys(uvicorn, most)),
        },
    },
    x_label="uvicorn workers",
    x_log=False,
    y_log=False,
    title=f"9 workers instead of 1: {memory_mb[9] / memory_mb[1]:.1f}x the memory, "
    f"{connected[9] / connected[1]:.0f}x the connections; computing {growth['computes']}, "
    f"waiting {growth['waits 50 ms']}, asking {growth['asks PostgreSQL']}",
)

# %%
from course_app.measure.statistics import Interval


def more(gain: Interval) -> str:
    """What they serve, if 1.15 times as much is the least that pays for a worker."""
    if gain.high < 1 / 1.15:
        return "more workers give less"
    answers = {True: "more workers give more", False: "more give hardly any more"}
    return answers.get(gain.above(1.15), "cannot tell")


for name in traffic:
    for few, many in ((1, per_core), (per_core, 9)):
        if few < many:
            gained = scaling.growth(name, few, many)
            print(f"{name}: {few} to {many} workers: {gained}, {more(gained)}")
print(guess_waiting.against(growth["waits 50 ms"]))

# %% [markdown]
# ("More" means over 1.15 times as much, "less" under 1 / 1.15: in between it may still be a small
# gain, or a loss, and the interval says which.)
#
# Computing can gain until every core is busy, and so can asking PostgreSQL, as long as a core is
# left for it after the database has taken its own. (A dot has two windows, so its ratios hold with
# 67 % only: what lies near 1.15 says little.) And waiting? 32 clients that wait 50 ms each cannot
# send more than 640 requests per second, to however many workers. Who measures with a few clients
# measures the clients.
#
# ## A crowd that waits
#
# An event loop waits for any number of requests, but starting and ending each costs it CPU. So let
# more of them wait:

# %%
one, each_core = "one worker", f"{per_core} workers"
crowd = lab.sweep(
    {one: uvicorn[1], each_core: uvicorn[per_core]},
    "/waits",
    values=[32, 256, 1000],
)
gain = {clients: crowd.ratio(each_core, one, clients) for clients in crowd.values}

# %%
from course_app.plots import plot_lines

NO_LIMITS = (float("nan"), float("nan"))
lines = {
    name: [(p.value, p.middle("throughput"), *p.span("throughput")) for p in points]
    for name, points in crowd.series.items()
}
lines["clients / 50 ms"] = [(clients, clients / 0.050, *NO_LIMITS) for clients in crowd.values]
plot_lines(
    lines,
    x_label="clients that wait",
    y_label="throughput, requests/s",
    title=f"{per_core} workers instead of one: 32 clients get {gain[32]}, 1000 get {gain[1000]}",
    x_log=True,
    y_log=True,
    laws=["clients / 50 ms"],
)

# %% [markdown]
# The thin line is all that so many clients can ask for. How much of a core did the one worker
# use, and did a second core's worth help?

# %%
for clients in crowd.values:
    busy = crowd.at(one, clients).windows["cores"]  # CPU time over the time that passed
    print(
        f"{clients:4} clients: one worker keeps {min(busy):.2f} to {max(busy):.2f} cores busy; "
        f"{each_core} give {gain[clients]}: {more(gain[clients])}"
    )

# %% [markdown]
# One loop is enough while **requests per second x CPU per request**, the cores kept busy, stays
# well below what it can get of a core (a whole one, unless others use it too): then its dots lie
# near the thin line, and a second worker has nothing to add. Where they leave the line because it
# gets no more of a core, a second worker brings a second core: up to one worker per core that is
# really free.
#
# (A crowd has to be measured with patience. When a thousand clients send at once, nobody is
# answered until most of them have been read, and their answers come in bursts, of which one more or
# less fits into a window. So each window begins when all have had a first answer, and an answer
# that spent half of its time in the window counts as a half.)
#
# The rule "twice the cores plus one" comes from Gunicorn's *synchronous* workers, which can only
# wait for one thing at a time. There a second worker uses the core while the first one waits. An
# event loop does that by itself. What the rule's other workers add to one per core, on a machine
# with fewer than five cores, for which the rule asks for nine workers at most:

# %%
beyond = None
if rule in uvicorn:
    beyond = lab.compare(
        {each_core: uvicorn[per_core], f"{rule} workers": uvicorn[rule]},
        "/waits",
        concurrency=500,
        metric="throughput",
        at_least=1.3,
        most_rounds=12,
    )
    gain_of_rule = beyond.speedup()
    print(
        f"500 clients: {rule} workers serve {gain_of_rule.times} as many as {per_core}: "
        f"{more(gain_of_rule)}."
    )
else:
    print(f"The rule asks for {rule} workers here: more than this lesson starts.")

# %% [markdown]
# A gain here need not be the waiting's. The load generator shares these cores, and more processes
# may take a larger part of them from it. Where each process gets the same share of two busy cores,
# two workers beside it have 2 parts of 3, five have 5 of 6, or 1.25 times as much. (Linux may also
# share by session or container; then they take no more.) If it had a machine of its own, there
# would be nothing to take.
#
# ## When it hurts
#
# The guide's pool has up to 20 connections, and its formula gives five workers on two cores.
# Each does what it was told:

# %%
from course_app.serving import AppFailedToStart

for workers in (5, 9):
    uvicorn[workers].stop()  # makes room

try:
    serve(5, pool=20)
    outcome = "started"
except AppFailedToStart as error:
    reasons = [line for line in str(error).splitlines() if "TooManyConnections" in line]
    outcome = reasons[0] if reasons else "did not start in time"
print(f"5 x 20 = {5 * 20} of {most} connections: {outcome}")

# %% [markdown]
# A hundred is not what the app may have: others are connected as well, here the servers that
# stayed up. (This app logs in as the superuser. An ordinary role, as yours should be, is refused
# three connections earlier: lesson 04.) Here the pools fill when the app starts, so you see it at
# once. With `min_size=5` the app would start, and fail requests later, on its busiest day.
#
# ## Other servers
#
# The same app with two workers each, and a handler that answers at once: what is left is the
# server. Gunicorn runs uvicorn's code in workers of the package `uvicorn-worker`. Granian's HTTP
# is written in Rust. How much CPU does a request cost Granian, if it costs uvicorn 1?

# %%
guess_granian = lab.predict(..., "times uvicorn's CPU per request with Granian")

# %%
from urllib.request import urlopen

servers = {"uvicorn": uvicorn[2]}
servers |= {program: serve(2, program) for program in ("gunicorn", "hypercorn", "granian")}
says = {}
for program, server in servers.items():
    with urlopen(f"{server.url}/hello") as answer:
        says[program] = answer.headers["server"]
print("\n".join(f"{program:9} says it is {name}" for program, name in says.items()))

# %%
hello = lab.compare(
    servers, "/hello", concurrency=8, metric="throughput", at_least=1.15, most_rounds=6
)

# %% [markdown]
# On a machine that is shared with the generator, throughput is a rough guide. The CPU that a
# request costs is a better one; the bars compare it with uvicorn's.

# %%
from course_app.plots import Bar, plot_bars

open_now = connections()


def cpu_cost(program: str) -> Interval:
    return hello.speedup(program, "cpu").inverse()


def below(program: str) -> str:
    rate, opened = hello[program].middle("throughput"), open_now[f"{program} x 2"]
    return f"about {rate / 1000:.1f} thousand requests/s, {opened} PostgreSQL connections"


costs = {program: cpu_cost(program) for program in servers if program != "uvicorn"}
expected = {"granian": guess_granian.value}
bars = [Bar(p, cost.estimate, cost, expected.get(p), below(p)) for p, cost in costs.items()]
print(guess_granian.against(costs["granian"]))
SAID = {True: "more CPU than uvicorn", False: "less CPU than uvicorn", None: "cannot tell"}
for program, cost in costs.items():
    print(f"{program}: {cost}, {SAID[cost.above(1)]}")
plot_bars(
    [Bar("uvicorn", 1.0, None, None, below("uvicorn")), *bars],
    unit="times the CPU per request of",
    title=f"Hypercorn takes {costs['hypercorn']} uvicorn's CPU, "
    f"Gunicorn {costs['gunicorn']}, Granian {costs['granian']}",
)

# %% [markdown]
# Gunicorn's workers *are* uvicorn: the same loop, the same parser. (Since version 24 Gunicorn has
# an ASGI worker of its own, too: `-k asgi`.) Granian's HTTP runs in threads of its own, from which
# each request is handed to Python's loop and back; where its line says *more*, that is the likely
# reason, as a handler as small as this one does little else.
# Hypercorn parses HTTP/1.1 in Python (`h11`, as its header says); what it is made for is HTTP/2
# (which Granian speaks as well), HTTP/3 and trio (another event loop than asyncio's), none of
# which this lesson measures.
#
# ## Two workers, and who works?
#
# Sixteen clients come one after another, and keep their connections open, as browsers and
# proxies do. How many of them does the busier one of uvicorn's two workers get?

# %%
guess_busier = lab.predict(..., "of 16 connections for the busier of uvicorn's two workers")

# %%
import socket
import time


def all_running() -> dict:
    """The four servers; those that a later cell has ended are started anew."""
    ended = [program for program, server in servers.items() if not server.processes()]
    return servers | {program: serve(2, program) for program in ended}


def who_gets_them(server) -> list[int]:
    clients = []
    for _ in range(16):
        clients.append(socket.create_connection(("127.0.0.1", server.port)))
        time.sleep(0.005)
    held = sorted(server.connections().values(), reverse=True)
    for client in clients:
        client.close()
    return held


servers = all_running()
shared = {program: who_gets_them(server) for program, server in servers.items()}
for program, numbers in shared.items():
    print(f"{program:9} {numbers}")
print(guess_busier.against(max(shared["uvicorn"], default=0)))

# %% [markdown]
# A single number means that one worker has them all. The workers race for each new connection;
# whoever wins keeps it for as long as the client does. Nobody moves a connection to the worker that
# is idle. (Our measurements connect again until every worker that can work has some.)
#
# ## What Gunicorn is for, today
#
# It was recommended because it watches over its workers. Does that still need Gunicorn? We
# kill a worker of each server, as the system does when memory runs out.

# %%
import json
import os
import signal


def kill_a_worker(server) -> set[int]:
    """Kill the one that answers; who was there before."""
    before = {process.pid for process in server.processes()}
    with urlopen(f"{server.url}/pid") as answer:
        os.kill(json.load(answer)["pid"], signal.SIGKILL)
    return before


servers = all_running()
before = {program: kill_a_worker(server) for program, server in servers.items()}
time.sleep(2)


def new_ones(program: str) -> set[int]:
    return {process.pid for process in servers[program].processes()} - before[program]


deadline = time.monotonic() + 8  # a busy machine is slower to start one
while not new_ones("uvicorn") and time.monotonic() < deadline:
    time.sleep(0.2)
after = {program: {p.pid for p in server.processes()} for program, server in servers.items()}
replaced = {program: bool(after[program] - before[program]) for program in servers}
for program in servers:
    told = "a new one was started" if replaced[program] else "not replaced"
    print(f"{program:9} {told}; {len(after[program])} of {len(before[program])} processes run")

# %% [markdown]
# (Besides the two workers each server has a process that watches over them, and some have a helper
# of Python's `multiprocessing`.) Where no process is left, the server has ended itself, so that
# whoever started it may start it again. That suits an orchestrator (a program that keeps containers
# running, such as Kubernetes). Without one it is an outage.
# (These are defaults: Granian replaces workers if it is started with `--respawn-failed-workers`.)
#
# And the worker class in the guide's command line? It still runs. What its authors say about it
# is hidden by Python's default settings, under which nobody sees a DeprecationWarning of a
# library.

# %%
import subprocess
import sys


def what_it_says(*options: str) -> str:
    command = [sys.executable, *options, "-c", "import uvicorn.workers"]
    said = subprocess.run(command, capture_output=True, text=True).stderr
    return said[said.find("DeprecationWarning") :].partition("\n")[0]


print("by default:", what_it_says() or "(nothing)")
print("-W default:", warning := what_it_says("-W", "default"))

# %% [markdown]
# At last we stop everything. A server that leaves workers behind keeps its port, its memory and
# its connections, so it is worth a look.

# %%
started += [process for server in servers.values() for process in server.processes()]
for server in (*uvicorn.values(), *servers.values()):
    server.stop()
left = sum(process.is_running() for process in started)
still = sum(number for name, number in connections().items() if " x " in name)
print(f"of {len(started)} processes {left} are left, and {still} connections")

# %% [markdown]
# ## The verdicts
#
# While other programs use the cores, a gain that does not show proves nothing. Then the answer is
# "cannot tell". (Workers beyond one per core are asked for more than 1.15: what they may take from
# the generator is no gain. At worst, if each process gets the same share of two cores, that is 1.25
# times as much for five, and for nine, with 9 parts of 10 instead of 2 of 3, 1.35 times. So the bar
# is 1.3 for those that wait, and 1.6 for the nine that compute, whose dots have two windows only.
# One worker per core is asked for 0.4 times the cores, as some of them may be half ones, and for
# 1.15 at least.)


# %% jupyter={"source_hidden": true}
def if_calm(held: bool | None, result) -> bool | None:
    """Is it more? What does not show beside others may show alone."""
    return held if held or result.noise.badge == "calm" else None


def no_more(held: bool | None, result) -> bool | None:
    """Is it less than that? Beside others that proves nothing, either."""
    return held if result.noise.badge == "calm" else None


def of_waiting() -> dict[str, bool | None]:
    few, many = gain[32].below(1.15), gain[1000].above(1.15) if cores > 1 else None
    return {
        f"32 clients that wait: {each_core} serve less than 1.15 times as much as one": (
            few  # by the clients' own limit, whoever else uses the cores
        ),
        f"1000 clients that wait: {each_core} serve over 1.15 times as much": if_calm(many, crowd),
    }


lab.verdict(
    22,
    "outdated",
    "Its worker class has moved to another package, and uvicorn replaces dead workers itself.",
    {
        "importing uvicorn.workers gives a DeprecationWarning": "deprecated" in warning,
        "uvicorn replaced a worker that was killed": replaced["uvicorn"],
        "Gunicorn's workers say that they are uvicorn": says["gunicorn"] == "uvicorn",
    },
    number=f"{costs['gunicorn']} uvicorn's CPU per request",
)

# %% jupyter={"source_hidden": true}
gains = if_calm(computing.faster(at_least=worth), computing) if cores > 1 else None
bar = f"{per_core} workers compute over {worth:.3g} times as much as one"
more_than_cores = {}
if cores < 9:  # with nine cores or more, nine workers are not too many
    no_gain = no_more(scaling.growth("computes", cores, 9).below(1.6), scaling)
    more_than_cores[f"9 workers compute less than 1.6 times as much as {cores}"] = no_gain

lab.verdict(
    23,
    "holds",
    "A process computes on one core at a time. Leave a core to whatever else needs one.",
    {bar: gains, **more_than_cores},
    evidence=computing,
)

# %% jupyter={"source_hidden": true}
of_rule = {}
if beyond:
    fewer = no_more(beyond.speedup().below(1.3), beyond)
    of_rule[f"500 clients: {rule} workers serve less than 1.3 times as much"] = fewer

lab.verdict(
    24,
    "outdated",
    "It is a rule for synchronous workers. One event loop waits for everything at once; a second "
    "is for a second core's worth of CPU, and each takes memory and connections.",
    {
        **of_waiting(),
        **of_rule,
        "5 workers take more than twice the memory": memory_mb[5] > 2 * memory_mb[1],
        "and 5 times the connections": connected[5] == 5 * connected[1],
    },
    number=f"{each_core} instead of one: 32 clients {gain[32]}, 1000 clients {gain[1000]}",
)

# %% jupyter={"source_hidden": true}
lab.verdict(
    25,
    "holds when",
    "You need HTTP/3 or trio (for HTTP/2 Granian would do; for HTTP/2 and HTTP/3 a proxy in "
    "front). For plain HTTP/1.1 it costs more CPU than uvicorn does; its parser, h11, is written "
    "in Python.",
    {
        "a request costs more than 1.2 times uvicorn's CPU": costs["hypercorn"].above(1.2),
        "Hypercorn says that it parses with h11": "h11" in says["hypercorn"],
    },
    number=f"{costs['hypercorn']} uvicorn's CPU per request",
)

# %% jupyter={"source_hidden": true}
lab.verdict(
    "T7",
    "holds",
    "One worker is enough while requests per second x CPU per request stays well below the core "
    "that it can get; then one per core that is free, whether handlers compute or wait.",
    {bar: gains, **of_waiting()},
    evidence=computing,
)

# %% jupyter={"source_hidden": true}
lab.verdict(
    "P5",
    "holds when",
    "Memory and connections grow with each worker, whether it serves more or not. Where they run "
    "out, the app fails instead of being slow.",
    {
        "9 workers take more than 4 times the memory of one": memory_mb[9] > 4 * memory_mb[1],
        "9 workers open 9 times the connections": connected[9] == 9 * connected[1],
        "32 clients that wait get less than 1.15 times as much": growth["waits 50 ms"].below(1.15),
        "5 workers with pools of 20 are refused": "TooManyConnections" in outcome or None,
    },
    number=f"9 workers: {memory_mb[9]:.0f} MB, {connected[9]} connections",
)

# %% [markdown]
# ## What to take away
#
# - Count what a worker costs before you ask what it gives: its memory (PSS), and its pool, as
#   workers x pool size against `max_connections`.
# - If handlers compute, one worker per core that is really free. `nproc` before
#   coreutils 9.8 knows nothing of a container's CPU limit.
# - If handlers wait, one event loop will do as long as throughput keeps up with the clients. A
#   second worker is for a second core's worth of CPU, or for the moment when the first one dies.
# - `uvicorn --workers N` or `fastapi run --workers N` will do; where an orchestrator restarts
#   containers, one process each.
# - A client keeps the worker that it met first. Look at what each worker has, not at the sum.
# - Servers differ in the CPU that a request costs before your handler begins. Weigh that against
#   what the handler costs.
#
# Next: [the exercise](../exercises/12_workers.ipynb). Three services, one machine, and a
# budget of memory and connections: choose server, workers and pool, and show why.
#
# ## Read more
#
# - [Server workers](https://fastapi.tiangolo.com/deployment/server-workers/) in FastAPI's
#   documentation: the command line of today; the chapter after it says why in Kubernetes each
#   container has one process.
# - [How many workers?](https://gunicorn.org/design/#how-many-workers) in Gunicorn's: there "twice
#   the cores plus one" is where to begin, to be adjusted under load, and too many can slow it down.
# - [Why does one NGINX worker take all the
#   load?](https://blog.cloudflare.com/the-sad-state-of-linux-socket-balancing/): Cloudflare on how
#   Linux deals out connections, and on what dealing them out evenly costs.
# - [Connections and
#   authentication](https://www.postgresql.org/docs/current/runtime-config-connection.html) in
#   PostgreSQL's manual: `max_connections`, and what of it is reserved.
#
# **From the field.** In February 2019 somebody started an app with the Gunicorn settings of
# FastAPI's own project template, which worked out the number of workers from the cores. That made
# 96 of them, each with a pool of up to 10 connections, and the app did not come up:
# `TooManyConnectionsError` ([the
# report](https://github.com/fastapi/full-stack-fastapi-template/issues/1)). In April 2021 the
# authorization service of the Rubin Observatory used up its database's connections, as FastAPI
# started 40 workers in one pod of Kubernetes; since then it has been at most 10 ([the
# change](https://github.com/lsst-sqre/gafaelfawr/pull/222)).
