"""What a mail-order shop depends on: a warehouse that reserves, and a post office that delivers.

The exercise on background tasks uses them in place of real services. Both take their time, both
may refuse, and the post office's ledger in Valkey tells what became of each letter.
"""

import asyncio
import threading
import time

import redis

#: What the warehouse takes to reserve an article.
RESERVE_SECONDS = 0.01
#: Articles whose names begin like this are not there.
SOLD_OUT = "sold out"

#: What a letter takes, during which the thread that brought it waits; more on a busy day.
LETTER_SECONDS = 0.04
#: So many letters are taken at the same time; more are turned away.
COUNTERS = 45
#: Addresses that end like this do not exist.
NOWHERE = "@nowhere.example"

#: Valkey's keys: how often each letter was delivered, how many were turned away, and what a letter
#: takes on a busy day.
LEDGER = "letters delivered"
TURNED_AWAY = "letters turned away"
BUSY_DAY = "seconds per letter"


class SoldOut(ValueError):
    """There is no such article any more."""


class AddressRefused(ValueError):
    """There is no such address, today or tomorrow."""


class TooManyLetters(RuntimeError):
    """More letters at the same time than there are counters; this one is not delivered."""


async def reserve(article: str) -> None:
    """Reserve an article, which takes the warehouse 10 ms.

    Raises:
        SoldOut: there is none.
    """
    await asyncio.sleep(RESERVE_SECONDS)
    if article.startswith(SOLD_OUT):
        raise SoldOut(f"there is no {article}")


class PostOffice:
    """Delivers letters. Threads may share it."""

    def __init__(self, valkey_url: str) -> None:
        self._valkey = redis.Redis.from_url(valkey_url)
        self._counters = threading.Semaphore(COUNTERS)

    def deliver(self, order: int, address: str) -> None:
        """Deliver a letter about an order, which blocks for 40 ms, and longer on a busy day.

        Raises:
            AddressRefused: there is no such address.
            TooManyLetters: 45 letters are being taken already.
        """
        if not self._counters.acquire(blocking=False):
            self._valkey.incr(TURNED_AWAY)
            raise TooManyLetters(f"{COUNTERS} letters are being taken already")
        try:
            time.sleep(float(self._valkey.get(BUSY_DAY) or LETTER_SECONDS))
            if address.endswith(NOWHERE):
                raise AddressRefused(f"there is no {address}")
            self._valkey.hincrby(LEDGER, letter(order, address), 1)
        finally:
            self._counters.release()


def letter(order: int, address: str) -> str:
    """A letter's name in the ledger."""
    return f"{order} to {address}"
