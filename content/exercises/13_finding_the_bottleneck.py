# %% [markdown]
# # Exercise 13 - Find the bottleneck, and repair it
#
# The newsroom has three pages of three stages each. One stage is slow, and the seed says which.
# Take a number that nobody else takes, such as your student number: your bottleneck is then your
# own. You hand in three things: a load test, a finding, and a repaired app.

# %%
seed = 6

# %%
from course_app.apps.newsroom import create_newsroom
from course_app.apps.suspects import planted, sow, sown
from course_app.lab import Lab, get, uniform

lab = Lab()
sow(lab.postgres_dsn, seed)

# %% [markdown]
# This is the app as you find it. The seed is written into the database, so that the check can
# make the same app in a database of its own. `planted` has the stages: by page, functions by name.

# %%
from fastapi import FastAPI


def slow_newsroom(postgres_dsn: str) -> FastAPI:
    return create_newsroom(postgres_dsn, planted(sown(postgres_dsn)))


as_found = planted(seed)
for page, stages in as_found.items():
    print(f"/{page}/[id]:", ", then ".join(stages))

# %% [markdown]
# ## When is it done?
#
# - **Contract** (2 points). Every page is as before, and shows what is in the database now.
# - **Finding** (3 points). Endpoint (such as `"/posts/[id]"`), stage and cause, as the seed has
#   them. The cause is what the slow stage has too much of: `"CPU"`, `"SQL statements"`, `"rows"` or
#   `"buffers"`.
# - **Load test** (2 points). The locustfile asks all three endpoints. Ids go from 1 to 100,000
#   (posts and users) or 200 (tags). Users with small numbers have written most: ask for 1 to 100 of
#   them. The check lets 8 of its users loose for 2 seconds, without their `wait_time`: each has to
#   send several requests a second. The server often answers with *the page of another id*, status
#   200. Exactly those must count as failures.
# - **Speed** (2 points). At the slow endpoint at least half of what our own repair gains.
# - **Hygiene** (1 point). Locust's table has a row for each endpoint, not for each id.
#
# ## The load test
#
# A text, because Locust runs in a process of its own. Begin with the one of
# [the lesson](../notebooks/13_finding_the_bottleneck.ipynb).

# %%
# blank:
locustfile = """
"""
# solution:
locustfile = """
import random
from locust import HttpUser, constant_throughput, task

class Reader(HttpUser):
    wait_time = constant_throughput(5)

    def read(self, page, number):
        path, name = f"/{page}/{number}", f"/{page}/[id]"
        with self.client.get(path, name=name, catch_response=True) as response:
            if response.ok and response.json().get("id") != number:
                response.failure("the page of another id")

    @task
    def post(self):
        self.read("posts", random.randint(1, 100_000))

    @task
    def user(self):
        self.read("users", random.randint(1, 100))

    @task
    def tag(self):
        self.read("tags", random.randint(1, 200))
"""
# end solution

# %%
if locustfile.strip():
    print(lab.load_test(locustfile, slow_newsroom(lab.postgres_dsn), users=4, name="the newsroom"))

# %% [markdown]
# ## The finding
#
# Use what you like: `lab.measure` counts, `lab.trace(...).plot()` draws a waterfall,
# `lab.profile(...).plot()` a flame graph.

# %%
one_post = get("/posts/{id}", id=uniform(1, 100))
lab.measure(slow_newsroom(lab.postgres_dsn), one_post, concurrency=1, name="/posts/[id]")

# %%
# blank:
finding = {"endpoint": "", "stage": "", "cause": ""}
# solution:
finding = {"endpoint": "/tags/{tag_id}", "stage": "authors", "cause": "SQL statements"}
# end solution

# %% [markdown]
# ## The repair
#
# `inspect.getsource(as_found[page][stage])` shows the code of a stage. Write it anew, under any
# name. `replaced(as_found, page, stage, your_function)` from `course_app.apps.newsroom` gives all
# stages with yours in its place.


# %%
# blank:
def create_app(postgres_dsn: str) -> FastAPI:
    raise NotImplementedError("your answer")


# solution:
from typing import Any

from course_app.apps.newsroom import Page, replaced

from course_app.exercises.finding_the_bottleneck.reference import create_app

# end solution
# %%
from course_app.learn import check

check("13_finding_the_bottleneck", create_app, seed=seed, locustfile=locustfile, finding=finding)

# %% [markdown]
# Stuck? Write `hint("13")` into a cell (`from course_app.learn import hint`); each call says a
# little more. `solution("13")` shows our app for the seed 6.
