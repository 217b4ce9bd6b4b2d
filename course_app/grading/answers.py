"""What a learner hands in, told apart: nothing yet, an app, or a factory that makes one."""

import dis
import inspect
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

from course_app.grading.evidence import NotAttempted

ASGIApp = Callable[..., Any]

#: An answer is found by these names, the first before the second.
ANSWER_NAMES = ("create_app", "app")


class NotAnAnswer(Exception):
    """Handed in was something else; the text says what, as a sentence."""


def is_blank(answer: object) -> bool:
    """Has nothing been written yet: ``None``, ``...``, or a function without a body?"""
    if answer is None or answer is ...:
        return True
    if not isinstance(answer, FunctionType):
        return False
    code = answer.__code__
    # A body of `...`, `pass`, a docstring or `raise NotImplementedError("...")` names nothing
    # else, and an app cannot be made without naming something.
    named = set(code.co_names) - {"NotImplementedError"} or code.co_freevars
    # From Python 3.14 on small numbers are no constants of the code, but steps.
    makes = any(
        step.opname.startswith(("BUILD_", "LOAD_SMALL_")) for step in dis.get_instructions(code)
    )
    silent = all(c is None or c is ... or isinstance(c, str) for c in code.co_consts)
    return silent and not makes and not named


def is_app(answer: object) -> bool:
    """An ASGI app: called as ``await app(scope, receive, send)``."""
    if inspect.isclass(answer) or not callable(answer):
        return False
    call = answer if inspect.isroutine(answer) else type(answer).__call__
    if not inspect.iscoroutinefunction(call):
        return False
    return len(inspect.signature(answer).parameters) == 3


def is_factory(answer: object) -> bool:
    """A plain function that makes an app."""
    return callable(answer) and not is_app(answer) and not inspect.iscoroutinefunction(answer)


def make_app(answer: object, given: Mapping[str, str]) -> ASGIApp:
    """The app that an answer stands for.

    Args:
        given: what a factory may ask for, by the names of its parameters.

    Raises:
        NotAttempted: there is no answer yet.
        NotAnAnswer: it is neither an app nor a factory of one.
        Exception: whatever the factory raises.
    """
    if is_blank(answer):
        raise NotAttempted
    if is_app(answer):
        return _app_itself(answer, given)
    if not is_factory(answer):
        raise NotAnAnswer(f"Neither an app nor a plain function: {type(answer).__name__}")
    try:
        made = answer(**_asked(answer, given))  # type: ignore[operator]
    except NotImplementedError:
        raise NotAttempted from None
    if is_blank(made):
        raise NotAttempted
    if not is_app(made):
        raise NotAnAnswer(f"create_app returned {type(made).__name__}, which is no ASGI app")
    return made  # type: ignore[no-any-return]


def _app_itself(app: Any, given: Mapping[str, str]) -> ASGIApp:
    if given:
        names = ", ".join(given)
        raise NotAnAnswer(f"An app, where create_app({names}) is wanted")
    return app  # type: ignore[no-any-return]


def _asked(factory: Any, given: Mapping[str, str]) -> dict[str, str]:
    parameters = inspect.signature(factory).parameters.values()
    required = {
        p.name
        for p in parameters
        if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }
    if unknown := required - given.keys():
        allowed = ", ".join(given) or "nothing"
        raise NotAnAnswer(
            f"create_app asks for {', '.join(sorted(unknown))}; it can have {allowed}"
        )
    return {p.name: given[p.name] for p in parameters if p.name in given}
