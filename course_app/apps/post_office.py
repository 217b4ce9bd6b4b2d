"""A post office: the exercise on background tasks uses it in place of a mail server.

Letters take their time, some addresses are refused, and a ledger in Valkey tells what became of
each letter.
"""

import threading
import time

import redis

#: What a letter takes, during which the thread that brought it waits.
LETTER_SECONDS = 0.04
#: So many letters are taken at the same time; more are turned away.
COUNTERS = 45
#: Addresses that end like this do not exist.
NOWHERE = "@nowhere.example"

#: Valkey's keys: how often each letter was delivered, and how many were turned away.
LEDGER = "letters delivered"
TURNED_AWAY = "letters turned away"


class AddressRefused(ValueError):
    """There is no such address, today or tomorrow."""


class TooManyLetters(RuntimeError):
    """More letters at the same time than there are counters; this one is not delivered."""


class PostOffice:
    """Delivers letters. Threads may share it."""

    def __init__(self, valkey_url: str) -> None:
        self._valkey = redis.Redis.from_url(valkey_url)
        self._counters = threading.Semaphore(COUNTERS)

    def deliver(self, order: int, address: str) -> None:
        """Deliver a letter about an order, which blocks for 40 ms.

        Raises:
            AddressRefused: there is no such address.
            TooManyLetters: 45 letters are being taken already.
        """
        if not self._counters.acquire(blocking=False):
            self._valkey.incr(TURNED_AWAY)
            raise TooManyLetters(f"{COUNTERS} letters are being taken already")
        try:
            time.sleep(LETTER_SECONDS)
            if address.endswith(NOWHERE):
                raise AddressRefused(f"there is no {address}")
            self._valkey.hincrby(LEDGER, letter(order, address), 1)
        finally:
            self._counters.release()


def letter(order: int, address: str) -> str:
    """A letter's name in the ledger."""
    return f"{order} to {address}"
