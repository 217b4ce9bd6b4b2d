"""What is sent: as somebody named it, recorded it, or as it stands beside the app."""

import json
from pathlib import Path

import pytest

from course_app.examine.target import CannotExamine
from course_app.examine.traffic import (
    MOST_RECORDED,
    RIGHT,
    Traffic,
    declared,
    named,
    read_har,
    read_log,
    replayed,
)
from course_app.load import Workload

COMMON = '127.0.0.1 - - [28/Nov/2026:10:00:00 +0000] "{line} HTTP/1.1" {status} 512'
LINES = {
    "common": COMMON,
    "combined": COMMON + ' "https://shop.example/" "Mozilla/5.0 (X11)"',
    "uvicorn": 'INFO:     127.0.0.1:51234 - "{line} HTTP/1.1" {status} OK',
    "nginx with more": COMMON + ' "-" "curl/8.5" 0.004 "203.0.113.9"',
}


def paths(traffic: Traffic, count: int = 200, seed: int = 0) -> list[str]:
    payloads, _ = Workload(traffic.requests).render(count, seed, "127.0.0.1")
    return [payload.split(b" ")[1].decode() for payload in payloads]


def test_routes_beside_the_app_have_bounds_lists_and_constants() -> None:
    routes = [
        {"method": "GET", "path": "/a/{id}?on={on}", "values": {"id": [1, 100000], "on": True}},
        {"path": "/b/{tag}", "values": {"tag": ["x", "y"]}},
        {"path": "/c/{n}", "values": {"n": [2, 3, 5]}},
    ]
    traffic = declared(routes, {})
    assert [r.describe() for r in traffic.requests] == [
        "GET /a/{id}?on={on}",
        "GET /b/{tag}",
        "GET /c/{n}",
    ]
    sent = paths(traffic, 3000)
    ids = [int(p.split("/")[2].partition("?")[0]) for p in sent if p.startswith("/a")]
    assert len(set(ids)) > 0.97 * len(ids)
    assert max(ids) > 90_000 > 10_000 > min(ids)
    assert {p for p in sent if not p.startswith("/a")} == {"/b/x", "/b/y", "/c/2", "/c/3", "/c/5"}
    assert sent == paths(traffic, 3000)
    assert sent != paths(traffic, 3000, seed=1)


def test_another_method_is_sent_only_where_it_is_named() -> None:
    routes = [{"method": "POST", "path": "/login?m={m}", "values": {"m": [1, 9]}, "json": {"a": 1}}]
    (request,) = declared(routes, {"Authorization": "Bearer x"}).requests
    assert (request.method, request.json) == ("POST", {"a": 1})
    assert request.headers == (("Authorization", "Bearer x"),)
    assert named(["POST /x", "/y"], [], {}).requests[0].method == "POST"


@pytest.mark.parametrize(
    "routes", [{}, [], [3], [{"values": {}}], [{"path": "/a/{b}"}], [{"path": "a"}]]
)
def test_routes_that_cannot_be_read_are_one_sentence(routes: object) -> None:
    with pytest.raises(CannotExamine):
        declared(routes, {})


def test_values_are_for_the_names_in_paths() -> None:
    traffic = named(["/users/{id}", "/tags/{t}?page={page}"], ["id=5..7", "t=a,b", "page=3"], {})
    sent = set(paths(traffic))
    assert sent == {"/users/5", "/users/6", "/users/7", "/tags/a?page=3", "/tags/b?page=3"}


def test_a_route_that_is_named_twice_is_asked_once() -> None:
    twice = named(["/x", "/x", "POST /x", "/y/{n}", "/y/{n}"], ["n=1..3"], {})
    assert [r.describe() for r in twice.requests] == ["GET /x", "POST /x", "GET /y/{n}"]
    bodies = [{"method": "POST", "path": "/x", "json": {"a": a}} for a in (1, 2, 1)]
    assert [r.json for r in declared(bodies, {}).requests] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("name", ["path", "method", "json", "weight"])
def test_a_placeholder_may_have_any_name(name: str) -> None:
    assert set(paths(named([f"/x/{{{name}}}"], [f"{name}=7"], {}))) == {"/x/7"}


@pytest.mark.parametrize(
    ("gets", "values", "says"),
    [
        (["/users/{id}"], [], "add --values id="),
        (["/users"], ["id=1..3"], "belongs to no --get"),
        (["/users/{id}"], ["id"], "cannot be read"),
        (["/users/{id}"], ["id=9..3"], "lower number first"),
        (["users"], [], "begins with a slash"),
    ],
)
def test_what_cannot_be_sent_is_one_sentence(gets: list[str], values: list[str], says: str) -> None:
    with pytest.raises(CannotExamine, match=says):
        named(gets, values, {})


@pytest.mark.parametrize("form", LINES)
def test_an_access_log_is_replayed_route_by_route(tmp_path: Path, form: str) -> None:
    asked = [("GET /users/7?x=1", 200), ("GET /users/8", 304), ("GET /users/me", 200)]
    asked += [("POST /users", 201), ("GET /users/9", 500), ("GET /robots.txt", 200)] + asked[:1] * 4
    file = tmp_path / "access.log"
    lines = [LINES[form].format(line=line, status=status) for line, status in asked]
    file.write_text("\n".join([*lines, "something else"]))
    traffic = replayed(read_log(file), ["/users/{id}", "/users/me", "/users"], {})
    by_name = {request.describe(): request for request in traffic.requests}
    assert list(by_name) == ["GET /users/{id}", "GET /users/me"]
    one = by_name["GET /users/{id}"]
    assert set(one.recorded) == {"/users/7?x=1", "/users/8"}
    assert one.weight == pytest.approx(6 / 7)
    assert set(one.expect_status) == set(RIGHT)
    assert len(traffic.notes) == 3
    assert "1 recorded requests POST (only GET and HEAD are replayed)." in traffic.notes


def test_without_a_description_numbers_and_identifiers_are_values(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    one = "0b8f2b56-6a3a-4f1c-9d8e-1f2e3d4c5b6a"
    asked = ["/users/7", "/users/12345", f"/files/{one}/v2", "/users/new", "/cafe/deadbeef"]
    file.write_text("\n".join(COMMON.format(line=f"GET {p}", status=200) for p in asked))
    traffic = replayed(read_log(file), [], {})
    assert [r.path for r in traffic.requests] == [
        "/users/{id}",
        "/files/{id}/v2",
        "/users/new",
        "/cafe/deadbeef",
    ]


def test_a_long_log_is_thinned_out_evenly(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    file.write_text("\n".join(COMMON.format(line=f"GET /u/{n}", status=200) for n in range(50_000)))
    (request,) = replayed(read_log(file), [], {}).requests
    assert len(request.recorded) <= MOST_RECORDED
    assert request.recorded[-1] > "/u/49000"


def test_a_har_of_any_host_is_replayed_here(tmp_path: Path) -> None:
    entries = [
        {
            "request": {"method": "GET", "url": "https://shop.example/a%20b/7?q=1#top"},
            "response": {"status": 200},
        },
        {
            "request": {"method": "DELETE", "url": "https://shop.example/a/7"},
            "response": {"status": 204},
        },
    ]
    file = tmp_path / "visit.har"
    file.write_text(json.dumps({"log": {"entries": entries}}))
    traffic = replayed(read_har(file), [], {})
    assert set(paths(traffic)) == {"/a%20b/7?q=1"}
    assert len(traffic.notes) == 1


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"log": {"entries": [{}]}}', "<html>"])
def test_a_file_that_is_something_else_is_one_sentence(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x"
    file.write_text(text)
    for read in (read_har, read_log):
        with pytest.raises(CannotExamine, match=r"holds no line|is no HAR"):
            list(read(file))
        with pytest.raises(CannotExamine, match="cannot be read"):
            list(read(tmp_path / "missing"))
