# %% [markdown]
# # Exercise 10 - Answer first, lose nothing
#
# In this shop an article is reserved, the order is saved, and then two letters go out: one to the
# customer, one to the warehouse. The post office takes its time for each, and the customer waits
# for both. So does everybody else, because `deliver` blocks.
#
# Nobody needs the letters to be out before the answer. But each has to go out, and once. You
# find everything that you need in [the lesson](../notebooks/10_background_tasks.ipynb).

# %%
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field
from redis.asyncio import Redis

from course_app.apps.mail_order import AddressRefused, PostOffice, SoldOut, reserve

from course_app.exercises.background_tasks.baseline import (
    WAREHOUSE,
    logger,
    NewOrder,
    shop_that_waits,
)

# %% [markdown]
# What the libraries of warehouse and post office say of themselves:

# %%
import inspect

from course_app.apps.mail_order import NOWHERE

for described in (reserve, PostOffice, PostOffice.deliver):
    print(f"{described.__qualname__}: {inspect.getdoc(described)}\n")
print(f"Refused: every address that ends in {NOWHERE}.")

# %% [markdown]
# See the shop stand still before you change it: one order, and others who ask for `/health`.

# %%
from course_app.lab import Lab, post

lab = Lab()
order = post("/orders", json={"customer": "me@example.com", "article": "book"}, expect_status=201)
lab.bystanders({"as it is": shop_that_waits(lab.valkey_url)}, order, "/health", seconds=0.3)

# %% [markdown]
# ## When is it done?
#
# - **Contract** (4 points). Every answer is as before, also 404, 409 and 422. An order can be read
#   as soon as it is accepted. Customer and warehouse get one letter for each order, and not two,
#   whoever else is refused.
# - **Mechanism** (2 points). The answer comes before the letters are out. While the letters of 20
#   orders are delivered, side by side, `/health` answers at once.
# - **Speed** (2 points). At least half of what our own solution gains.
# - **Hygiene** (2 points). When 40 customers order at once, on a busy day, the post office turns no
#   letter away. When the app shuts down cleanly, every letter that it owes is out. (A crash may
#   lose letters here; what survives one, a queue, is in the lesson.)
#
# What the given app does already counts once your answer does something that it does not.
#
# Write `create_app`. Begin with a copy of the function above.


# %%
# blank:
def create_app(valkey_url: str) -> FastAPI:
    raise NotImplementedError("your answer")


# solution:
from fastapi import BackgroundTasks

from course_app.exercises.background_tasks.reference import create_app

# end solution
# %%
from course_app.learn import check

check("10_background_tasks", create_app)

# %% [markdown]
# Stuck? Write `hint("10_background_tasks")` into a cell (`from course_app.learn import hint`); each
# call says a little more. `solution("10_background_tasks")` shows our answer.
