"""The proxy's main function: answers frames on its standard input and output."""

import os
import signal
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from course_app.network.proxy.relay import Relay
from course_app.network.proxy.route import Delay, Reach
from course_app.system import timers
from course_app.worker.frames import FrameReader, Header, PipeClosed, write_frame


class Control:
    """Does what the owner asks for, and answers with the question's number."""

    def __init__(self, relay: Relay, questions: int, answers: int) -> None:
        self._relay, self._questions, self._answers = relay, FrameReader(questions), answers
        relay.obey(questions, self._take)

    def _answer(self, question: Header, **details: Any) -> None:
        write_frame(self._answers, {"id": question["id"], **details})

    def _take(self) -> None:
        question, _ = self._questions.read()
        match question["do"]:
            case "listen":
                self._answer(question, port=self._listen(question))
            case "forget":
                self._relay.forget(question["name"])
                self._answer(question)
            case "delay":
                self._relay.delay.round_trip_seconds = question["seconds"]
                self._relay.delay.own_cost_seconds = question["own_cost_seconds"]
                self._answer(question)
            case "reach":
                self._relay.routes[question["name"]].turn(Reach(question["reach"]))
                self._answer(question)
            case "reset":
                self._relay.when_settled(lambda: self._reset(question))
            case "counts":
                self._relay.when_settled(lambda: self._count(question))

    def _listen(self, question: Header) -> int:
        seconds = question.get("seconds")
        delay = None if seconds is None else Delay(seconds)
        return self._relay.listen(question["name"], question["host"], question["port"], delay)

    def _reset(self, question: Header) -> None:
        self._relay.reset()
        self._answer(question)

    def _count(self, question: Header) -> None:
        self._answer(question, **asdict(self._relay.routes[question["name"]].tally))


def main() -> None:
    """Serve until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    timers.sharpen()
    # Nothing that prints may get among the answers.
    answers = os.dup(1)
    os.dup2(2, 1)
    relay = Relay()
    Control(relay, 0, answers)
    with suppress(PipeClosed):
        relay.run()
