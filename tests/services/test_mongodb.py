"""The stand-in for MongoDB answers real clients, keeps others out, and leaves nothing behind."""

import asyncio
import stat
from pathlib import Path
from urllib.parse import unquote

import psutil
import pytest
from pymongo import AsyncMongoClient, MongoClient

from course_app.services import ServerUnreachable
from course_app.services.mongodb import MONGODB_VARIABLE, start_mongodb


@pytest.fixture(autouse=True)
def no_server_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MONGODB_VARIABLE, raising=False)


def socket_of(url: str) -> Path:
    return Path(unquote(url.removeprefix("mongodb://")))


def test_what_one_client_writes_another_reads() -> None:
    with start_mongodb() as mongodb:
        with MongoClient(mongodb.url) as client:
            client[mongodb.database].users.insert_many([{"_id": 1}, {"_id": 2}])

        async def count() -> int:
            async with AsyncMongoClient(mongodb.url) as client:
                return int(await client[mongodb.database].users.count_documents({}))

        assert asyncio.run(count()) == 2


def test_it_says_that_it_is_a_stand_in() -> None:
    with start_mongodb() as mongodb:
        assert mongodb.stand_in
        assert "stand-in" in str(mongodb)


def test_no_other_user_gets_in_and_no_port_is_open() -> None:
    # Other tests' servers may run beside it.
    others = set(psutil.Process().children(recursive=True))
    with start_mongodb() as mongodb:
        folder = socket_of(mongodb.url).parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        family = set(psutil.Process().children(recursive=True)) - others
        assert family
        assert not [c for p in family for c in p.net_connections("inet") if c.status == "LISTEN"]


def test_it_leaves_no_process_and_no_folder() -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    mongodb = start_mongodb()
    folder = socket_of(mongodb.url).parent
    assert folder.exists()
    mongodb.stop()
    mongodb.stop()
    assert not folder.exists()
    assert {child.pid for child in psutil.Process().children()} <= before


def test_two_of_them_know_nothing_of_each_other() -> None:
    with start_mongodb() as one, start_mongodb() as other:
        with MongoClient(one.url) as client:
            client[one.database].users.insert_one({"_id": 1})
        with MongoClient(other.url) as client:
            assert client[other.database].users.count_documents({}) == 0


def test_a_server_of_the_user_is_used_with_a_database_of_our_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with start_mongodb() as theirs:
        monkeypatch.setenv(MONGODB_VARIABLE, theirs.url)
        mongodb = start_mongodb()
        assert not mongodb.stand_in
        assert mongodb.url == theirs.url
        assert mongodb.database != theirs.database
        mongodb.stop()


def test_a_server_that_does_not_answer_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("course_app.services.mongodb.ANSWER_TIMEOUT_MS", 300)
    monkeypatch.setenv(MONGODB_VARIABLE, "mongodb://ann:secret@127.0.0.1:9/")
    with pytest.raises(ServerUnreachable) as caught:
        start_mongodb()
    assert "127.0.0.1:9" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    ["mongodb//here", "mongodb://here:port", "mongodb://", "http://here", "mongodb://me:a/b@here"],
)
def test_an_address_that_is_none_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("COURSE_MONGODB_URL", address)
    with pytest.raises(ServerUnreachable, match="is not an address of a MongoDB"):
        start_mongodb()
