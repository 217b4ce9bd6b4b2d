"""What the post office's ledger says of one app's letters."""

import time
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager

import redis

from course_app.apps.mail_order import BUSY_DAY, LEDGER, TURNED_AWAY
from course_app.system.waiting import wait_until

#: Longer than a letter: who delivers at all delivers something meanwhile.
_QUIET_SECONDS = 0.12
_SETTLED_SECONDS = 3.0


class Ledger:
    """Reads the ledger in an app's Valkey."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client

    def letters(self) -> Mapping[str, int]:
        """How often each letter was delivered."""
        delivered = self._client.hgetall(LEDGER)
        return {name.decode(): int(times) for name, times in delivered.items()}  # type: ignore

    def delivered(self) -> int:
        """How many letters were delivered, the same one twice included."""
        return sum(self.letters().values())

    def turned_away(self) -> int:
        """How many letters found no free counter."""
        return int(self._client.get(TURNED_AWAY) or 0)

    def letters_with(self, wanted: Set[str], seconds: float) -> Mapping[str, int]:
        """The letters, when all that are wanted were delivered, or after so many seconds."""
        wait_until(lambda: wanted <= self.letters().keys(), seconds)
        return self.letters()

    def settled(self) -> int:
        """Wait until nothing is delivered any more; returns how many letters were by then."""
        deadline = time.monotonic() + _SETTLED_SECONDS
        before, delivered = -1, self.delivered()
        while before != delivered and time.monotonic() < deadline:
            time.sleep(_QUIET_SECONDS)
            before, delivered = delivered, self.delivered()
        return delivered

    @contextmanager
    def busy_day(self, seconds: float) -> Iterator[None]:
        """A letter takes so long, for whoever brings one now."""
        self._client.set(BUSY_DAY, seconds)
        try:
            yield
        finally:
            self._client.delete(BUSY_DAY)

    def wait_for(self, letters: int, seconds: float) -> int:
        """Wait until so many were delivered, at most for ``seconds``; returns how many were."""
        wait_until(lambda: self.delivered() >= letters, seconds)
        return self.delivered()


@contextmanager
def ledger_of(valkey_url: str | None) -> Iterator[Ledger]:
    """The ledger in that Valkey.

    Raises:
        redis.RedisError: Valkey does not answer.
    """
    client = redis.Redis.from_url(valkey_url or "")
    try:
        yield Ledger(client)
    finally:
        client.close()
