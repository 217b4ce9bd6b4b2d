"""How answers are judged: decodable, negotiated, fresh; what is worth it is compressed, no more."""

import secrets
from collections.abc import Mapping

from course_app.exercises.compression.choices import (
    LINKS,
    Level,
    best_of,
    cpu_ms,
    gzipped,
    measured,
    read,
    times_as_long,
)
from course_app.exercises.compression.failures import (
    BlocksLoop,
    CompressesDense,
    CompressesForNeighbours,
    CompressesSmall,
    ForgetsVary,
    HoldsStream,
    NoChoice,
    NotAsked,
    NotCompressed,
    NotDecodable,
    StaleAnswer,
    WrongLevel,
)
from course_app.grading import Evidence, Exam, contract, hygiene, mechanism, speed
from course_app.load import Request, Response, get, mix, uniform
from course_app.measure.answers import decoded, same_decoded

GZIP = {"Accept-Encoding": "gzip, deflate"}
#: Clients who cannot undo gzip, or did not say so.
NO_GZIP: tuple[Mapping[str, str], ...] = (
    {},
    {"Accept-Encoding": "identity"},
    {"Accept-Encoding": "br"},
)

#: What the text of the exercise allows.
MOST_TIMES_AS_LONG = 1.3
#: Of level 1's bytes; other libraries' levels are not quite the same.
_MOST_BYTES = 1.1

#: About 10 MB of JSON: a tenth of a second or more to compress.
EVERYTHING = get("/posts?limit=9000", headers=GZIP)
_PINGS = 40
#: Who comes right before a compression on the loop waits for nearly all of it.
_SHARE_OF_COMPRESSION = 0.65
#: The first piece of a stream comes before this share of its time.
_FIRST_PIECE = 0.5
#: A busy machine makes others wait, too, but hardly so often in a row.
_TRIES = 5


def _list(path: str, headers: Mapping[str, str], weight: float = 1.0) -> Request:
    return get(path, limit=uniform(60, 120), headers=headers, weight=weight)


#: What ``GZIP`` accepts, and the bare body.
_ACCEPTED = ("gzip", "x-gzip", "deflate", "identity")

LIST = "/posts?limit={limit}"
INTERNAL = "/internal/posts?limit={limit}"
ONE = get("/posts/{id}", id=uniform(1, 100_000), headers=GZIP)
MISSING = get("/posts/{id}", id=uniform(200_000, 900_000), headers=GZIP, expect_status=404)
FIGURES = get("/posts/{id}/figures.xlsx", id=uniform(1, 100_000), headers=GZIP)

READS = mix(
    _list(LIST, GZIP),
    _list(LIST, {}),
    _list(INTERNAL, GZIP),
    ONE,
    MISSING,
    FIGURES,
    get("/posts?limit=many", headers=GZIP, expect_status=422),
)
TRAFFIC = mix(_list(LIST, GZIP, weight=4), _list(INTERNAL, GZIP), ONE, FIGURES)


def _same(mine: Response, theirs: Response) -> bool:
    _require_decodable(mine)
    return same_decoded(mine, theirs)


def _require_decodable(answer: Response) -> bytes:
    coding = answer.header("content-encoding") or "identity"
    if coding.strip().lower() not in _ACCEPTED:
        raise NotDecodable(f"a body with Content-Encoding: {coding}", "one that was asked for")
    try:
        return decoded(answer)
    except ValueError as error:
        raise NotDecodable(str(error), "what its header says") from None


@contract(points=1)
def same_answers(exam: Exam) -> Evidence:
    """Every answer is as before once it is decoded, for clients with and without gzip."""
    exam.same_answers(get("/feed", headers=GZIP), 1, same=_same)
    return exam.same_answers(READS, 40, same=_same)


@contract(points=0.5)
def negotiated(exam: Exam) -> Evidence:
    """Who does not accept gzip gets none, and caches are told that there are two answers."""
    path = f"/posts?limit={exam.random.randint(60, 120)}"
    plain = [exam.ask(exam.learner, get(path, headers=headers))[0] for headers in NO_GZIP]
    for headers, answer in zip(NO_GZIP, plain, strict=True):
        if encoding := answer.header("content-encoding"):
            said = headers.get("Accept-Encoding", "nothing")
            raise NotAsked(f"{encoding} for a client that accepts {said}", "the plain answer")
    (packed,) = exam.ask(exam.learner, get(path, headers=GZIP))
    if packed.header("content-encoding"):
        for what, answer in (("compressed", packed), ("plain", plain[0])):
            if "accept-encoding" not in (answer.header("vary") or "").lower():
                raise ForgetsVary(f"no Vary with the {what} answer", "Vary: Accept-Encoding")
    return Evidence("plain for 3 of 3 who cannot decode", "and Vary with either answer")


@contract(points=0.5)
def fresh_answers(exam: Exam) -> Evidence:
    """An answer shows what is in the database now."""
    path = get("/posts?limit=60", headers=GZIP)
    for _ in range(2):
        exam.ask(exam.learner, path)
        title, number = f"Title {secrets.token_hex(8)}", exam.random.randint(1, 60)
        exam.write("UPDATE posts SET title = %s WHERE id = %s", title, number)
        (answer,) = exam.ask(exam.learner, path)
        if title.encode() not in _require_decodable(answer):
            raise StaleAnswer(f"post {number} has its old title", "the new title")
    return Evidence("2 of 2 changes seen", "every change")


@mechanism(points=0.5)
def compresses(exam: Exam) -> Evidence:
    """Long lists go out to the world as small as level 1 makes them, or smaller."""
    answers = exam.ask(exam.learner, _list(LIST, GZIP), 4)
    bodies = [_require_decodable(answer) for answer in answers]
    whole = sum(map(len, bodies))
    left = sum(len(answer.body) for answer in answers) / whole
    level_1 = sum(len(gzipped(body, 1)) for body in bodies) / whole
    observed, wanted = f"{left:.0%} of the bytes", f"{level_1:.0%} or less"
    if left > _MOST_BYTES * level_1:
        raise NotCompressed(observed, wanted, numbers={"share_of_bytes": left})
    return Evidence(observed, wanted, {"share_of_bytes": left})


@mechanism(points=2)
def leaves_alone(exam: Exam) -> Evidence:
    """Small answers and spreadsheets go out as they are."""
    kinds = ((ONE, CompressesSmall), (MISSING, CompressesSmall), (FIGURES, CompressesDense))
    for request, failure in kinds:
        for answer in exam.ask(exam.learner, request, 2):
            if answer.header("content-encoding"):
                before, after = len(decoded(answer)), len(answer.body)
                raise failure(f"{before:,} bytes became {after:,}", "the answer as it is")
    return Evidence("6 of 6 as they are", "no Content-Encoding")


@mechanism(points=1.5)
def refuses(exam: Exam) -> Evidence:
    """The indexer on this machine gets its lists as they are: for it compression would hurt."""
    (answer,) = exam.ask(exam.learner, get("/internal/posts?limit=90", headers=GZIP))
    body = _require_decodable(answer)
    link = LINKS["indexer"]
    saved_ms = 8 * (len(body) - len(gzipped(body, 1))) / (1e3 * link)
    extra_ms = min(cpu_ms(body, 1) for _ in range(5))
    trade = f"level 1 costs {extra_ms:.2f} ms of CPU to save {saved_ms:.2f} ms on the link"
    if encoding := answer.header("content-encoding"):
        raise CompressesForNeighbours(f"{encoding}; {trade}", "plain")
    return Evidence(f"plain; {trade}", "plain", {"cost_ms": extra_ms, "saved_ms": saved_ms})


@mechanism(points=0.5)
def loop_is_free(exam: Exam) -> Evidence:
    """While megabytes are compressed for one client, others are answered."""
    (alone,) = exam.overlap(exam.learner, [EVERYTHING])
    body = _require_decodable(alone.response)
    # Nobody compresses it faster than this, so a blocked loop makes somebody wait for as long.
    least_ms = _SHARE_OF_COMPRESSION * min(cpu_ms(body, 1) for _ in range(3))
    longest_ms = float("inf")
    for _ in range(_TRIES):
        longest_ms = min(longest_ms, _longest_wait_ms(exam, alone.seconds / _PINGS))
        if longest_ms < least_ms:
            break
    observed, wanted = f"others waited {longest_ms:.0f} ms", f"less than {least_ms:.0f} ms"
    if longest_ms >= least_ms:
        raise BlocksLoop(observed, wanted, numbers={"longest_wait_ms": longest_ms})
    return Evidence(observed, wanted, {"longest_wait_ms": longest_ms})


@speed(points=2)
def cheaper(exam: Exam) -> Evidence:
    """At least half of what our solution saves in CPU, over all kinds of answers."""
    return exam.speed(TRAFFIC, concurrency=2, metric="cpu", same=_same)


@speed(points=1)
def chooses(exam: Exam) -> Evidence:
    """For each of the three clients no other level would be clearly faster."""
    handed_in = exam.values.get("levels")
    chosen = read(handed_in)
    if chosen is None:
        # Dots are nothing that can be handed in.
        told = "no levels, or open ones" if handed_in is None else f"levels = {handed_in!r:.80}"
        raise NoChoice(told, "a level or None for each")
    (answer,) = exam.ask(exam.reference, get("/internal/posts?limit=90"))
    ways = measured(answer.body)
    said = []
    for client, link in LINKS.items():
        level, best = chosen[client], best_of(ways, link)
        ratio = times_as_long(ways, level, link)
        said.append(f"{client} {ratio.estimate:.2f}")
        if ratio.above(MOST_TIMES_AS_LONG):
            ms, best_ms = float(ways[level].ms(link)), float(ways[best].ms(link))
            observed = f"{client}: {_named(level)} {ms:.2f} ms, {_named(best)} {best_ms:.2f} ms"
            raise WrongLevel(observed, f"at most {MOST_TIMES_AS_LONG:g} times the best")
    wanted = f"at most {MOST_TIMES_AS_LONG:g} times the best"
    return Evidence(f"times the best: {', '.join(said)}", wanted)


@hygiene(points=0.5)
def streams(exam: Exam) -> Evidence:
    """The first piece of a stream comes long before its last."""
    shares = []
    for _ in range(_TRIES):
        (timed,) = exam.overlap(exam.learner, [get("/feed", headers=GZIP)])
        shares.append(timed.first_byte_seconds / timed.seconds)
        if shares[-1] < _FIRST_PIECE:
            break
    observed = f"the first piece after {min(shares):.0%} of the time"
    wanted = f"less than {_FIRST_PIECE:.0%}"
    if min(shares) >= _FIRST_PIECE:
        raise HoldsStream(observed, wanted)
    return Evidence(observed, wanted)


def _named(level: Level) -> str:
    return "plain" if level is None else f"level {level}"


def _longest_wait_ms(exam: Exam, gap_seconds: float) -> float:
    """What others wait at most, of whom one comes every so often while one gets everything."""
    others = [get("/posts/{id}", id=uniform(1, 100_000)) for _ in range(_PINGS)]
    _, *waits = exam.overlap(exam.learner, [EVERYTHING, *others], gap_seconds)
    return max(wait.ms for wait in waits)
