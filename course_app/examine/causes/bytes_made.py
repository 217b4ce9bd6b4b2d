"""Answers that are dear to write down: as JSON, or compressed."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pydantic_core

from course_app.examine.chart import Asked, Chart, finding, freed, percent
from course_app.examine.findings import Bound, Cause, Evidence, Finding
from course_app.examine.seen import Look, Place, Visit, median, of_ticks, share
from course_app.load import Response

_LEAST_SHARE = 0.3
#: What makes no less than this shorter is not worth compressing.
_LEAST_SAVING = 0.1
_TRIALS = 5
#: Declared types cost validation, which is what they are for; it has to be a lot to be a finding.
_LEAST_FOR_TYPED = 3.0
#: So many standard errors below a share of ticks decide.
_SURELY = 2.6


def slow_serialization(chart: Chart) -> list[Finding]:
    """Timers and stacks say that the JSON takes the time, and pydantic alone is much faster."""
    found = []
    for asked in chart.by_alone:
        best = _alternative(asked)
        if best is None:
            continue
        each = _finding(chart, asked, "serialize", Cause.SLOW_SERIALIZATION, *best)
        if each is not None:
            found.append(each)
    return found


def _alternative(asked: Asked) -> tuple[float, str] | None:
    """Seconds that the same answer needs at its best, and what takes them."""
    pydantic = asked.encoding.get("pydantic")
    if pydantic is not None:
        return float(pydantic), "pydantic alone writes the same value in"
    if asked.response is None:
        return None
    try:
        body = _plain(asked.response)
        value = json.loads(body)
    except (ValueError, OSError, zlib.error):
        return None
    # A body read back is plain values; dates and models cost about as much again.
    return 2 * _timed(lambda: pydantic_core.to_json(value)), "pydantic writes such a body in about"


def compression_cost(chart: Chart) -> list[Finding]:
    """Timers and stacks say that compressing takes the time, and a lower level is much faster."""
    found = []
    for asked in chart.by_alone:
        response = asked.response
        if response is None or not response.header("content-encoding"):
            continue
        try:
            plain = _plain(response)
        except (OSError, zlib.error, EOFError):
            continue
        if not plain:
            continue
        quick = zlib.compress(plain, 1)
        if len(quick) > (1 - _LEAST_SAVING) * len(plain):
            best, how = 0.0, "it hardly gets smaller by it; not compressing it takes"
        else:
            best = _timed(partial(zlib.compress, plain, 1))
            how = (
                f"level 1 makes {len(quick):,} bytes of {len(plain):,} instead of "
                f"{len(response.body):,}, in"
            )
        each = _finding(chart, asked, "compress", Cause.COMPRESSION_COST, best, how)
        if each is not None:
            found.append(each)
    return found


def _plain(response: Response) -> bytes:
    coding = response.header("content-encoding") or "identity"
    if coding == "gzip":
        return gzip.decompress(response.body)
    if coding == "deflate":
        return zlib.decompress(response.body)
    if coding == "br":
        import brotli  # type: ignore[import-untyped]

        return bytes(brotli.decompress(response.body))
    return response.body


def _timed(function: Callable[[], object]) -> float:
    times = []
    for _ in range(_TRIALS):
        began = time.thread_time()
        function()
        times.append(time.thread_time() - began)
    return median(times)


@dataclass(frozen=True)
class _Seen:
    """What of a route's time one kind of work takes: by timers, and by stacks.

    sampled: None where too little was seen to run.
    surely: as much of it as decides whether it is worth a finding.
    """

    timed: Bound
    sampled: Bound | None
    place: Place | None
    surely: float

    @property
    def part(self) -> Bound | None:
        """By timers; by stacks where those are not there."""
        return self.timed if self.timed.estimate >= _LEAST_SHARE else self.sampled


def _seen(asked: Asked, kind: str) -> _Seen:
    sampled, place, surely = _sampled(asked, kind)
    timed = share(asked.visits(), lambda v: (v.work.get(kind, 0.0), v.seconds))
    return _Seen(timed, sampled, place, timed.low if timed.estimate >= _LEAST_SHARE else surely)


def _finding(
    chart: Chart, asked: Asked, kind: str, cause: Cause, best: float, how: str
) -> Finding | None:
    if asked.alone is None:
        return None
    seen = _seen(asked, kind)
    part = seen.part
    if part is None or part.estimate < _LEAST_SHARE:
        return None
    used = _usual(asked, kind, part)
    saved = max(0.0, 1 - best / used)
    least = 1.5 if _by_hand(asked, kind) else _LEAST_FOR_TYPED
    if seen.surely * saved < 1 - 1 / least:  # Amdahl: what goes makes it faster by less than that
        return None
    evidence = _evidence(seen, kind, used, f"On this machine {how} {1e3 * best:.1f} ms.")
    supported = evidence[0].agrees or (seen.sampled is not None and seen.sampled.estimate >= 0.5)
    at_most = _at_most(chart, asked, kind, seen, used, saved)
    return finding(cause, asked.name, seen.place, evidence, at_most, confirmed=supported)


def _evidence(seen: _Seen, kind: str, used: float, otherwise: str) -> list[Evidence]:
    what = "Compressing" if kind == "compress" else "Making JSON of the answer"
    evidence = [
        Evidence(
            look="timers around the encoders",
            says=f"{what} takes {1e3 * used:.1f} ms of each request, {percent(seen.timed)} of its "
            "time.",
            value=seen.timed,
            agrees=seen.timed.estimate >= _LEAST_SHARE,
        ),
        Evidence(look="the same answer, made otherwise", says=otherwise),
    ]
    if seen.sampled is not None:
        evidence.append(
            Evidence(
                look="stacks of the loop's thread",
                says=f"{percent(seen.sampled)} of what was running was that.",
                value=seen.sampled,
                agrees=seen.sampled.estimate >= 0.25,
            )
        )
    return evidence


def _at_most(
    chart: Chart, asked: Asked, kind: str, seen: _Seen, used: float, saved: float
) -> Bound:
    part = seen.part
    assert part is not None
    assert asked.alone is not None
    gone = Bound(estimate=part.estimate * saved, low=part.low * saved, high=part.high * saved)
    # One middleware compresses for all routes; the others' JSON is another finding.
    most = {asked.template: used}
    if kind == "compress":  # what is kept compressed is never compressed again
        # Timers stand around the compressor alone; stacks see what is done for it as well.
        running = seen.sampled.high * _running(asked.alone) if seen.sampled is not None else 0.0
        gone, saved = part.model_copy(update={"high": max(part.high, running)}), 1.0
        others = [each for each in chart.by_alone if each is not asked]
        most |= {each.template: _usual(each, kind, _sampled(each, kind)[0]) for each in others}
    told = seen.timed.estimate > 0

    def cost(visit: Visit) -> float:
        # Where a thread writes the JSON, timers on the loop see what others do meanwhile: in a
        # crowd a request's own are believed up to what one client's tell.
        usual = most.get(visit.route, 0.0)
        return saved * min(usual, visit.work.get(kind, 0.0) if told else usual)

    return freed(chart, asked, gone, cost)


def _usual(asked: Asked, kind: str, part: Bound | None) -> float:
    """Seconds of a request's CPU: by timers, or by its share where there are none."""
    visits = asked.visits()
    timed = median([visit.work.get(kind, 0.0) for visit in visits])
    if timed > 0 or part is None:
        return timed
    return part.estimate * median([visit.seconds for visit in visits])


def _running(look: Look) -> float:
    """The share of the ticks at which something ran, on the loop or in a thread."""
    ran = sum(each.amount for each in look.running())
    return min(1.0, ran / max(1, int(look.raw["ticks"])))


def _sampled(asked: Asked, kind: str) -> tuple[Bound | None, Place | None, float]:
    """The share of running that was that kind, on the loop and in threads; where; what decides.

    The bars were set with as much of it as is sure if each tick stands for itself. Within one
    request they do not, which the interval that is shown counts in.
    """
    look = asked.alone
    assert look is not None
    ran = look.running()
    total = sum(each.amount for each in ran)
    kinds = (kind, "typed") if kind == "serialize" else (kind,)
    mine = [each for each in ran if each.kind in kinds]
    level = sum(each.amount for each in mine) / max(1, total)
    places = Counter({each.inner: each.amount for each in mine if each.inner is not None})
    place = places.most_common(1)[0][0] if places else _endpoint(asked)
    if total < 30:
        return None, place, 0.0
    surely = level - _SURELY * (level * (1 - level) / total) ** 0.5
    return of_ticks(level, total, look), place, max(0.0, surely)


def _by_hand(asked: Asked, kind: str) -> bool:
    """Whether Python's own encoders do most of it; else types are declared and pydantic works."""
    assert asked.alone is not None
    ran = Counter[str]()
    for each in asked.alone.running():
        ran[each.kind] += int(each.amount)
    return kind != "serialize" or ran["serialize"] >= ran["typed"]


def _endpoint(asked: Asked) -> Place | None:
    """The handler, when its own code is not on the stack any more."""
    found = asked.encoding.get("endpoint")
    return Place(**found) if found else None
