"""What a web shop waits for: a partner's prices, its sessions, and invoices to compute.

The exercise on async handlers uses it in place of libraries: calls take their time, and the
partner counts them.
"""

import asyncio
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

#: What a call to the partner takes.
CALL_SECONDS = 0.010
#: The partner refuses more calls than this at the same time.
MOST_CALLS = 50
#: There are articles 1 to this.
ARTICLES = 100_000

_INVOICE_LINES = 120_000
_lock = threading.Lock()
_under_way = 0


class PartnerRefuses(RuntimeError):
    """More than 50 calls at the same time."""


def fetch_price(article: int) -> float | None:
    """The price of an article; None if there is no such article. Blocks."""
    with _call():
        time.sleep(CALL_SECONDS)
    return _price(article)


async def fetch_price_async(article: int) -> float | None:
    """The same for ``await``."""
    with _call():
        await asyncio.sleep(CALL_SECONDS)
    return _price(article)


def list_price(article: int) -> float | None:
    """The price of an article from the price list, which everybody may read at once. Blocks."""
    time.sleep(CALL_SECONDS)
    return _price(article)


async def list_price_async(article: int) -> float | None:
    """The same for ``await``."""
    await asyncio.sleep(CALL_SECONDS)
    return _price(article)


def load_session(token: str) -> str:
    """The customer's name behind a token. Blocks; its library has nothing to await."""
    time.sleep(CALL_SECONDS)
    return f"customer {_number(token) % 1000}"


def render_invoice(number: int) -> dict[str, object]:
    """Compute an invoice, which takes some milliseconds of CPU, and say in which process."""
    total = number
    for line in range(_INVOICE_LINES):
        total = (31 * total + line) % 1_000_003
    return {"number": number, "total": total / 100, "process": os.getpid()}


@contextmanager
def _call() -> Iterator[None]:
    global _under_way
    with _lock:
        if _under_way >= MOST_CALLS:
            raise PartnerRefuses(f"{MOST_CALLS} calls are under way already")
        _under_way += 1
    try:
        yield
    finally:
        with _lock:
            _under_way -= 1


def _price(article: int) -> float | None:
    if not 1 <= article <= ARTICLES:
        return None
    return _number(f"article {article}") % 100_000 / 100


def _number(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest())
