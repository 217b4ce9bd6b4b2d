"""Known wrong answers: the same shop, which hands its letters over in another way each time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import BackgroundTasks, FastAPI, HTTPException
from fastapi.concurrency import run_in_threadpool
from redis.asyncio import Redis

from course_app.apps.mail_order import AddressRefused, PostOffice, SoldOut, reserve
from course_app.exercises.background_tasks import rubric
from course_app.exercises.background_tasks.baseline import WAREHOUSE, NewOrder, shop_that_waits
from course_app.exercises.background_tasks.right_answers import ANSWERS
from course_app.grading import Changed, WrongAnswer
from course_app.grading.failures import DifferentAnswer, TooLittleGain

#: Given an order's number, its customer, and where tasks can be left.
HandOver = Callable[[int, str, BackgroundTasks], Awaitable[None]]
Around = Callable[[], AbstractAsyncContextManager[None]]
Deliver = Callable[[int, str], None]


def _shop(
    valkey_url: str,
    hand_over: HandOver,
    around: Around = contextlib.nullcontext,
    saves_first: bool = True,
    reserves_first: bool = True,
) -> FastAPI:
    """The shop, right in everything but what is given."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.valkey = Redis.from_url(valkey_url, decode_responses=True)
        async with around():
            yield
        await app.state.valkey.aclose()

    app = FastAPI(lifespan=lifespan)

    async def save(order: int, new: NewOrder) -> None:
        await app.state.valkey.hset(f"order {order}", mapping=new.model_dump())

    @app.post("/orders", status_code=201)
    async def place_order(new: NewOrder, background: BackgroundTasks) -> dict[str, int]:
        if reserves_first:
            await _reserve(new.article)
        else:
            background.add_task(reserve, new.article)
        order: int = await app.state.valkey.incr("orders")
        if saves_first:
            await save(order, new)
        await hand_over(order, new.customer, background)
        if not saves_first:
            background.add_task(save, order, new)
        return {"order": order}

    @app.get("/orders/{order}")
    async def read_order(order: int) -> dict[str, Any]:
        found: dict[str, Any] = await app.state.valkey.hgetall(f"order {order}")
        if not found:
            raise HTTPException(404, "No such order")
        return found

    @app.get("/health")
    async def health() -> str:
        return "ok"

    return app


async def _reserve(article: str) -> None:
    try:
        await reserve(article)
    except SoldOut:
        raise HTTPException(409, "Sold out") from None


def _carefully(office: PostOffice) -> Deliver:
    """Deliver, and go on where an address is refused."""

    def notify(order: int, address: str) -> None:
        with contextlib.suppress(AddressRefused):
            office.deliver(order, address)

    return notify


def _by_tasks(notify: Deliver) -> HandOver:
    """As the reference does it: two background tasks."""

    async def hand_over(order: int, customer: str, background: BackgroundTasks) -> None:
        for address in (customer, WAREHOUSE):
            background.add_task(notify, order, address)

    return hand_over


def blocks_the_loop(valkey_url: str) -> FastAPI:
    """As the guide shows it: the task is `async def`, what it calls blocks."""
    notify = _carefully(PostOffice(valkey_url))

    async def notify_both(order: int, customer: str) -> None:
        for address in (customer, WAREHOUSE):
            notify(order, address)

    async def hand_over(order: int, customer: str, background: BackgroundTasks) -> None:
        background.add_task(notify_both, order, customer)

    return _shop(valkey_url, hand_over)


def no_try(valkey_url: str) -> FastAPI:
    """Each letter is a task, and the first one's exception ends the second."""
    return _shop(valkey_url, _by_tasks(PostOffice(valkey_url).deliver))


def fire_and_forget(valkey_url: str) -> FastAPI:
    """Tasks that nobody waits for when the app ends."""
    notify = _carefully(PostOffice(valkey_url))
    running: set[asyncio.Task[None]] = set()

    async def notify_both(order: int, customer: str) -> None:
        for address in (customer, WAREHOUSE):
            await run_in_threadpool(notify, order, address)

    async def hand_over(order: int, customer: str, _background: BackgroundTasks) -> None:
        running.add(task := asyncio.create_task(notify_both(order, customer)))
        task.add_done_callback(running.discard)

    return _shop(valkey_url, hand_over)


def _one_consumer(valkey_url: str, notify: Deliver) -> FastAPI:
    """A queue in memory, and one task that serves it."""
    queue: asyncio.Queue[tuple[int, str]] = asyncio.Queue()

    async def consume() -> None:
        while True:
            await run_in_threadpool(notify, *await queue.get())
            queue.task_done()

    @asynccontextmanager
    async def around() -> AsyncIterator[None]:
        consumer = asyncio.create_task(consume())
        yield
        await queue.join()
        consumer.cancel()

    async def hand_over(order: int, customer: str, _background: BackgroundTasks) -> None:
        for address in (customer, WAREHOUSE):
            queue.put_nowait((order, address))

    return _shop(valkey_url, hand_over, around)


def one_consumer(valkey_url: str) -> FastAPI:
    return _one_consumer(valkey_url, _carefully(PostOffice(valkey_url)))


def one_consumer_that_dies(valkey_url: str) -> FastAPI:
    return _one_consumer(valkey_url, PostOffice(valkey_url).deliver)


def tries_all_again(valkey_url: str) -> FastAPI:
    """A failure repeats the whole order, the letter that was delivered included."""
    office = PostOffice(valkey_url)

    def notify_both(order: int, customer: str) -> None:
        for _ in range(3):
            try:
                office.deliver(order, WAREHOUSE)
                office.deliver(order, customer)
            except AddressRefused:
                continue
            return

    async def hand_over(order: int, customer: str, background: BackgroundTasks) -> None:
        background.add_task(notify_both, order, customer)

    return _shop(valkey_url, hand_over)


def saves_last(valkey_url: str) -> FastAPI:
    hand_over = _by_tasks(_carefully(PostOffice(valkey_url)))
    return _shop(valkey_url, hand_over, saves_first=False)


def reserves_last(valkey_url: str) -> FastAPI:
    """Even faster; but who is told that the article is sold out?"""
    hand_over = _by_tasks(_carefully(PostOffice(valkey_url)))
    return _shop(valkey_url, hand_over, reserves_first=False)


def sends_nothing(valkey_url: str) -> FastAPI:
    """Very fast."""
    return _shop(valkey_url, _by_tasks(lambda _order, _address: None))


def two_hundred_threads(valkey_url: str) -> FastAPI:
    notify, threads = _carefully(PostOffice(valkey_url)), ThreadPoolExecutor(200)

    async def hand_over(order: int, customer: str, _background: BackgroundTasks) -> None:
        for address in (customer, WAREHOUSE):
            threads.submit(notify, order, address)

    return _shop(valkey_url, hand_over)


def customer_first(valkey_url: str) -> FastAPI:
    """The customer's letter before the answer, the warehouse's after it."""
    notify = _carefully(PostOffice(valkey_url))

    async def hand_over(order: int, customer: str, background: BackgroundTasks) -> None:
        await run_in_threadpool(notify, order, customer)
        background.add_task(notify, order, WAREHOUSE)

    return _shop(valkey_url, hand_over)


def tells_the_customer(valkey_url: str) -> FastAPI:
    """An address that is refused makes an order that is refused."""
    office = PostOffice(valkey_url)

    async def hand_over(order: int, customer: str, background: BackgroundTasks) -> None:
        try:
            await run_in_threadpool(office.deliver, order, customer)
        except AddressRefused as error:
            raise HTTPException(400, str(error)) from error
        background.add_task(office.deliver, order, WAREHOUSE)

    return _shop(valkey_url, hand_over)


WRONG_ANSWERS = (
    WrongAnswer("as it was", shop_that_waits, rubric.AnswersAfterWork, points=0),
    WrongAnswer("blocks in an async task", blocks_the_loop, rubric.HoldsUpOthers),
    WrongAnswer("tasks without a try", no_try, rubric.FailureSpreads),
    WrongAnswer("a consumer that dies", one_consumer_that_dies, rubric.FailureSpreads),
    WrongAnswer("one consumer", one_consumer, rubric.OneAtATime),
    WrongAnswer("the whole order again", tries_all_again, rubric.Twice),
    WrongAnswer("saved last", saves_last, rubric.NotSaved),
    WrongAnswer("reserved last", reserves_last, DifferentAnswer),
    WrongAnswer("no letters at all", sends_nothing, rubric.LettersMissing),
    WrongAnswer("right but slow", customer_first, TooLittleGain),
    WrongAnswer("two hundred threads", two_hundred_threads, rubric.TurnedAway),
    WrongAnswer("fire and forget", fire_and_forget, rubric.LosesWork),
    WrongAnswer(
        "a queue that nobody waits for",
        Changed(ANSWERS / "queue_and_tasks.py", [("        await letters.join()\n", "")]),
        rubric.LosesWork,
    ),
    WrongAnswer("the customer is told", tells_the_customer, DifferentAnswer),
)
