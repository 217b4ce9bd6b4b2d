# %% [markdown]
# # Exercise 06 - Tell less, and faster
#
# A club has a public directory of its members. The handlers answer with whatever the table holds:
# e-mail addresses and ages, too. Long pages are slow besides. Both have the same cause: nobody
# ever said what a member is.
#
# Say it. You find everything that you need in [the lesson](../notebooks/06_response_models.ipynb).

# %%
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import asyncpg
from fastapi import FastAPI, HTTPException, Query

from course_app.exercises.response_models.baseline import Limit, PAGE, ONE, telling_directory

# %% [markdown]
# See what it tells and what that costs, before you change it. How many calls of `jsonable_encoder`
# are there for each member on the page?

# %%
from course_app.lab import Lab
from course_app.measure.probes.encoder import EncoderProbe

lab = Lab()
lab.also_count(EncoderProbe())
as_it_is = telling_directory(lab.postgres_dsn)
print(lab.replay(as_it_is, "/members/7", requests=1).answers[0].text)
lab.measure(as_it_is, "/members?limit=500", concurrency=2, name="as it is")

# %% [markdown]
# ## When is it done?
#
# - **Contract** (4 points). A member is `id`, `name`, `bio` and `created_at`, in the list as well
#   as alone, and nothing else; each as it is in the database now. `bio` is text or null. `name` is
#   never empty: an import has left some rows without one, which are no members. The list leaves
#   them out, and `left_out` says how many of the page's rows (at most `limit`, as before) they
#   were; asking for one of them is a 404.
# - **Mechanism** (3 points). No answer goes through `jsonable_encoder`, or costs as if it did: a
#   page of 500 takes less than 3 times the CPU of our own solution (an ORM's object for each row
#   costs about that, its columns do not). PostgreSQL is not asked for what nobody sees, in the
#   list or alone.
# - **Speed** (2 points). At least 0.3 of what our own solution gains, for pages of 500.
# - **Hygiene** (1 point). OpenAPI (`/docs`) says what fields a member has.
#
# Write `create_app`. Begin with a copy of the function above. The check calls it with the address
# of a fresh database.


# %%
# blank:
def create_app(postgres_dsn: str) -> FastAPI:
    raise NotImplementedError("your answer")


# solution:
import logging
from datetime import datetime

from pydantic import BaseModel, Field, ValidationError

from course_app.exercises.response_models.reference import (
    logger,
    COLUMNS,
    PUBLIC_PAGE,
    PUBLIC_ONE,
    Member,
    Page,
    member_of,
    create_app,
)

# end solution
# %%
from course_app.learn import check

check("06_response_models", create_app)

# %% [markdown]
# Stuck? Write `hint("06_response_models")` into a cell (`from course_app.learn import hint`);
# each call says a little more. `solution("06_response_models")` shows our answer.
