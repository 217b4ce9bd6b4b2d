"""docs/lab.md: the page about all calls of the lab, made from its docstrings."""

import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from course_app.authoring.contents import Course
from course_app.system.files import replace_file

PAGE = "docs/lab.md"

_SECTION = re.compile(r"^(Args|Returns|Raises|Attributes|Example):$")
#: What is code in a docstring has two backticks around it, in Markdown one.
_DOUBLE = re.compile(r"(?<!`)``([^`\n]+)``(?!`)")
_ITEM = re.compile(r"^(\S[^:]*): (.*)$")

_BEGIN = """# The lab

<!-- written by course build from the docstrings of course_app/lab.py -->

```python
import asyncio
from contextlib import asynccontextmanager

import asyncpg
import httpx
import pymongo

from course_app.lab import Lab, Retries, choice, get, mix, post, sequence, uniform, zipf

lab = Lab()
```

{about}

In the examples `slow` and `fast` are FastAPI apps with a route `/users/{{user_id}}`,
made by `create_slow(dsn)` and `create_fast(dsn)`: one connects to PostgreSQL for each request, the
other has a pool. Whatever a call returns shows itself as the last line of a cell, and most of it
has `.plot()`.

| call | |
|---|---|
"""
_TRAFFIC = """
## Traffic

What is sent to an app: a path such as `"/users/1"`, a request, or a `mix` of requests. Values may
be drawn anew for each request: `get("/users/{user_id}", user_id=uniform(1, lab.users))`.
"""


def write_reference(course: Course) -> bool:
    """Bring the page in line with the docstrings; whether it changed.

    A course without a folder for pages gets none.
    """
    path = course.root / PAGE
    if not path.parent.is_dir():
        return False
    old, new = path.read_text(encoding="utf-8") if path.is_file() else "", reference_page()
    if new != old:
        replace_file(path, new)
    return new != old


def reference_page() -> str:
    """All public calls of ``Lab`` in the order of their definition, then what makes traffic."""
    from course_app import lab
    from course_app.load.workload import request

    calls = {f"lab.{name}": call for name, call in _public(lab.Lab)}
    makers = (lab.mix, lab.uniform, lab.zipf, lab.choice, lab.sequence)
    about = " ".join(inspect.getdoc(lab.Lab).split("\n\n")[0].split())  # type: ignore[union-attr]
    page = [_BEGIN.format(about=about)]
    page += [
        f"| [`{name}`](#{_anchor(name)}) | {_summary(call)} |\n" for name, call in calls.items()
    ]
    page += [_entry(name, call) for name, call in calls.items()]
    page += [_TRAFFIC, _entry("get", request), *(_entry(x.__name__, x) for x in makers)]
    return _DOUBLE.sub(r"`\1`", "".join(page))


def _public(kind: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, member in vars(kind).items():
        if inspect.isfunction(member) and not name.startswith("_"):
            yield name, member


def _anchor(name: str) -> str:
    return name.replace(".", "").lower()


def _summary(call: Callable[..., Any]) -> str:
    return (inspect.getdoc(call) or "").split("\n")[0]


def _entry(name: str, call: Callable[..., Any]) -> str:
    parts = _sections(inspect.getdoc(call) or "")
    text = f"\n## {name}\n\n```python\n{_call(name, call)}\n```\n\n{parts.pop('', '')}\n"
    example = parts.pop("Example", "")
    for title, body in parts.items():
        text += f"\n{title}:\n\n" if title != "Args" else "\n"
        text += "".join(f"- `{what}`: {told}\n" for what, told in _items(body))
    return text + (f"\n```python\n{example}\n```\n" if example else "")


def _call(name: str, call: Callable[..., Any]) -> str:
    """The call with its arguments and defaults, without types."""
    signature = inspect.signature(call)
    plain = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.name not in ("self", "method")
    ]
    shown = str(signature.replace(parameters=plain, return_annotation=inspect.Signature.empty))
    return "\n".join(textwrap.wrap(f"{name}{shown}", 96, subsequent_indent="    "))


def _sections(doc: str) -> dict[str, str]:
    """A docstring's text by the titles of its sections; what stands before them under ''."""
    found: dict[str, list[str]] = {"": []}
    title = ""
    for line in doc.splitlines():
        if match := _SECTION.match(line):
            title = match[1]
            found[title] = []
        else:
            found[title].append(line)
    return {key: textwrap.dedent("\n".join(lines)).strip("\n") for key, lines in found.items()}


def _items(body: str) -> Iterator[tuple[str, str]]:
    """Name and description of each item; lines that are indented go on with the last one."""
    for block in re.split(r"\n(?=\S)", body):
        if match := _ITEM.match(" ".join(block.split())):
            yield match[1], match[2]
