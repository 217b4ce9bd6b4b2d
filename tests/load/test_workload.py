"""Workloads: what is rendered, and that it is the same wherever it is rendered."""

import dataclasses
import json
from collections import Counter

import pytest

from course_app.load import (
    BadWorkload,
    OutOfBounds,
    Workload,
    as_workload,
    choice,
    delete,
    get,
    head,
    mix,
    post,
    sequence,
    text,
    uniform,
    zipf,
)
from course_app.load.description import describe_workload, restore_workload
from course_app.load.distributions import Source

HOST = "127.0.0.1:8000"


def rendered(workload: Workload, count: int = 1, seed: int = 0) -> list[bytes]:
    return workload.render(count, seed, HOST)[0]


def first_line(payload: bytes) -> str:
    return payload.split(b"\r\n")[0].decode()


def body_of(payload: bytes) -> bytes:
    return payload.partition(b"\r\n\r\n")[2]


def everything() -> Workload:
    return mix(
        get("/users/{user_id}?q={q}", user_id=zipf(1000), q=choice(["a b", "ü", None])),
        post(
            "/users",
            json={"email": text("u{n}@example.com", n=sequence(5)), "tags": [uniform(0.0, 1.0)]},
            headers={"authorization": choice(["Bearer a", "Bearer b"])},
            expect_status=(200, 201),
            expect_body=b"\xff{}",
            weight=3,
        ),
    )


def test_a_get_is_rendered_as_http() -> None:
    assert rendered(as_workload("/hello")) == [
        b"GET /hello HTTP/1.1\r\nhost: 127.0.0.1:8000\r\n\r\n"
    ]


def test_values_in_a_path_are_percent_encoded() -> None:
    workload = as_workload(get("/ä/{name}?x={x}&on={on}", name="a/b ?", x="1&2", on=True))
    assert first_line(rendered(workload)[0]) == "GET /%C3%A4/a%2Fb%20%3F?x=1%262&on=true HTTP/1.1"


def test_a_name_in_two_places_of_a_path_has_one_value() -> None:
    workload = as_workload(get("/login?user={n}&password=secret-{n}", n=uniform(1, 10**6)))
    for line in map(first_line, rendered(workload, 20)):
        user, _, password = line.split()[1].removeprefix("/login?user=").partition("&")
        assert password == f"password=secret-{user}"


def test_recorded_paths_are_sent_as_they_were() -> None:
    recorded = ("/users/1?x=a%20b", "/users/2")
    request = dataclasses.replace(get("/users/{id}", id=0), recorded=recorded)
    assert request.describe() == "GET /users/{id}"
    lines = {first_line(payload).split()[1] for payload in rendered(as_workload(request), 50)}
    assert lines == set(recorded)


def test_a_json_body_brings_its_type_and_length() -> None:
    payload = rendered(as_workload(post("/x", json={"name": "Zoë", "n": [1, None]})))[0]
    body = '{"name":"Zoë","n":[1,null]}'.encode()
    assert body_of(payload) == body
    assert b"content-type: application/json\r\n" in payload
    assert b"content-length: %d\r\n" % len(body) in payload


@pytest.mark.parametrize("name", ["host", "Host"])
def test_a_given_host_is_the_only_one(name: str) -> None:
    payload = rendered(as_workload(get("/x", headers={name: "shop.example"})))[0]
    assert payload.lower().count(b"host: ") == 1
    assert b"shop.example" in payload


def test_a_body_of_its_own_kind_is_sent_as_it_is() -> None:
    payload = rendered(
        as_workload(post("/x", content=b"\x00\xff", headers={"content-type": "image/png"}))
    )[0]
    assert body_of(payload) == b"\x00\xff"
    assert payload.count(b"content-type") == 1


def test_a_post_without_a_body_says_so() -> None:
    assert b"content-length: 0\r\n" in rendered(as_workload(post("/x")))[0]
    assert b"content-length" not in rendered(as_workload(delete("/x")))[0]


def test_distributions_are_drawn_anywhere_in_a_body() -> None:
    workload = as_workload(post("/x", json={"a": [{"b": uniform(1, 3)}], "c": sequence(10, 10)}))
    bodies = [json.loads(body_of(payload)) for payload in rendered(workload, 50)]
    assert {body["a"][0]["b"] for body in bodies} == {1, 2, 3}
    assert [body["c"] for body in bodies] == [10 * n for n in range(1, 51)]


def test_one_seed_gives_one_stream() -> None:
    assert rendered(everything(), 200, seed=7) == rendered(everything(), 200, seed=7)
    assert rendered(everything(), 200, seed=7) != rendered(everything(), 200, seed=8)


def test_a_seeded_stream_stays_the_same_for_ever() -> None:
    lines = [first_line(each) for each in rendered(as_workload(get("/{n}", n=uniform(1, 9999))), 4)]
    assert lines == [f"GET /{n} HTTP/1.1" for n in FIRST_OF_SEED_0]


FIRST_OF_SEED_0 = (9776, 1646, 8321, 6244)


def test_a_workload_survives_the_way_to_the_generator_process() -> None:
    described = json.loads(json.dumps(describe_workload(everything())))
    assert restore_workload(described) == everything()
    assert rendered(restore_workload(described), 100) == rendered(everything(), 100)


def test_a_reader_s_data_is_never_taken_for_a_distribution() -> None:
    workload = as_workload(post("/x", json=["Uniform", ["map", []], {"Zipf": [1, 2]}]))
    restored = restore_workload(json.loads(json.dumps(describe_workload(workload))))
    assert json.loads(body_of(rendered(restored)[0])) == ["Uniform", ["map", []], {"Zipf": [1, 2]}]


def test_a_mix_is_drawn_by_its_weights() -> None:
    workload = mix(get("/a", weight=3), get("/b"))
    _, indexes = workload.render(10_000, 1, HOST)
    assert 0.23 < indexes.count(1) / 10_000 < 0.27


def test_zipf_draws_rank_k_with_probability_proportional_to_k_to_the_minus_exponent() -> None:
    for exponent in (0.0, 1.0, 1.5):
        draw = zipf(50, exponent).stream(Source(seed=3))
        counts = Counter(draw() for _ in range(60_000))
        assert set(counts) <= set(range(1, 51))
        total = sum(rank**-exponent for rank in range(1, 51))
        for rank in (1, 2, 5, 20):
            expected = 60_000 * rank**-exponent / total
            assert abs(counts[rank] - expected) < 5 * expected**0.5


def test_uniform_draws_both_ends_and_whole_numbers_only_from_whole_numbers() -> None:
    whole = uniform(1, 3).stream(Source(seed=0))
    broken = uniform(1, 2.5).stream(Source(seed=0))
    assert {whole() for _ in range(100)} == {1, 2, 3}
    assert all(isinstance(value := broken(), float) and 1 <= value <= 2.5 for _ in range(100))


def test_a_sequence_can_go_on_where_others_stopped() -> None:
    draw = sequence(100, 2).stream(Source(seed=0, first=5))
    assert [draw(), draw()] == [110, 112]


def test_only_a_sequence_forbids_to_send_a_request_again() -> None:
    assert not mix(get("/{a}", a=uniform(1, 2)), post("/", json=[zipf(3)])).endless
    assert as_workload(post("/", json={"a": [text("{n}", n=sequence())]})).endless
    assert as_workload(get("/", headers={"x": sequence()})).endless


def test_a_workload_is_named_after_its_requests() -> None:
    assert as_workload(get("/users/{user_id}", user_id=1)).describe() == "GET /users/{user_id}"
    assert mix(get("/a", weight=4), head("/b")).describe() == "80% GET /a, 20% HEAD /b"


@pytest.mark.parametrize(
    "build",
    [
        lambda: get("users"),
        lambda: get("/users/{user_id}"),
        lambda: get("/users", user_id=3),
        lambda: get("/users/{user_id}", user_id=[1]),
        lambda: get("/", weight=0),
        lambda: post("/", json=float("nan")),
        lambda: post("/", json={"a"}),
        lambda: post("/", json={}, content="x"),
        lambda: mix(),
        lambda: as_workload(3),  # type: ignore[arg-type]
        lambda: uniform(3, 1),
        lambda: zipf(0),
        lambda: choice([]),
        lambda: sequence(1, 0),
        lambda: text("{n}"),
        lambda: rendered(as_workload(get("/", headers={"x": "a\r\nb: c"}))),
        lambda: rendered(as_workload(get("/", headers={"x": "€"}))),
        lambda: rendered(as_workload(get("/", headers={"": "x"}))),
    ],
)
def test_what_cannot_be_sent_is_refused_with_a_sentence(build: object) -> None:
    with pytest.raises((BadWorkload, OutOfBounds)) as refused:
        build()  # type: ignore[operator]
    assert str(refused.value).endswith((".", "...", "'"))
