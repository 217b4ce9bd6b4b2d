"""Addresses keep everything but the database they name."""

import pytest
from psycopg import conninfo

from course_app.services.urls import postgres_url, valkey_url, without_secrets


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:secret@db.example:5433/old",
        "host=db.example port=5433 user=me password='a b'",
        "postgresql://me@[::1]:5432/old?sslmode=require",
        "postgresql:///old?host=/run/postgresql&user=me",
    ],
)
def test_another_database_on_the_same_server(address: str) -> None:
    before = conninfo.conninfo_to_dict(address)
    after = conninfo.conninfo_to_dict(
        postgres_url({name: str(text) for name, text in before.items()}, "new one")
    )
    assert after.pop("dbname") == "new one"
    before.pop("dbname", None)
    assert {name: str(text) for name, text in after.items()} == {
        name: str(text) for name, text in before.items()
    }


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("redis://:pw@host:1/0", "redis://:pw@host:1/3"),
        ("rediss://host?ssl_cert_reqs=none", "rediss://host/3?ssl_cert_reqs=none"),
        ("redis://host/1?db=2", "redis://host/3"),
        ("unix:///run/valkey.sock?db=1", "unix:///run/valkey.sock?db=3"),
    ],
)
def test_another_number_on_the_same_server(address: str, wanted: str) -> None:
    assert valkey_url(address, 3) == wanted


def test_messages_hold_no_secrets() -> None:
    assert without_secrets("postgresql://me:secret@host:1/db") == "host:1/db"
    assert without_secrets("redis://:secret@host:1/0") == "host:1/0"
