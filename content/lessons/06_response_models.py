# %% [markdown]
# # 06 - Response models
#
# The guide says: declare a response model with the fields that a client needs, and answers hold
# only necessary data. Many older articles warn that this costs time, because FastAPI then
# validates every answer before it sends it.
#
# So is a response model a gain or a price? In this lesson you count what FastAPI does with an
# answer, with a model and without. It takes less than a minute of measuring.

# %% [markdown]
# ## Do you remember?
#
# <details><summary>A query is quick on your laptop, where the table has a thousand rows. Where do
# you look, if not at the clock, to see whether it will be slow in production?</summary>
#
# At the plan and its buffers. A `Seq Scan` touches every page of the table, so its buffers grow
# with the table; an index grows by a level now and then. On a small table both take next to no
# time, so the clock of a request hardly tells them apart.
#
# </details>
#
# <details><summary>A page sends one query for its posts and one more for each post. A colleague
# puts the many into <code>asyncio.gather</code>, and alone on the laptop the page is quicker. Do
# you merge that?</summary>
#
# No. It sends as many statements as before, and more round trips, because the pool resets a
# connection after each loan. What one request gains it takes from the others, whose connections it
# borrows; fewer statements (`= ANY` needs two) help everybody.
#
# </details>
#
# <details><summary>Lesson 01: you measured once before your change and once after it, and the
# second run was 8 % faster. What do you know now?</summary>
#
# Next to nothing: the same app measured against itself differs from round to round, too. Let both
# versions take turns, and look at the interval of their ratio: does it hold 1?
#
# </details>

# %%
from course_app.lab import Lab

lab = Lab("06")

# %% [markdown]
# ## Your prediction
#
# Two handlers answer eight clients with 100 users, three fields each, and send the same bytes. One
# picks the fields by hand, the other leaves that to a response model. How many times as fast is the
# one with the model? (The older articles would say: less than 1.) Write your guess in place of the
# dots.

# %%
guess = lab.predict(..., "times as fast with a response model")

# %% [markdown]
# ## Rows as they come
#
# A thousand users are read once and kept. That way the lesson measures nothing but the way
# from a row to its JSON.

# %%
import asyncio

import asyncpg

QUERY = """SELECT id, name, bio, email, age, created_at, md5(email) AS password_hash
    FROM users ORDER BY id LIMIT 1000"""


async def read_users() -> list[dict]:
    connection = await asyncpg.connect(lab.postgres_dsn)
    try:
        return [dict(row) for row in await connection.fetch(QUERY)]
    finally:
        await connection.close()


ROWS = asyncio.run(read_users())

# %% [markdown]
# The first version hands its rows to FastAPI and leaves the rest to it.

# %%
from fastapi import FastAPI


def whole_rows(rows: float = 100) -> FastAPI:
    app = FastAPI()

    @app.get("/users")
    async def list_users():
        return ROWS[: int(rows)]

    return app


# %% [markdown]
# What prepares them for JSON is a function of FastAPI's, `jsonable_encoder`. A probe, a counter
# that the lab puts into the server, counts its calls. An answer holds 100 users with seven columns
# each: how many calls does it take?

# %%
guess_calls = lab.predict(..., "calls of jsonable_encoder for one answer")

# %%
from course_app.measure.probes.encoder import EncoderProbe

lab.also_count(EncoderProbe())
whole = lab.measure(whole_rows(), "/users", concurrency=8, name="whole rows")
print(guess_calls.against(round(whole.counts["jsonable_encoder calls"])))
whole

# %% [markdown]
# Two counts of the table are the subject of this lesson: how often that function was called for an
# answer, and, where you unfold the rest, how many bytes a client gets. What is in these bytes?

# %%
import httpx


async def first_answer(app: FastAPI) -> httpx.Response:
    to_app = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=to_app, base_url="http://app") as client:
        return await client.get("/users")


def ask(app: FastAPI) -> httpx.Response:
    return asyncio.run(first_answer(app))


leaked = list(ask(whole_rows()).json()[0])
print("Every client sees:", ", ".join(leaked))

# %% [markdown]
# Whatever the query reads goes out to everybody, and so will the column that a colleague adds to it
# next year.
#
# ## Only what is needed, two ways
#
# Clients need three fields. One can choose them by hand, in the handler:

# %%
from pydantic import BaseModel


class User(BaseModel):
    id: int
    name: str
    bio: str


FIELDS = tuple(User.model_fields)


def by_hand(rows: float = 100) -> FastAPI:
    app = FastAPI()

    @app.get("/users")
    async def list_users():
        return [{field: row[field] for field in FIELDS} for row in ROWS[: int(rows)]]

    return app


# %% [markdown]
# Or one declares them. The handler stays as careless as it was; the declaration is what the
# client gets, what the documentation shows, and what nobody can forget. (A return annotation,
# `-> list[User]`, says the same.)


# %%
def with_model(rows: float = 100) -> FastAPI:
    app = FastAPI()

    @app.get("/users", response_model=list[User])
    async def list_users():
        return ROWS[: int(rows)]

    return app


# %%
comparison = lab.compare(
    {"fields by hand": by_hand(), "response model": with_model()},
    "/users",
    concurrency=8,
    at_least=2,
    most_rounds=10,
)
print(guess.against(comparison.speedup()))
comparison

# %% tags=["readme"]
CALLS, BYTES = "jsonable_encoder calls", "HTTP bytes received"
comparison.plot(predicted=guess, counters=[f"{CALLS} / request"])

# %% [markdown]
# Both sent the same bytes, and the one with a model has validated each row before. Compare what you
# see with what the older articles say of it.
#
# ## The cause, counted
#
# FastAPI knows nothing about an answer without a type until it sees it. So it looks at everything:
# the list, each dict in it, each key, each value, one Python call each. After that, `json.dumps`
# goes through all of it again.

# %%
expected = 1 + 100 * (1 + 2 * len(FIELDS))
calls = {variant.name: variant.counts[CALLS] for variant in comparison.variants}
print(f"1 list + 100 dicts + 100 x {len(FIELDS)} keys and as many values = {expected}")
print("counted:", calls)

# %% [markdown]
# A response model is a type that is known **when the app starts**. Pydantic makes a serializer of
# it, a writer of bytes in Rust, and since version 0.130 FastAPI lets that one write the answer
# directly: no function of Python's looks at each value any more.
#
# Is it the model, then, or only the type? Four more ways to send the same bytes:

# %%
from typing import Any

from fastapi import Response
from fastapi.responses import JSONResponse
from pydantic import TypeAdapter

USERS = TypeAdapter(list[User]).validate_python(ROWS)


def answering(make_answer, **options):
    def with_rows(rows: float = 100) -> FastAPI:
        app, answer = FastAPI(), make_answer(int(rows))

        @app.get("/users", **options)
        async def list_users():
            return answer

        return app

    return with_rows


# %%
def chosen(rows: int) -> list[dict[str, Any]]:
    return [{field: row[field] for field in FIELDS} for row in ROWS[:rows]]


def as_bytes(rows: int) -> Response:
    body = TypeAdapter(list[User]).dump_json(USERS[:rows])
    return Response(body, media_type="application/json")


dicts = answering(chosen)
model = answering(chosen, response_model=list[User])
any_dict = answering(chosen, response_model=list[dict[str, Any]])
named_class = answering(chosen, response_model=list[User], response_class=JSONResponse)
instances = answering(lambda rows: USERS[:rows], response_model=list[User])
prebuilt = answering(as_bytes)

# %%
ways = {
    "dicts, no type": dicts(),
    "model, class named": named_class(),
    "typed as dict": any_dict(),
    "model": model(),
    "model, from instances": instances(),
    "prebuilt bytes": prebuilt(),
}
by_cpu = lab.compare_requests(ways, "/users", at_least=1.5)
by_cpu.plot(
    counters=[f"{CALLS} / request"],
    title=f"By CPU, a model is {by_cpu.speedup('model').times} as fast for 100 rows, "
    f"{by_cpu.speedup('model, class named').times} if a class is named",
)

# %% [markdown]
# Any type ends the calls, also `list[dict[str, Any]]`. But that one lets every field through:
# however fast, it leaks.
#
# **class named** has `response_class=JSONResponse` in its decorator. It looks harmless, and
# takes the direct way to the bytes away: Pydantic makes dicts, `json.dumps` makes text of them. So
# did FastAPI for everybody before 0.130; compare its bar with the one of no type. The older
# articles are from the days of Pydantic 1, when validation was Python's work, too, and
# `jsonable_encoder` had its turn after it all the same. Their remedy, `ORJSONResponse`, is now
# deprecated: the direct way has taken its place.
#
# **From instances** saves the validation: what is a `User` already is not looked at again. Somebody
# has to make them, though, so this pays where they are made anyway. **Prebuilt bytes** are the
# floor, a request without any serialization.
#
# ## How many rows does it take?
#
# You have seen 100. If the answer is a single row, how many times the CPU of a request with a model
# does one without a type take?

# %%
guess_row = lab.predict(..., "times the CPU for one row without a model")

# %%
series = {"dicts": dicts, "model": model, "instances": instances, "prebuilt bytes": prebuilt}
sweep = lab.sweep(
    series,
    "/users",
    parameter="rows in the answer",
    values=[1, 10, 100, 1000],
    metric="cpu",
    concurrency=4,
    windows=3,
    count_causes=True,
)

# %%
from course_app.plots import plot_panels


def times_less(name: str) -> list[tuple[float, float, float, float]]:
    if name == "dicts":
        return [(rows, 1, 1, 1) for rows in sweep.values]
    ratios = {rows: sweep.ratio("dicts", name, rows) for rows in sweep.values}
    return [(rows, ratio.estimate, ratio.low, ratio.high) for rows, ratio in ratios.items()]


cpu = {
    name: [(p.value, p.middle("cpu"), *p.span("cpu")) for p in sweep.series[name]]
    for name in series
}
few, many = sweep.ratio("dicts", "model", 1), sweep.ratio("dicts", "model", 1000)
print(guess_row.against(few))
plot_panels(
    {
        "server CPU, µs / request": cpu,
        "times as fast as dicts, by CPU": {name: times_less(name) for name in series},
    },
    x_label="rows in the answer",
    title=f"Dicts take {few} the CPU of a model for one row, {many} for a thousand",
)

# %% [markdown]
# Where the lines begin, at one row, most of what you see is the request itself: prebuilt bytes
# show, as far as the bars allow, how much. Then the rows begin to count, and from some number on
# far more without a type: look where the first two lines part. (The limits are those of a sweep,
# which hold with 90 %. For 100 rows the factors need not be those of the figure before: there one
# request came at a time, here four clients ask at once, and what a request costs besides its rows
# is not the same.) Beside the times, the calls:

# %%
for rows in sweep.values:
    at = {name: sweep.at(name, rows) for name in ("dicts", "model")}
    said = [
        f"{name}: {p.counts[CALLS]:5g} calls, {p.middle('cpu'):6.0f} µs" for name, p in at.items()
    ]
    print(f"{rows:4g} {'row ' if rows == 1 else 'rows'} - {';  '.join(said)}")
hundred = sweep.ratio("dicts", "model", 100)
change = "cannot tell whether the factor changed"
change = "less again" if many.high < hundred.low else change
change = "more again" if many.low > hundred.high else change
print(f"Dicts take {hundred} a model's CPU for 100 rows, {many} for 1000: {change}.")
validated = sweep.ratio("model", "instances", 1000)
print(f"For 1000 rows a model takes {validated} the CPU of instances:")
print(
    "the difference is validating the rows, which makes a User of each."
    if validated.above(1)
    else "whether validating the rows costs anything, these windows cannot tell."
)

# %% [markdown]
# ## When it does not help, and when it hurts
#
# **One row.** A detail page has little to encode. A model is still right there, for the sake of
# its fields; the first line tells what is left of the gain. (Mind the bar of lesson 00: where an
# interval holds 1.1, "somewhat faster" is no verdict.)

# %%
one_row = lab.compare_requests({"dict": dicts(1), "model": model(1)}, "/users")
one_row

# %% [markdown]
# **A row that breaks the model.** Validation is a promise to the client, and FastAPI keeps it by
# answering 500 when a handler returns something else. Here one user of a hundred has no name:

# %%
broken = [dict(row, name=None) if row["id"] == 50 else row for row in ROWS]
status = {
    "no type": ask(answering(lambda rows: broken[:rows])(100)).status_code,
    "model": ask(answering(lambda rows: broken[:rows], response_model=list[User])(100)).status_code,
}
print(status)

# %% [markdown]
# The other 99 are lost with it. Either the model says what is in the data, `name: str | None`, or
# rows are validated one by one where they enter, so that a bad one costs only itself. The instances
# need no validation afterwards.

# %%
from pydantic import ValidationError


def fitting(rows: list[dict]) -> list[User]:
    users = []
    for row in rows:
        try:
            users.append(User.model_validate(row))
        except ValidationError as error:
            print(f"left out user {row['id']}: {error.errors()[0]['msg']}")
    return users


repaired = ask(answering(lambda rows: fitting(broken[:rows]), response_model=list[User])(100))
print(repaired.status_code, len(repaired.json()), "users")

# %% [markdown]
# **Timestamps look different.** Both of these are correct, but a client that compares texts will
# notice when you introduce a model.


# %%
class Joined(BaseModel):
    created_at: Any


for name, options in {"no type": {}, "model": {"response_model": Joined}}.items():
    since = answering(lambda _: {"created_at": ROWS[0]["created_at"]}, **options)
    print(f"{name:>8}: {ask(since()).text}")

# %% [markdown]
# **The query stays as it was.** The model drops four columns after PostgreSQL has sent them and
# asyncpg has made objects of them. To save that as well, name the columns
# ([lesson 05](05_queries.ipynb)).
#
# ## The verdict

# %% jupyter={"source_hidden": true}
bytes_sent = {
    "whole rows": whole.counts[BYTES],
    "model": comparison["response model"].counts[BYTES],
}
lab.verdict(
    15,
    "holds",
    "Smaller by what it leaves out, and faster because Pydantic writes the JSON that FastAPI would "
    "otherwise put together call by call. For one row there is little to gain.",
    {
        "without a model the answer leaks what clients should not see": "password_hash" in leaked,
        "the model sends at most 0.8 of the bytes": (
            bytes_sent["model"] <= 0.8 * bytes_sent["whole rows"]
        ),
        f"100 rows take no call of jsonable_encoder in place of {expected}": (
            calls == {"fields by hand": expected, "response model": 0}
        ),
        "100 rows come at least 2 times as fast": comparison.faster(at_least=2),
        "one row comes less than 1.5 times as fast": one_row.speedup().below(1.5),
    },
    evidence=comparison,
)

# %% [markdown]
# ## What to take away
#
# - Give every endpoint a model as its return type. It protects the fields, writes the
#   documentation, and is FastAPI's fast path.
# - Count calls of `jsonable_encoder`. If there are any, there is no type, or the answer was
#   encoded by hand, or was an error (FastAPI's own 422 takes this way, too).
# - Leave `response_class` alone, unless you return something that is not JSON.
# - Validate rows where they enter: then a bad row is a line in the log and not a 500.
#
# Next: [the exercise](../exercises/06_response_models.ipynb), a public directory of members that
# tells more than it should, and slowly.
#
# ## Read more
#
# - [JSON performance](https://fastapi.tiangolo.com/advanced/custom-response/#json-performance) in
#   FastAPI's documentation: the fast path in one sentence, and what leaves it.
# - [`jsonable_encoder` can stall the event
#   loop](https://github.com/fastapi/fastapi/issues/1224): a report from 2020 of a server that its
#   proxy took for dead, because encoding kept it busy for seconds; with the profile.
# - [OWASP API Security Top 10](https://owasp.org/API-Security/editions/2023/en/0x11-t10/): the ten
#   gravest risks of APIs; the third is the leak of this lesson, and its counterpart in requests.
#
# **From the field.** In 2024 somebody sent [Troy
# Hunt](https://www.troyhunt.com/how-spoutibles-leaky-api-spurted-out-a-deluge-of-personal-data/)
# 207,000 records of users of Spoutible, a social network. Whoever put a user's name into the URL of
# its API got more than the profile: e-mail and IP address, the hash of the password, the secret of
# the second factor, and the token with which the password could be reset. A response model of the
# id, the names and the biography, which Hunt would have expected there, leaves out the rest.
