# %% [markdown]
# # Exercise 11 - One limit, whatever the number of workers
#
# A price service lets each client, known by its API key, ask 20 times in 2 seconds. So says its
# documentation. Its code is the limiter that you know from the lesson: who comes too often gets
# 500, who sends no key as well, and since the service runs on three workers, clients get through
# three times as often as they should.
#
# Make it right. You find everything that you need in
# [the lesson](../notebooks/11_rate_limiting.ipynb).

# %%
import time
from collections import defaultdict
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response

from course_app.exercises.rate_limiting.baseline import LIMIT, PRICES, limited_in_memory

# %% [markdown]
# See what its clients get before you change it.

# %%
from collections import Counter

from course_app.lab import Lab, get

lab = Lab()
one_client = get("/prices", headers={"X-API-Key": "me"}, expect_status=(200, 500))
answers = lab.replay(limited_in_memory(), one_client, requests=30, name="as it is").answers
Counter(answer.status for answer in answers)

# %% [markdown]
# ## When is it done?
#
# - **Contract** (7 points). Never more than 20 requests of one key pass within *any* 2 seconds,
#   over both paths together; only those that pass count. That holds for a crowd of requests at
#   once, and for three workers. Who is refused gets 429 with `Retry-After`: the time that is
#   left in whole seconds, rounded up. Other keys go on as before, and no key is a 401, at once.
#   (A gateway in front has verified the keys; only issued ones arrive here.)
# - **Mechanism** (2 points). All that is known of clients is in Valkey: it outlives a restart, and
#   is gone when its keys are deleted. Each request asks Valkey once: one round trip, on a
#   connection that is open already.
# - **Hygiene** (1 point). Every key expires soon after its window.
#
# Write `create_app`. The check calls it with the address of an empty Valkey, once for each worker.


# %%
# blank:
def create_app(valkey_url: str) -> FastAPI:
    raise NotImplementedError("your answer")


# solution:
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import redis.asyncio as redis
from fastapi import Depends, Header

from course_app.exercises.rate_limiting.reference import create_app

# end solution
# %%
from course_app.learn import check

check("11_rate_limiting", create_app)

# %% [markdown]
# Stuck? Write `hint("11_rate_limiting")` into a cell (`from course_app.learn import hint`);
# each call says a little more. `solution("11_rate_limiting")` shows our answer.
