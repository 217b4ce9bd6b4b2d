"""A lesson that is run as a script prints what a notebook shows, and no control sequences."""

import io
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from course_app import explore
from course_app.lab import Lab
from course_app.measure.noise import NoiseMeter
from course_app.progress import ProgressLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_verdict_is_printed_and_returned(capsys: pytest.CaptureFixture[str]) -> None:
    lab = Lab.__new__(Lab)  # none of its servers is needed
    lab._noise = NoiseMeter()
    lab._noise.resume()
    verdict = lab.verdict(9, "wrong", "Because.", {"it is so": True})
    assert capsys.readouterr().out == f"{verdict}\n\n"


def test_a_log_gets_the_last_state_only(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressLine("Measuring") as progress:
        progress("window 1")
    assert capsys.readouterr().err == "Measuring: done in 0.0 s\n"


def test_a_terminals_line_is_written_over_without_control_sequences(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with ProgressLine("Measuring") as progress:
        progress("a long description of a window")
    *_, before, last = terminal.getvalue().split("\r")
    assert last.rstrip() == "Measuring: done in 0.0 s"
    assert len(last.removesuffix("\n")) >= len(before)
    assert "\x1b" not in terminal.getvalue()


def test_sliders_leave_a_figures_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(clients: int) -> Any:
        each = np.array([99.0, 100.0, 101.0]) * clients
        return SimpleNamespace(throughput=100.0 * clients, throughputs=each, p50_ms=10.0, wrong=())

    monkeypatch.delenv(explore.HEADLESS, raising=False)
    explore.explore(measure, clients=[1, 2])
    assert capsys.readouterr().out.endswith("times the throughput of clients 1\n")
