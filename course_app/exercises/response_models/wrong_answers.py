"""Known wrong answers, each a small change to a good one, as learners make them."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg
from fastapi import FastAPI, HTTPException, Response
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, ValidationError

from course_app.exercises.response_models import odd_rows, pages, rubric
from course_app.exercises.response_models.baseline import telling_directory
from course_app.exercises.response_models.reference import (
    COLUMNS,
    Limit,
    Member,
    Page,
    create_app,
    member_of,
)
from course_app.exercises.response_models.right_answers import ANSWERS
from course_app.grading import Changed, WrongAnswer
from course_app.grading.failures import TooLittleGain

Fit = Callable[[asyncpg.Record], Any]
Finish = Callable[[Any], Any]


class AnyMember(Member):
    """Says what is needed, and takes whatever else comes."""

    model_config = ConfigDict(extra="allow")


class AnyPage(BaseModel):
    members: list[AnyMember]
    left_out: int


class WordyMember(Member):
    bio: str


class NamelessMember(BaseModel):
    id: int
    name: str
    bio: str | None
    created_at: datetime


class NamelessPage(BaseModel):
    members: list[NamelessMember]
    left_out: int


def _as_is(answer: Any) -> Any:
    return answer


def _directory(
    postgres_dsn: str,
    *,
    columns: str = COLUMNS,
    columns_of_one: str | None = None,
    where: str = "id > $1",
    fit: Fit = member_of,
    fit_one: Fit | None = None,
    page: Any = Page,
    one: Any = Member,
    finish: Finish = _as_is,
    left_out: int | None = None,
) -> FastAPI:
    """The directory, right in everything but what is given.

    Args:
        columns: what the list asks for; ``columns_of_one`` is what the other handler does.
        fit: makes a member of a row, or None; ``fit_one`` does so for a single member.
        page: the response model of the list; ``one``: that of a single member.
        finish: what happens to an answer before FastAPI gets it.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(postgres_dsn, min_size=4, max_size=4) as app.state.pool:
            yield

    app = FastAPI(lifespan=lifespan)
    list_query = f"SELECT {columns} FROM users WHERE {where} ORDER BY users.id LIMIT $2"

    @app.get("/members", response_model=page)
    async def list_members(after: int = 0, limit: Limit = 100) -> Any:
        rows = await app.state.pool.fetch(list_query, after, limit)
        members = [member for member in map(fit, rows) if member is not None]
        missing = len(rows) - len(members) if left_out is None else left_out
        return finish({"members": members, "left_out": missing})

    @app.get("/members/{member_id}", response_model=one)
    async def read_member(member_id: int) -> Any:
        query = f"SELECT {columns_of_one or columns} FROM users WHERE id = $1"
        row = await app.state.pool.fetchrow(query, member_id)
        member = None if row is None else (fit_one or fit)(row)
        if member is None:
            raise HTTPException(404, "No such member")
        return finish(member)

    return app


def _named(row: asyncpg.Record) -> Mapping[str, Any] | None:
    """All that was fetched, as a dict."""
    return dict(row) if row["name"] else None


def fields_named_by_hand(postgres_dsn: str) -> FastAPI:
    """Tells nothing, and FastAPI still knows no type."""
    return _directory(postgres_dsn, fit=_named, page=None, one=None)


def instances_without_a_type(postgres_dsn: str) -> FastAPI:
    """Models are made, and FastAPI is not told."""
    return _directory(postgres_dsn, page=None, one=None)


def one_handler_without_a_type(postgres_dsn: str) -> FastAPI:
    return _directory(postgres_dsn, one=None)


def encoded_by_hand(postgres_dsn: str) -> FastAPI:
    """Declared rightly, and then encoded by the slow function all the same."""
    return _directory(postgres_dsn, finish=lambda answer: JSONResponse(jsonable_encoder(answer)))


def typed_as_any_dict(postgres_dsn: str) -> FastAPI:
    """Fast, because any type will do; and it tells everything."""
    every = dict[str, Any]
    return _directory(postgres_dsn, columns="*", fit=_named, page=every, one=every)


def extra_fields_allowed(postgres_dsn: str) -> FastAPI:
    return _directory(postgres_dsn, columns="*", fit=_named, page=AnyPage, one=AnyMember)


def one_handler_forgotten(postgres_dsn: str) -> FastAPI:
    """The list is repaired; a single member still tells everything."""
    return _directory(postgres_dsn, columns="*", fit=_named, one=dict[str, Any])


def all_columns(postgres_dsn: str) -> FastAPI:
    """The model drops what PostgreSQL has sent."""
    return _directory(postgres_dsn, columns="*")


def all_columns_of_one(postgres_dsn: str) -> FastAPI:
    """The list names its columns; the other handler was forgotten."""
    return _directory(postgres_dsn, columns_of_one="*")


def bio_must_be_text(postgres_dsn: str) -> FastAPI:
    """FastAPI validates, and a member without a bio is a 500."""

    class WordyPage(BaseModel):
        members: list[WordyMember]
        left_out: int

    return _directory(postgres_dsn, fit=_named, page=WordyPage, one=WordyMember)


def without_bio_left_out(postgres_dsn: str) -> FastAPI:
    def fit(row: asyncpg.Record) -> WordyMember | None:
        try:
            return WordyMember.model_validate(dict(row))
        except ValidationError:
            return None

    return _directory(postgres_dsn, fit=fit)


def validated_as_a_whole(postgres_dsn: str) -> FastAPI:
    """The model is right, and one row without a name is a 500 for the whole page."""
    return _directory(postgres_dsn, fit=dict)


def empty_names_are_text(postgres_dsn: str) -> FastAPI:
    return _directory(postgres_dsn, fit=dict, page=NamelessPage, one=NamelessMember)


def filtered_in_the_query(postgres_dsn: str) -> FastAPI:
    """Nobody learns that a row is missing, and the page is filled up with others."""
    return _directory(postgres_dsn, where="id > $1 AND name <> ''")


def not_counted(postgres_dsn: str) -> FastAPI:
    return _directory(postgres_dsn, left_out=0)


def bad_row_found_alone(postgres_dsn: str) -> FastAPI:
    """The list leaves it out, the other handler shows it."""
    return _directory(postgres_dsn, fit_one=dict, one=NamelessMember)


def json_by_str(postgres_dsn: str) -> FastAPI:
    """`json.dumps` did not know times, and `default=str` made the error go away."""

    def finish(answer: Any) -> Response:
        return Response(json.dumps(answer, default=str), media_type="application/json")

    return _directory(postgres_dsn, fit=_named, finish=finish)


def bytes_without_a_type(postgres_dsn: str) -> FastAPI:
    """As fast as can be; the documentation knows nothing of it."""

    def finish(answer: Any) -> Response:
        model = Page.model_validate(answer) if isinstance(answer, dict) else answer
        return Response(model.model_dump_json(), media_type="application/json")

    return _directory(postgres_dsn, page=None, one=None, finish=finish)


def counter_fooled(postgres_dsn: str) -> FastAPI:
    """Encoded by hand, and by FastAPI once more; repaired is only the counter: it never starts."""
    from course_app.measure.probes import encoder

    encoder.EncoderProbe.start = lambda _self: None  # type: ignore
    return _directory(postgres_dsn, page=None, one=None, finish=jsonable_encoder)


def index_not_used(postgres_dsn: str) -> FastAPI:
    """Right, and encoded in Rust, but each page reads the whole table and computes for each row.

    Reading alone costs about what FastAPI does in the slow app: no verdict would be sure of it.
    """
    where = "md5(repeat(id::text, 20)) <> '' AND id::text::bigint > $1"
    return _directory(postgres_dsn, where=where)


def read_at_the_start(postgres_dsn: str) -> FastAPI:
    """All members in memory: no query, no leak, and soon not true any more."""
    app = create_app(postgres_dsn)
    members: list[Member] = []

    async def load() -> Sequence[Member]:
        if not members:
            rows = await app.state.pool.fetch(f"SELECT {COLUMNS} FROM users ORDER BY id")
            members.extend(member for member in map(member_of, rows) if member is not None)
        return members

    async def list_members(after: int = 0, limit: Limit = 100) -> Page:
        found = (await load())[max(after, 0) : max(after, 0) + limit]
        return Page(members=list(found), left_out=0)

    async def read_member(member_id: int) -> Member:
        found = await load()
        if not 1 <= member_id <= len(found):
            raise HTTPException(404, "No such member")
        return found[member_id - 1]

    app.router.routes[:] = [
        route
        for route in app.router.routes
        if not getattr(route, "path", "").startswith("/members")
    ]
    app.get("/members")(list_members)
    app.get("/members/{member_id}")(read_member)
    return app


_NAMELESS = "SELECT count(*) FROM users WHERE name = ''"

WRONG_ANSWERS = (
    WrongAnswer("as it was", telling_directory, rubric.Leaks),
    WrongAnswer("a type that allows everything", typed_as_any_dict, rubric.Leaks),
    WrongAnswer("a model that allows more", extra_fields_allowed, rubric.Leaks),
    WrongAnswer("one handler forgotten", one_handler_forgotten, rubric.Leaks),
    WrongAnswer("times by str", json_by_str, pages.OtherTimes),
    WrongAnswer("members read at the start", read_at_the_start, rubric.StaleAnswer),
    WrongAnswer("a bio has to be text", bio_must_be_text, odd_rows.RefusesEmptyBio),
    WrongAnswer("members without a bio left out", without_bio_left_out, odd_rows.RefusesEmptyBio),
    WrongAnswer("one bad row is a 500", validated_as_a_whole, odd_rows.OneBadRowForAll),
    WrongAnswer("an empty name is a name", empty_names_are_text, odd_rows.ShowsBadRow),
    WrongAnswer("rows without a name not counted", not_counted, odd_rows.HidesBadRows),
    WrongAnswer("rows filtered by the query", filtered_in_the_query, odd_rows.HidesBadRows),
    WrongAnswer("a bad row found alone", bad_row_found_alone, odd_rows.FindsBadRow),
    WrongAnswer("fields chosen by hand", fields_named_by_hand, rubric.EncodesCallByCall),
    WrongAnswer("instances without a type", instances_without_a_type, rubric.EncodesCallByCall),
    WrongAnswer("one handler without a type", one_handler_without_a_type, rubric.EncodesCallByCall),
    WrongAnswer("encoded by hand", encoded_by_hand, rubric.EncodesCallByCall),
    WrongAnswer("the counter fooled", counter_fooled, rubric.CostsTooMuch),
    WrongAnswer("SELECT * kept", all_columns, rubric.FetchesWhatNobodySees),
    WrongAnswer("SELECT * for one", all_columns_of_one, rubric.FetchesWhatNobodySees),
    WrongAnswer("right but slow", index_not_used, TooLittleGain),
    WrongAnswer("bytes made by hand", bytes_without_a_type, rubric.NotDocumented),
    WrongAnswer(
        "nameless rows of the whole table counted",
        Changed(
            ANSWERS / "members_by_hand.py",
            [("len(rows) - len(members)", f"await app.state.pool.fetchval({_NAMELESS!r})")],
        ),
        odd_rows.HidesBadRows,
    ),
)
