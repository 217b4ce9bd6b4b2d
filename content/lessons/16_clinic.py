# %% [markdown]
# # 16 - The clinic
#
# Most lessons began with the cause. Life begins with a complaint: "it has become slow". Here are
# four, from four apps that you have not seen. Stop after each and say where you would look first.
# Then look there with the lab's instruments, name the cause, mend it and prove the gain. Then
# `lab.examine` does the same on its own, and you see where it is better than you and where it is
# worse. At the end stands the only app that matters: yours. It takes a good minute of measuring.

# %% [markdown]
# ## Do you remember?
#
# <details><summary>The rush is over, the capacity is there, and the service stays down. Why, and
# what do you do first?</summary>
#
# Clients that waited too long hang up and try again: the answers that the service still computes
# are for nobody, and the retries keep the queue full. Stop the retries, or refuse them early and
# cheaply, until the queue is empty.
#
# </details>
#
# <details><summary>Why does a limit on requests in flight do nothing for a handler that computes in
# <code>async def</code>?</summary>
#
# Such a handler never lets go of the event loop: at most one is under way, and all others wait
# where the limit cannot see them, in the socket and in the loop's own queue.
#
# </details>
#
# <details><summary>Lesson 13: a stage takes a fifth of a request's time. How many times as fast can
# the request become at most if you make that stage free?</summary>
#
# 1 / (1 - 0.2) = 1.25 times: Amdahl's law. It is the first thing to know of a finding, because it
# says whether mending it is worth an evening.
#
# </details>

# %%
from course_app.apps import clinic
from course_app.lab import Lab, get, mix, uniform

lab = Lab("16")
dsn = lab.postgres_dsn

# %% [markdown]
# ## The shop
#
# > *Since our prices come from the wholesaler, everything is slow at noon. Even the stock, which
# > asks nobody. The server has CPU to spare, and we have no database.*
#
# A price alone takes a good 12 ms. How long does a request for the stock wait, if one request for a
# price is under way? Alone it waits for nobody. Write your guess in place of the dots.

# %%
guess = lab.predict(..., "ms for the slowest request for the stock beside one for a price")

# %% [markdown]
# Somebody who asks nobody waits: then what everybody shares is taken. In an `async` app that is
# the event loop first. `lab.bystanders` sends one request for a price, and many for the stock.

# %%
shop = clinic.create_shop()
beside = lab.bystanders({"the shop": shop}, "/prices/1", "/stock/1", every_ms=2, seconds=0.2)
waited = beside.slowest("the shop")
print(guess.against(waited))
beside.plot(
    title=f"Beside one price the slowest request for the stock typically waits {waited:.0f} ms"
)

# %% [markdown]
# And who holds the loop? A second look, independent of the first: the stacks of its thread.

# %%
lab.profile(shop, "/prices/1", seconds=0.5).plot()

# %% [markdown]
# **Cause: a blocking call in `async def`** ([lesson 02](02_async.ipynb)). Two looks: others wait,
# and the stack says in which function. Below it is `sleep`: the thread holds the loop and computes
# nothing, so the CPU has time and the loop has not. The smallest repair takes one word away,
# `async`. Then calls wait in threads, and FastAPI has forty. How many times as many requests for
# prices and stock, half of them each, do four clients then get through?

# %%
guess_shop = lab.predict(..., "times the throughput with prices in a plain def")

# %%
both = mix(get("/prices/{n}", n=uniform(1, 1000)), get("/stock/{n}", n=uniform(1, 1000)))
mended_shop = lab.compare(
    {"the shop": shop, "mended": clinic.create_shop_mended()},
    both,
    concurrency=4,
    metric="throughput",
)
print(guess_shop.against(mended_shop.speedup()))
mended_shop.plot(title=f"Prices in a plain def: {mended_shop.speedup()} the throughput")

# %% [markdown]
# (The small print calls the loop unresponsive while a timer on it is late by more than 10 ms: of
# stalls of 12 ms it sees a part.)

# %% [markdown]
# ## The newest posts
#
# > *The page of the newest posts takes ever longer, the more of them we show. We have an index on
# > everything. The database's own log shows no slow query at all.*
#
# No slow query, and yet slow. The page shows twenty posts. How many statements does it send?

# %%
guess_statements = lab.predict(..., "statements for a page of twenty posts")

# %% [markdown]
# `lab.trace` shows one request as a waterfall.

# %%
authors = clinic.create_authors(dsn)
lab.trace(authors, "/newest").plot()

# %%
counted = {
    limit: lab.measure(authors, f"/newest?limit={limit}", seconds=0.4).counts["SQL statements"]
    for limit in (10, 20, 40)
}
for limit, statements in counted.items():
    print(f"{limit} posts: {statements:g} statements for each request")
print(guess_statements.against(counted[20]))

# %% [markdown]
# **Cause: a query for each row** ([lesson 05](05_queries.ipynb)): one statement for the page, and
# one more for each post on it. A log of slow queries cannot show it: each of them is short. (The
# statements themselves may be little of the time. Each also costs a trip, which is in its bar, a
# reset of the connection, which has a bar of its own, and the driver's Python, in the gaps.)

# %%
mended_authors = lab.compare(
    {"newest": authors, "mended": clinic.create_authors_mended(dsn)}, "/newest"
)
mended_authors.plot(title=f"One statement with a join: {mended_authors.speedup()} as fast")

# %% [markdown]
# ## The parcels
#
# > *Alone it is fast. At noon it crawls, while the database does nothing and the CPU does nothing.
# > We made the machine twice as large, and it did not help.*
#
# Nothing works, and everybody waits: perhaps for each other. Then more clients bring hardly any
# more answers from some number on, and that number says how many may do something at a time. Here
# a request waits 15 ms for another service, and takes a few more. How many times as many
# answers per second do sixteen clients get as two? If nobody waited for anybody, it would be at
# most eight.

# %%
guess_crowd = lab.predict(..., "times as many requests per second with 16 clients as with 2")

# %%
customers = get("/parcels/{n}", n=uniform(1, lab.users))
parcels = clinic.create_parcels(dsn)
crowds = lab.sweep({"parcels": parcels}, customers, values=[1, 2, 4, 8, 16], windows=3)
crowded = crowds.growth("parcels", 2, 16)
print(guess_crowd.against(crowded))
print("The limits are the lowest and the highest of three windows of each: how sure is told there.")
crowds.plot(title=f"16 clients get {crowded.times} as many answers as two")

# %%
lab.trace(parcels, "/parcels/1").plot()

# %% [markdown]
# **Cause: a connection is held while another service is awaited** ([lesson
# 04](04_connection_pooling.ipynb)). The pool has four connections. A request keeps one until it has
# its answer, as the late "reset connection" in the waterfall shows, and uses it for two short
# spans: 4 / 15 ms allow at most 267 requests per second, whatever the machine. A larger pool moves
# that limit, and takes more of PostgreSQL's connections, mostly idle. Give the connection back
# first:

# %%
mended_parcels = lab.compare(
    {"parcels": parcels, "mended": clinic.create_parcels_mended(dsn)},
    customers,
    concurrency=16,
    metric="throughput",
)
mended_parcels.plot(
    counters=[], title=f"Given back first: {mended_parcels.speedup()} the throughput"
)

# %% [markdown]
# ## The profiles
#
# > *We have heard that FastAPI can do 100,000 requests per second. Ours does not. Please make it
# > faster.*
#
# A complaint, too. What does a request cost, and where does that go?

# %%
profiles = clinic.create_profiles(dsn)
reader = get("/profiles/{n}", n=uniform(1, lab.users))
lab.measure(profiles, reader)

# %%
lab.profile(profiles, reader, seconds=0.5).plot()

# %% [markdown]
# One statement by primary key, a pool, a small answer; the rest is the framework and the driver, at
# many small places. Neither look shows any of the causes that these lessons taught: it is
# **healthy**. There is no single place left to mend: much more throughput takes a second worker, if
# there is a core for it ([lesson 12](12_workers.ipynb)). To say so is an answer, and it may save
# somebody a month.
#
# ## The same by `lab.examine`
#
# It loads an app in a process of its own, asks each route alone and then all with more and more
# clients, watches from inside and from the servers' side, and confirms a cause only where two
# independent looks agree. With one look it is *suspected*. It knows fifteen causes and no app.


# %%
def examined(factory: str, traffic):
    return lab.examine(f"course_app.apps.clinic:{factory}", traffic, seconds=12)


authors_report = examined("create_authors", get("/newest"))
profiles_report = examined("create_profiles", reader)

# %% tags=["readme"]
authors_report


# %%
def beside_ours(factory: str, report, ours: str) -> None:
    said = [
        f"{found.cause} at {found.where}{'' if found.confirmed else ' (suspected)'}"
        for found in report.findings
    ] or ["healthy"]
    first = report.findings[0].cause if report.findings else "healthy"
    print(f"{factory}: {'; '.join(said)}: {'as' if first == ours else 'not what'} we said")


beside_ours("create_authors", authors_report, "n_plus_one")
beside_ours("create_profiles", profiles_report, "healthy")

# %% [markdown]
# (The other two come at the end of this lesson.) Where it disagrees with us, who is right? Look at
# its evidence, then at yours, and measure what would tell the two apart. Where it gives a bound for
# the newest posts, compare it with what the join gained above. (The shares in its evidence are of
# requests that come alone. The bound is the larger of what one client and what a crowd can gain, so
# it may exceed 1 / (1 - share).)
#
# It never forgets a look, and it does not fall in love with its first idea. But it knows only what
# it was asked with: with another mix of requests, or other data, it may find something else. It
# cannot know which route matters to you, nor that the wholesaler could be asked for ten prices at
# once. And *healthy* means that none of fifteen causes was found with these requests. It does not
# mean fast.
#
# ## Your own app
#
# ```
# course examine shop/main.py:create_app
# course examine shop.main:app --get "/users/{id}" --values id=1..100000
# ```
#
# - Give it data like yours, and values like those that people ask for. Ten values make every cache
#   look good.
# - Read the bound first, then the cause. What gains 1.1 times at most is no finding for this
#   evening.
# - Mend **one** in a copy, then examine the old version with `--against NEW`: the others may have
#   moved.
# - Leave alone what is healthy.
#
# [All of it on one page](../docs/examine.md).

# %% [markdown]
# ## What to take away
#
# - A complaint names a symptom and often a culprit. Believe the first, measure the second.
# - One look makes a suspicion. Two looks that do not depend on each other make a cause.
# - Ask what mending can gain at most before you mend.
# - What is shared (the loop, a pool, a lock) makes the innocent slow: look at bystanders, and at
#   what happens with more clients.
# - "There is nothing to mend" is a finding, with evidence like any other.
#
# ## Recall
#
# Without looking back: which look tells a blocked loop from a full pool? Why does a log of slow
# queries not show an N+1? When is "there is nothing to mend" the right answer, and what would you
# show to say so?
#
# ## Read more
#
# - B. Gregg, [The USE Method](https://www.brendangregg.com/usemethod.html): for every resource look
#   at utilisation, saturation and errors. That is a checklist for machines; the looks above are one
#   for apps.
#
# Next: [the exercise](../exercises/16_clinic.ipynb).

# %% [markdown]
# ## Going further (optional)
#
# ### The other two, examined
#
# The shop, asked for prices and stock as in the comparison above, and the parcels:

# %%
beside_ours("create_shop", examined("create_shop", both), "blocked_loop")
parcels_report = examined("create_parcels", customers)
beside_ours("create_parcels", parcels_report, "pool_wait")

# %%
parcels_report
