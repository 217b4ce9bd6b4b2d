# %% [markdown]
# # Exercise 02 - Nobody waits for somebody else
#
# A shop's API is fast when you try it, and stands still whenever a few customers come at the same
# time. Every handler is `async def`, as the guide says. Three of them stop the event loop, each
# in its own way, and then even `/health` does not answer.
#
# Repair it so that none of them does. You find everything that you need in
# [the lesson](../notebooks/02_async.ipynb).

# %%
import os
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException

from course_app.apps.partner import fetch_price, load_session, render_invoice

from course_app.exercises.async_.baseline import shop_that_blocks

# %% [markdown]
# What these three functions do, and what else the partner's library offers:

# %%
from course_app.apps import partner

for name in ("fetch_price", "fetch_price_async", "load_session", "render_invoice"):
    print(f"{name}: {getattr(partner, name).__doc__}")
print(f"The partner takes {partner.MOST_CALLS} calls at the same time and refuses more.")

# %% [markdown]
# See it stand still before you change it.

# %%
from course_app.lab import Lab

lab = Lab()
as_it_is = shop_that_blocks()
paths = {"price": "/prices/7", "order": "/orders/7?token=me", "invoice": "/invoices/7"}
for name, path in paths.items():
    print(name, lab.loop_lag({name: as_it_is}, path, rate=10).message)

# %% [markdown]
# ## When is it done?
#
# - **Contract** (1 point). Every answer is as before, also 404 and 422. Prices and customers may
#   change at any time, so each request asks for its own.
# - **Mechanism** (5 points). While 12 clients wait for prices, or for their sessions, `/health`
#   answers at once, and the calls are made side by side. Invoices are computed in another
#   process than the server's, and while 24 clients wait for invoices, `/health` answers at once.
# - **Speed** (2 points). At least half of what our own solution gains.
# - **Hygiene** (2 points). With 120 clients at once the partner never refuses a call. When the app
#   ends, so do the processes that it started.
#
# What the given app does already counts once your answer does something that it does not.
#
# Write `create_app`. Begin with a copy of the function above; `render_invoice` can be handed to
# another process as it is.


# %%
# blank:
def create_app() -> FastAPI:
    raise NotImplementedError("your answer")


# solution:
import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from multiprocessing import get_context

from course_app.apps.partner import fetch_price_async

from course_app.exercises.async_.reference import create_app

# end solution
# %%
from course_app.learn import check

check("02_async", create_app)

# %% [markdown]
# Stuck? Write `hint("02_async")` into a cell (`from course_app.learn import hint`); each call says
# a little more. `solution("02_async")` shows our answer.
