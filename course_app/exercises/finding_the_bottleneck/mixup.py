"""A locustfile on trial: Locust runs it against a server that answers some requests wrongly."""

import os
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from course_app.apps.newsroom import SOUND, create_newsroom
from course_app.grading.locust_plugin import course_walls_path
from course_app.load.swarm import SwarmReport, run_swarm
from course_app.measure.probes.asgi import ASGIApp, Receive, Scope, Send
from course_app.serving import ThreadServer

#: The greatest number of each page in the data set.
LAST = {"posts": 100_000, "users": 100_000, "tags": 200}
USERS, SECONDS = 8, 2.0
_SHARE_MIXED = 0.5
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "PYTHONPATH")


class Mixup:
    """Wraps the newsroom: some requests get the page of another number, which looks all right.

    ``served`` and ``mixed`` count requests by page: all of them, and those answered wrongly.
    """

    def __init__(self, app: ASGIApp, seed: int) -> None:
        self.served: Counter[str] = Counter()
        self.mixed: Counter[str] = Counter()
        self._app = app
        self._random = random.Random(seed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            page, _, number = scope["path"].strip("/").partition("/")
            self.served[page] += 1
            if self._random.random() < _SHARE_MIXED and _exists(page, number):
                self.mixed[page] += 1
                scope = {**scope, "path": f"/{page}/{int(number) % LAST[page] + 1}"}
        await self._app(scope, receive, send)


@dataclass(frozen=True)
class Trial:
    """What the server served, and what Locust made of it, by page."""

    served: Mapping[str, int]
    mixed: Mapping[str, int]
    report: SwarmReport

    def reported(self, page: str) -> int:
        """How many requests of that page Locust counts as failures."""
        return self.report.routes.get(f"/{page}", (0, 0))[1]


def put_on_trial(locustfile: str, postgres_dsn: str, seed: int) -> Trial:
    """Run it behind walls, against sound pages of which some are mixed up.

    Raises:
        LocustFailed: it does not run; the message says why.
    """
    mixup = Mixup(create_newsroom(postgres_dsn, SOUND), seed)
    with ThreadServer(mixup, name="the newsroom, mixed up") as server:
        kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        report = run_swarm(
            locustfile,
            server.url,
            users=USERS,
            seconds=SECONDS,
            plugins=[course_walls_path()],
            env={**kept, "COURSE_LOCUST_PORT": str(urlsplit(server.url).port)},
        )[-1]
    return Trial(dict(mixup.served), dict(mixup.mixed), report)


def _exists(page: str, number: str) -> bool:
    return page in LAST and number.isdecimal() and 1 <= int(number) <= LAST[page]
