# %% [markdown]
# # 16 - The clinic
#
# Fifteen lessons began with the cause. Life begins with a complaint: "it has become slow". Here
# are four, from four apps that you have not seen. You say where you would look first, look there
# with the lab's instruments, name the cause, mend it and prove the gain. Then `lab.examine` does
# the same on its own, and you see where it is better than you and where it is worse. At the end
# stands the only app that matters: yours.

# %%
from course_app.apps import clinic
from course_app.lab import Lab, get, mix, uniform

lab = Lab()
dsn = lab.postgres_dsn

# %% [markdown]
# ## The shop
#
# > *Since our prices come from the wholesaler, everything is slow at noon. Even the stock, which
# > asks nobody. The server has CPU to spare, and we have no database.*
#
# Before you look: how long does a request for the stock wait, if one request for a price is under
# way? Alone it waits for nobody.

# %%
guess = lab.predict(1, "ms, the slowest request for the stock beside one for a price")

# %% [markdown]
# Somebody who asks nobody waits: then what everybody shares is taken. In an `async` app that is
# the event loop first. `lab.bystanders` sends one request for a price, and many for the stock.

# %%
shop = clinic.create_shop()
beside = lab.bystanders({"the shop": shop}, "/prices/1", "/stock/1", seconds=0.3, repeats=3)
waited = beside.slowest("the shop")
beside.plot(
    title=f"One price keeps the stock waiting for {waited:.0f} ms (predicted: {guess.value:g} ms)"
)

# %% [markdown]
# And who holds the loop? A second look, independent of the first: the stacks of its thread.

# %%
lab.profile(shop, "/prices/1", seconds=0.5).plot()

# %% [markdown]
# **Cause: a blocking call in `async def`** ([lesson 02](02_async.ipynb)). Two looks agree: others
# wait, and the stack says for which line. The smallest repair is three letters and a space less:
# `def`.

# %%
both = mix(get("/prices/{n}", n=uniform(1, 1000)), get("/stock/{n}", n=uniform(1, 1000)))
mended_shop = lab.compare({"the shop": shop, "mended": clinic.create_shop_mended()}, both)
mended_shop.plot(title=f"Prices in a plain def: {mended_shop.speedup()} as fast")

# %% [markdown]
# ## The newest posts
#
# > *The page of the newest posts takes ever longer, the more of them we show. We have an index on
# > everything. The database's own log shows no slow query at all.*
#
# No slow query, and yet slow: count them. `lab.trace` shows one request as a waterfall.

# %%
authors = clinic.create_authors(dsn)
lab.trace(authors, "/newest").plot()

# %%
counted = {
    limit: lab.measure(authors, f"/newest?limit={limit}", seconds=0.4).counts["SQL statements"]
    for limit in (10, 40)
}
for limit, statements in counted.items():
    print(f"{limit} posts: {statements:g} statements for each request")

# %% [markdown]
# **Cause: a query for each row** ([lesson 05](05_queries.ipynb)): statements that grow with the
# page. A log of slow queries does not show it as long as each of them is fast.

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
# Nothing works, and everybody waits: they wait for each other. Then throughput does not grow with
# the number of clients, and the point at which it stops growing says how many may do something at
# a time.

# %%
customers = get("/parcels/{n}", n=uniform(1, lab.users))
parcels = clinic.create_parcels(dsn)
crowds = lab.sweep({"parcels": parcels}, customers, values=[1, 2, 4, 8, 16], windows=2)
crowds.plot()

# %%
lab.trace(parcels, "/parcels/1").plot()

# %% [markdown]
# **Cause: a connection is held while another service is awaited** ([lesson
# 04](04_connection_pooling.ipynb)). The pool has four connections; in the waterfall each is taken
# for all of the request, and used for a small part of it. A larger pool would move the limit to
# PostgreSQL. Give the connection back first:

# %%
mended_parcels = lab.compare(
    {"parcels": parcels, "mended": clinic.create_parcels_mended(dsn)},
    customers,
    concurrency=16,
    metric="throughput",
)
mended_parcels.plot(title=f"Given back first: {mended_parcels.speedup()} the throughput")

# %% [markdown]
# ## The profiles
#
# > *We have heard that FastAPI can do 10,000 requests per second. Ours does not. Please make it
# > faster.*
#
# A complaint, too, and the most frequent one. What does a request cost, and where does that go?

# %%
profiles = clinic.create_profiles(dsn)
reader = get("/profiles/{n}", n=uniform(1, lab.users))
lab.measure(profiles, reader)

# %%
lab.profile(profiles, reader, seconds=0.5).plot()

# %% [markdown]
# One statement by primary key, a pool, a small answer, and the rest is the framework and the
# driver, at many small places. There is **no cause**. Nothing that can be mended here takes a share
# worth mending (lesson 13); more throughput is a second worker (lesson 12). To say so is an answer,
# and it saves a month.
#
# ## The same by `lab.examine`
#
# It loads an app in a process of its own, asks each route alone and then all with more and more
# clients, watches from inside and from the servers' side, and names a cause only where two
# independent looks agree. Otherwise the cause is *suspected*. It knows fifteen causes and no app.

# %%
PATIENTS = {
    "create_shop": ["/prices/{n}", "/stock/{n}"],
    "create_authors": ["/newest"],
    "create_parcels": ["/parcels/{n}"],
    "create_profiles": ["/profiles/{n}"],
}
reports = {}
for factory, paths in PATIENTS.items():
    asked = [get(path, n=uniform(1, lab.users)) if "{n}" in path else get(path) for path in paths]
    reports[factory] = lab.examine(
        f"course_app.apps.clinic:{factory}", mix(*asked) if len(asked) > 1 else asked[0], seconds=12
    )
reports["create_parcels"]

# %%
YOURS = {
    "create_shop": "blocked_loop",
    "create_authors": "n_plus_one",
    "create_parcels": "pool_wait",
    "create_profiles": "healthy",
}
for factory, report in reports.items():
    said = [f"{found.cause} at {found.where}" for found in report.confirmed] or ["healthy"]
    agrees = said[0].split()[0] == YOURS[factory]
    print(f"{factory}: {'; '.join(said)}: {'as we said' if agrees else 'not what we said'}")

# %% [markdown]
# It never forgets a look, and it does not fall in love with its first idea. But it knows only what
# it was asked with: another mix of requests, other data, and it finds something else, or nothing.
# It cannot know which route matters to you, nor that the wholesaler has a batch call. And *healthy*
# means that none of fifteen causes was found with these requests. It does not mean fast.
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
# - Mend **one**, then examine again, with `--against`: the others may have moved.
# - Leave alone what is healthy.
#
# [All of it on one page](../docs/examine.md).

# %% [markdown]
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
