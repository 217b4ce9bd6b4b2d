"""Known wrong answers, each a small change to a good one, as learners make them."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

import redis.asyncio as redis
from fastapi import FastAPI, HTTPException, Response

from course_app.exercises.redis_cache import failures
from course_app.exercises.redis_cache.baseline import (
    SUMMARY,
    Summary,
    add_users,
    add_writes,
    as_it_is,
    new_app,
    tell_nobody,
)
from course_app.exercises.redis_cache.reference import MEASURED, Cache, create_app
from course_app.exercises.redis_cache.right_answers import ANSWERS
from course_app.grading import Changed, Failure, WrongAnswer
from course_app.grading.failures import DifferentAnswer, TooLittleGain

SHORT: dict[str, Any] = {"socket_timeout": 0.1, "socket_connect_timeout": 0.1}
#: For those who do not soon forget that a busy machine took longer.
LONGER: dict[str, Any] = {"socket_timeout": 0.3, "socket_connect_timeout": 0.3}


def _app(
    postgres_dsn: str,
    valkey_url: str,
    make_cache: Callable[[FastAPI], Any] = Cache,
    *,
    users_cached: bool = False,
    **options: Any,
) -> FastAPI:
    """The reference, with another cache or another client."""
    app = new_app(postgres_dsn, valkey_url, **(options or SHORT))
    cache = make_cache(app)
    add_users(app, cached=users_cached)
    add_writes(app, cache.changed)

    @app.get("/tags/{tag_id}/summary", response_model=Summary)
    async def summary(tag_id: int) -> Response:
        stamp, body = await cache.find(tag_id)
        if body is None:
            row = await app.state.pool.fetchrow(SUMMARY, tag_id)
            body = Summary(**row).model_dump_json().encode() if row else b""
            await cache.keep(tag_id, stamp, body)
        if not body:
            raise HTTPException(404, "No such tag")
        return Response(body, media_type="application/json")

    return app


class Deleting(Cache):
    """No stamps: a write deletes entries, and makes up for it after an outage."""

    async def find(self, tag_id: int) -> tuple[bytes | None, bytes | None]:
        await self.settle()
        if self.unsettled_here:
            return None, None
        return b"", await self.ask(self.app.state.valkey.get, f"summary:{tag_id}")

    async def settle(self) -> None:
        pending = dict(self.unsettled_here)
        keys = [f"summary:{tag}" for tag in pending]
        if keys and await self.ask(self.app.state.valkey.delete, *keys) is not None:
            for tag, stamp in pending.items():
                if self.unsettled_here.get(tag) == stamp:
                    del self.unsettled_here[tag]


class Forgetting(Cache):
    """Stamps, and nothing is made up for after an outage."""

    async def settle(self) -> None:
        await super().settle()
        self.unsettled_here.clear()


class LeavingAlone(Deleting):
    """Nothing is made up for, and a pause in which nobody asks Valkey keeps that out of sight."""

    PAUSE_SECONDS = 2.5

    async def settle(self) -> None:
        await super().settle()
        self.unsettled_here.clear()


class DeletingLongPause(Deleting):
    """No stamps, which nobody sees while an error is not forgotten."""

    PAUSE_SECONDS = 2.5


class NeverComingBack(Cache):
    """Who failed once is not asked again for a minute."""

    PAUSE_SECONDS = 60.0


class OnlyExpiring(Cache):
    """A minute is not long, is it?"""

    async def changed(self, *, tag_id: int | None = None, post_id: int | None = None) -> None: ...


class OneTagOnly(Cache):
    """A comment changes a tag. Some posts have several."""

    async def tags_of(self, post_id: int | None) -> list[int]:
        return (await super().tags_of(post_id))[:1]


class RememberingAbsence(Cache):
    """A negative entry beside the others, which no write knows of."""

    async def find(self, tag_id: int) -> tuple[bytes | None, bytes | None]:
        if await self.ask(self.app.state.valkey.get, f"absent:{tag_id}"):
            return None, b""
        return await super().find(tag_id)

    async def keep(self, tag_id: int, stamp: bytes | None, body: bytes) -> None:
        if not body:
            await self.ask(self.app.state.valkey.set, f"absent:{tag_id}", 1, ex=60)
        await super().keep(tag_id, stamp, body)


class InProcess:
    """A dictionary: no round trip, and Valkey may go away as it likes."""

    def __init__(self, app: FastAPI) -> None:
        self.tags_of = Cache(app).tags_of
        self.entries: dict[int, bytes] = {}

    async def find(self, tag_id: int) -> tuple[bytes | None, bytes | None]:
        return None, self.entries.get(tag_id)

    async def keep(self, tag_id: int, _stamp: bytes | None, body: bytes) -> None:
        self.entries[tag_id] = body

    async def changed(self, *, tag_id: int | None = None, post_id: int | None = None) -> None:
        for tag in [tag_id] if tag_id is not None else await self.tags_of(post_id):
            self.entries.pop(tag, None)


class TwoLayers(Cache):
    """Valkey, and a dictionary in front of it that trusts what it has."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(app)
        self.near: dict[int, tuple[bytes, bytes]] = {}

    async def find(self, tag_id: int) -> tuple[bytes | None, bytes | None]:
        stamp, body = await super().find(tag_id)
        if stamp is None:
            return None, None
        if body is not None:
            self.near[tag_id] = stamp, body
        kept, kept_body = self.near.get(tag_id, (b"", b""))
        return stamp, kept_body if kept == stamp else body

    async def keep(self, tag_id: int, stamp: bytes | None, body: bytes) -> None:
        await super().keep(tag_id, stamp, body)
        if stamp is not None:
            self.near[tag_id] = stamp, body


class Unhandled(Cache):
    """Valkey is always there."""

    async def ask(self, command: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
        return await command(*args, **options)


class OnlyCutOff(Cache):
    """Valkey may refuse, but it always says something."""

    async def ask(self, command: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
        try:
            return await command(*args, **options)
        except redis.ConnectionError:
            return None


class OnlyCutOffForWriters(OnlyCutOff):
    """Reads know that Valkey may be silent; a write that cannot stamp anything is an error."""

    async def find(self, tag_id: int) -> tuple[bytes | None, bytes | None]:
        try:
            return await super().find(tag_id)
        except redis.TimeoutError:
            return None, None


class ForEver(Cache):
    """No expiry: writes make entries void anyway."""

    async def ask(self, command: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
        options.pop("ex", None)
        return await super().ask(command, *args, **options)


class Jittered(Cache):
    """Against the stampede, everybody waits for a random moment: also those who would hit."""

    async def find(self, tag_id: int) -> tuple[bytes | None, bytes | None]:
        await asyncio.sleep(random.uniform(0.02, 0.15))
        return await super().find(tag_id)


def only_expiring(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return _app(postgres_dsn, valkey_url, OnlyExpiring)


def one_tag_only(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return _app(postgres_dsn, valkey_url, OneTagOnly)


def remembering_absence(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return _app(postgres_dsn, valkey_url, RememberingAbsence)


def in_process(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return _app(postgres_dsn, valkey_url, InProcess)


def two_layers(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return _app(postgres_dsn, valkey_url, TwoLayers)


def users_cached(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return _app(postgres_dsn, valkey_url, users_cached=True)


def jittered(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return _app(postgres_dsn, valkey_url, Jittered)


def for_ever(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return _app(postgres_dsn, valkey_url, ForEver)


def unhandled(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return _app(postgres_dsn, valkey_url, Unhandled)


def only_cut_off(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return _app(postgres_dsn, valkey_url, OnlyCutOff)


def only_cut_off_for_writers(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return _app(postgres_dsn, valkey_url, OnlyCutOffForWriters)


def never_coming_back(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return _app(postgres_dsn, valkey_url, NeverComingBack, **LONGER)


def leaving_alone(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return _app(postgres_dsn, valkey_url, LeavingAlone, **LONGER)


def patient(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return _app(postgres_dsn, valkey_url, decode_responses=False)


def forgetting(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return _app(postgres_dsn, valkey_url, Forgetting)


def deleting(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return _app(postgres_dsn, valkey_url, Deleting)


def deleting_long_pause(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return _app(postgres_dsn, valkey_url, DeletingLongPause, **LONGER)


def as_in_the_guide(postgres_dsn: str, valkey_url: str) -> FastAPI:
    """``default=str`` keeps json.dumps from failing, and nobody looks at what it writes."""
    app = new_app(postgres_dsn, valkey_url)
    add_users(app, cached=False)
    add_writes(app, tell_nobody)

    @app.get("/tags/{tag_id}/summary")
    async def summary(tag_id: int) -> Any:
        if (cached := await app.state.valkey.get(f"summary:{tag_id}")) is not None:
            return json.loads(cached)
        row = await app.state.pool.fetchrow(SUMMARY, tag_id)
        found = dict(row) if row else None
        await app.state.valkey.set(f"summary:{tag_id}", json.dumps(found, default=str), ex=300)
        if found is None:
            raise HTTPException(404, "No such tag")
        return Summary(**found)

    return app


def _measured(
    name: str, answer: Callable[..., FastAPI], failure: type[Failure], measured: Any = MEASURED
) -> WrongAnswer:
    return WrongAnswer(name, answer, failure, values={"measured": measured})


_INVENTED = {"hits_per_request": 0.9, "times_as_fast_without": [1.2, 1.5, 1.9]}
_UPSIDE_DOWN = {"hits_per_request": 0.0, "times_as_fast_without": [0.5, 0.67, 0.8]}

_STEPS = ["                await forget([tag_id])\n", "                owed.discard(tag_id)\n"]
_PAID, _FORGOTTEN = "".join(_STEPS), "".join(reversed(_STEPS))

WRONG_ANSWERS = (
    WrongAnswer("as it was", as_it_is, failures.NotCached, {"measured": MEASURED}, points=0),
    _measured("as in the guide", as_in_the_guide, DifferentAnswer),
    _measured("entries only expire", only_expiring, failures.StaleAnswer),
    _measured("a comment voids one tag only", one_tag_only, failures.StaleAnswer),
    _measured("a new tag stays absent", remembering_absence, failures.StaleAnswer),
    _measured("a dictionary", in_process, failures.NotShared),
    _measured("a dictionary before Valkey", two_layers, failures.NotShared),
    _measured("users stay cached", users_cached, failures.CachesInVain),
    _measured("not measured", create_app, failures.NotMeasured, None),
    _measured("invented numbers", create_app, failures.NotMeasured, _INVENTED),
    _measured("how fast it is with the cache", create_app, failures.NotMeasured, _UPSIDE_DOWN),
    _measured("hits wait, too", jittered, TooLittleGain),
    _measured("no expiry", for_ever, failures.NeverExpires),
    _measured("errors of Valkey not handled", unhandled, failures.FailsWithoutValkey),
    _measured("time-outs not handled", only_cut_off, failures.FailsWithoutValkey),
    _measured("a write's time-out", only_cut_off_for_writers, failures.FailsWithoutValkey),
    _measured("not used again", never_coming_back, failures.NotUsedAgain),
    _measured("five seconds of patience", patient, failures.HangsWithoutValkey),
    _measured("outages are forgotten", forgetting, failures.StaleAfterOutage),
    _measured("forgotten during a pause", leaving_alone, failures.StaleAfterOutage),
    _measured("entries deleted, late readers", deleting, failures.LateReader),
    _measured("late readers, a long pause", deleting_long_pause, failures.LateReader),
    WrongAnswer(
        "percent in place of times",
        Changed(ANSWERS / "versions.py", [("[1.3, 1.5, 1.7]", "[30, 50, 70]")]),
        failures.NotMeasured,
    ),
    WrongAnswer(
        "a debt forgotten before it is paid",
        Changed(ANSWERS / "watching.py", [(_PAID, _FORGOTTEN)]),
        failures.StaleAfterOutage,
    ),
)
