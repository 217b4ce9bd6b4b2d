# %% [markdown]
# # Exercise 07 - Compress only what is worth it
#
# A small publishing service has many readers on phones. A colleague added the guide's line, and
# the phones are happy. But the bill for CPU has grown, spreadsheets take longer to download than
# before, and the search indexer, which runs on the same machine, has become slow.
#
# Every answer is right. Decide what deserves compression, how much of it, and what does not. You
# find everything that you need in [the lesson](../notebooks/07_compression.ipynb).

# %%
import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg
from fastapi import FastAPI, HTTPException, Query, Response
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import StreamingResponse

from course_app.exercises.compression.baseline import Limit, XLSX, POST, POSTS, service

# %% [markdown]
# This is all that the colleague changed:

# %%
from course_app.exercises.compression.baseline import guides_line

# %% [markdown]
# See what it does before you change it: what costs most, and what comes of it? The bytes stand in
# the last line of the table, once it is unfolded.

# %%
from course_app.lab import Lab, get, uniform

lab = Lab()
accepts = {"Accept-Encoding": "gzip"}
lab.measure(
    guides_line(lab.postgres_dsn), get("/posts", headers=accepts), concurrency=2, name="a list"
)

# %%
spreadsheet = get("/posts/{post_id}/figures.xlsx", post_id=uniform(1, lab.posts), headers=accepts)
lab.measure(guides_line(lab.postgres_dsn), spreadsheet, concurrency=2, name="a spreadsheet")

# %% [markdown]
# ## When is it done?
#
# - **Contract** (2 points). After decoding every answer is as before, also 404 and 422, and as it
#   is in the database now. Who does not accept gzip gets none (the word is what counts, as for
#   Starlette: nobody asks with `gzip;q=0`). Where an answer may come in either form, `Vary` says
#   so in both.
# - **Mechanism** (4.5 points). Long lists (`/posts`) go out as small as level 1 makes them, or
#   smaller. Small answers and spreadsheets go out as they are (2 points). So does what would be
#   hurt by compression: `/internal/posts`, which only the indexer reads (1.5). While megabytes are
#   compressed for one client, the others are answered.
# - **Speed** (3 points). Over all kinds of answers, at least half of what our own solution saves in
#   CPU (2 points). One level serves all readers of `/posts`, and the bill for CPU is what you were
#   called for: take the cheapest. And your choice of a level for each client, below.
# - **Hygiene** (half a point). The first piece of a stream (`/feed`) comes long before its last.
#
# Most points are for what the colleague's line does wrong. What it does right already (3.5 points)
# counts once your answer does something that it does not.
#
# Write `create_app`. Begin with `app = service(postgres_dsn)`; the service itself need not change.
# The check calls it with the address of a fresh database.
#
# **Choose a level**, too, now for each client on its own, and only by what it waits. Three of them
# read the list of 90 posts, which is about 90 kB. Which level brings the last byte first: CPU time
# and bytes on the link together? `None` means: better not. Measure the levels on one list, and
# compute. (The check measures all of them, and a choice is good if no other is more than 1.3 times
# as fast.)
#
# | client | link |
# |---|---|
# | `phone` | 2 Mbit/s |
# | `office` | 100 Mbit/s |
# | `indexer` | 20,000 Mbit/s, within this machine |


# %%
# blank:
def create_app(postgres_dsn: str) -> FastAPI:
    raise NotImplementedError("your answer")


levels = {"phone": ..., "office": ..., "indexer": ...}


# solution:
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES

from course_app.exercises.compression.reference import CompressForTheWorld, create_app, levels

# end solution
# %%
from course_app.learn import check

check("07_compression", create_app, levels=levels)

# %% [markdown]
# Stuck? Write `hint("07_compression")` into a cell (`from course_app.learn import hint`);
# each call says a little more. `solution("07_compression")` shows our answer.
