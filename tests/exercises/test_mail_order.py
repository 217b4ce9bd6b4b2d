"""What the exercise on background tasks rests on: warehouse, post office and ledger."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from course_app.apps.mail_order import (
    COUNTERS,
    LETTER_SECONDS,
    SOLD_OUT,
    AddressRefused,
    PostOffice,
    SoldOut,
    TooManyLetters,
    letter,
    reserve,
)
from course_app.exercises.background_tasks.ledger import Ledger, ledger_of
from course_app.services import Services


@pytest.fixture
def valkey_url(services: Services) -> str:
    return services.new_valkey_database()


@pytest.fixture
def ledger(valkey_url: str) -> Iterator[Ledger]:
    with ledger_of(valkey_url) as opened:
        yield opened


@pytest.fixture
def office(valkey_url: str) -> PostOffice:
    return PostOffice(valkey_url)


def test_a_letter_takes_its_time_and_is_in_the_ledger(office: PostOffice, ledger: Ledger) -> None:
    began = time.monotonic()
    office.deliver(7, "me@example.com")
    assert time.monotonic() - began >= LETTER_SECONDS
    assert ledger.letters() == {letter(7, "me@example.com"): 1}


def test_an_article_that_is_sold_out_is_not_reserved() -> None:
    asyncio.run(reserve("book"))
    with pytest.raises(SoldOut):
        asyncio.run(reserve(f"{SOLD_OUT} book"))


def test_the_same_letter_twice_is_counted_twice(office: PostOffice, ledger: Ledger) -> None:
    for _ in range(2):
        office.deliver(7, "me@example.com")
    assert ledger.letters() == {"7 to me@example.com": 2}
    assert ledger.delivered() == 2


def test_a_refused_letter_is_not_delivered(office: PostOffice, ledger: Ledger) -> None:
    with pytest.raises(AddressRefused):
        office.deliver(7, "me@nowhere.example")
    assert ledger.letters() == {}


def test_there_is_a_counter_for_each_worker_thread_and_not_for_many_more(
    office: PostOffice, ledger: Ledger
) -> None:
    together = threading.Barrier(COUNTERS + 5)

    def bring(number: int) -> bool:
        together.wait()
        try:
            office.deliver(number, "me@example.com")
        except TooManyLetters:
            return False
        return True

    with ThreadPoolExecutor(COUNTERS + 5) as threads:
        taken = list(threads.map(bring, range(COUNTERS + 5)))
    assert 40 <= COUNTERS <= taken.count(True)
    assert ledger.turned_away() == taken.count(False)
    assert ledger.delivered() == taken.count(True)


def test_who_waits_for_letters_waits_no_longer_than_told(
    office: PostOffice, ledger: Ledger
) -> None:
    office.deliver(1, "me@example.com")
    assert ledger.wait_for(1, seconds=10) == 1
    assert ledger.wait_for(2, seconds=0.1) == 1
    assert ledger.letters_with({"1 to me@example.com"}, seconds=10)
    assert len(ledger.letters_with({"2 to me@example.com"}, seconds=0.1)) == 1
