"""``python -m course_app.network.proxy``: answers frames on its standard input and output."""

import os
import signal
import sys
import traceback
from dataclasses import asdict

from course_app.network.frames import Message, Unpacker, pack
from course_app.network.proxy.relay import Relay
from course_app.network.proxy.route import Delay, Reach
from course_app.system import timers

_READ_BYTES = 65536


class Control:
    """Does what the owner asks for, and answers with the question's number."""

    def __init__(self, relay: Relay, questions: int, answers: int) -> None:
        self._relay, self._questions, self._answers = relay, questions, answers
        self._unpacker = Unpacker()
        relay.obey(questions, self._read)

    def answer(self, message: Message) -> None:
        """Write one frame to the owner."""
        os.write(self._answers, pack(message))

    def _read(self) -> None:
        data = os.read(self._questions, _READ_BYTES)
        self._relay.ended = not data
        for question in self._unpacker.feed(data):
            self._take(question)

    def _take(self, question: Message) -> None:
        match question["do"]:
            case "listen":
                self.answer({"id": question["id"], "port": self._listen(question)})
            case "forget":
                self._relay.forget(question["name"])
                self.answer({"id": question["id"]})
            case "delay":
                self._relay.delay.round_trip_seconds = question["seconds"]
                self._relay.delay.own_cost_seconds = question["own_cost_seconds"]
                self.answer({"id": question["id"]})
            case "reach":
                self._relay.routes[question["name"]].turn(Reach(question["reach"]))
                self.answer({"id": question["id"]})
            case "reset":
                self._relay.when_settled(lambda: self._reset(question))
            case "counts":
                self._relay.when_settled(lambda: self._count(question))

    def _listen(self, question: Message) -> int:
        seconds = question.get("seconds")
        delay = None if seconds is None else Delay(seconds)
        return self._relay.listen(question["name"], question["host"], question["port"], delay)

    def _reset(self, question: Message) -> None:
        self._relay.reset()
        self.answer({"id": question["id"]})

    def _count(self, question: Message) -> None:
        tally = self._relay.routes[question["name"]].tally
        self.answer({"id": question["id"], **asdict(tally)})


def main() -> None:
    """Serve until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    timers.sharpen()
    # Nothing that prints may get among the answers.
    answers = os.dup(1)
    os.dup2(2, 1)
    relay = Relay()
    control = Control(relay, 0, answers)
    try:
        relay.run()
    except Exception:
        control.answer({"crashed": traceback.format_exc()})
        sys.exit(1)


if __name__ == "__main__":
    main()
