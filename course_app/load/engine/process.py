"""The generator process: takes commands from its owner until the owner ends."""

from __future__ import annotations

import dataclasses
import gc
import os
import select
import signal
import sys
import time
from array import array
from collections.abc import Mapping
from typing import Any, TypeAlias

from course_app.load.description import restore_workload
from course_app.load.engine.connection import Target
from course_app.load.engine.models import Alternate, Closed, Kept, Open, Sample
from course_app.load.engine.recorder import Recorder
from course_app.load.engine.stream import Stream
from course_app.load.engine.visits import Visits
from course_app.load.engine.window import OwnerGone, Window
from course_app.load.limits import LoadError, NoAnswer, TimedOut
from course_app.system import open_files
from course_app.worker.frames import FrameReader, PipeClosed, write_frame

PARENT_LOOK_MS = 1000

Reply: TypeAlias = "tuple[dict[str, Any], dict[str, array[int] | bytes]]"


class Commands:
    """What the owner may ask for; each method answers one command."""

    def __init__(self, owner: int) -> None:
        self._owner = owner
        self._targets: dict[int, Target] = {}
        self._streams: dict[int, Stream] = {}

    def connect(
        self,
        *,
        target: int,
        address: list[Any],
        host: str,
        workload: list[dict[str, Any]],
        seed: int,
        concurrency: int,
        prepared_requests: int | None,
        number_requests: bool,
        timeout_seconds: float,
        seconds_apart: float,
        resend: bool,
        first_number: int,
    ) -> Reply:
        stream = Stream(restore_workload(workload), seed, host, prepared_requests, first_number)
        opened = Target(
            address=(address[0], address[1]),
            stream=stream,
            numbered=number_requests,
            timeout_ns=int(timeout_seconds * 1e9),
            resends=resend,
        )
        opened.open(concurrency, seconds_apart)
        self._targets[target], self._streams[target] = opened, stream
        return {}, {}

    def disconnect(self, *, target: int) -> Reply:
        if target in self._targets:
            self._targets.pop(target).close()
            del self._streams[target]
        return {}, {}

    def closed(self, *, target: int, **options: Any) -> Reply:
        return self._run([target], Closed(self._targets[target], self._owner, **options))

    def open(self, *, target: int, **options: Any) -> Reply:
        return self._run([target], Open(self._targets[target], self._owner, **options))

    def visit(self, *, target: int, **options: Any) -> Reply:
        return self._run([target], Visits(self._targets[target], self._owner, **options))

    def alternate(self, *, targets: list[int], seconds: float) -> Reply:
        known = [self._targets[target] for target in targets]
        return self._run(targets, Alternate(known, self._owner, seconds=seconds))

    def sample(self, *, target: int, count: int, numbers: list[int] | None = None) -> Reply:
        stream = self._streams[target]
        asked = stream.sample(count) if numbers is None else stream.picked(numbers)
        sampled = dataclasses.replace(self._targets[target], stream=asked, connections=[])
        sampled.open(concurrency=1)
        window = Sample(sampled, self._owner, count)
        try:
            window.run()
        finally:
            sampled.close()
        if window.recorders[0].examples:
            example = window.recorders[0].examples[0]
            kind = TimedOut if example["kind"] == "timeout" else NoAnswer
            raise kind(f"{example['request_line']}: {example['got']}.")
        return {"responses": window.kept.responses, "next": [stream.number]}, _bodies(window.kept)

    def _run(self, targets: list[int], window: Window) -> Reply:
        streams = [self._streams[target] for target in targets]
        for stream in streams:
            stream.prepare()
        gc.collect()
        window.run()
        ends_ns = window.end_ns()
        reply = {
            "start_ns": window.opens_ns,
            "end_ns": ends_ns,
            "targets": [_summary(each) for each in window.recorders],
            "first": [stream.first for stream in streams],
            "next": [stream.number for stream in streams],
        }
        arrays: dict[str, array[int] | bytes] = {}
        for position, (stream, recorder) in enumerate(zip(streams, window.recorders, strict=True)):
            columns = {
                **recorder.columns,
                "warmup_start_ns": recorder.warmup_start_ns,
                "warmup_end_ns": recorder.warmup_end_ns,
                "failed_due_ns": recorder.failed_due_ns,
                "failed_ns": recorder.failed_ns,
                "failed_index": recorder.failed_index,
                "kinds": stream.kinds,
            }
            arrays |= {f"{position} {name}": column for name, column in columns.items()}
        if isinstance(window, Closed):
            reply["responses"] = window.kept.responses
            arrays |= _bodies(window.kept)
        return reply, arrays


def _bodies(kept: Kept) -> dict[str, array[int] | bytes]:
    return {str(index): body for index, body in enumerate(kept.bodies)}


def _summary(recorder: Recorder) -> dict[str, Any]:
    return {
        "examples": recorder.examples,
        "errors": recorder.errors,
        "bytes_received": recorder.bytes_received,
        "bytes_sent": recorder.bytes_sent,
        "reconnects": recorder.reconnects,
        "missed": recorder.missed,
        "max_backlog": recorder.max_backlog,
        "cpu_seconds": recorder.cpu_ns / 1e9,
    }


def serve(owner: int, replies: int) -> None:
    """Answer commands until the owner ends. Raises OwnerGone or PipeClosed then."""
    commands = Commands(owner)
    parent, questions = os.getppid(), FrameReader(owner)
    poller = select.poll()
    poller.register(owner, select.POLLIN)
    while True:
        while not poller.poll(PARENT_LOOK_MS):
            if os.getppid() != parent:
                raise OwnerGone
        header, _ = questions.read()
        reply, arrays = answer(commands, header)
        told = {"id": header["id"], **reply, "cpu_seconds": time.process_time()}
        write_frame(replies, told, arrays)


def answer(commands: Commands, header: Mapping[str, Any]) -> Reply:
    """Do what one command asks for; a refusal is an answer too."""
    try:
        reply: Reply = getattr(commands, header["command"])(**header["options"])
        return reply
    except LoadError as error:
        return {"error": type(error).__name__, "message": str(error)}, {}


def main() -> None:
    """Serve the owner at the other ends of standard input and output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    replies = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    open_files.allow(open_files.FOR_MANY_CONNECTIONS)
    gc.freeze()
    gc.disable()  # a collection within a window would be the generator's own latency
    try:
        serve(sys.stdin.fileno(), replies)
    except (OwnerGone, PipeClosed):
        os._exit(0)
