"""An app that was written in a notebook, as a file: its definition, and whatever that needs.

The examined app lives in a process of its own, which knows nothing of the notebook.
"""

from __future__ import annotations

import ast
import symtable
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from course_app.examine.target import CannotExamine, Target, parse_target

_MAIN = "__main__"


def target_of(app: Any, folder: Path) -> Target:
    """The target for an app, a function that makes one, or a text that names either.

    Args:
        folder: where a file may be written for what is in no module.

    Raises:
        CannotExamine: it has no name by which another process could find it.
    """
    if isinstance(app, str):
        return parse_target(app)
    module = getattr(app, "__module__", None)
    name = getattr(app, "__qualname__", "")
    if module != _MAIN and name.isidentifier() and module in sys.modules:
        file = getattr(sys.modules[module], "__file__", None)
        return parse_target(f"{file or module}:{name}")
    for named, value in vars(sys.modules[_MAIN]).items():
        if value is app and not named.startswith("_"):
            file = folder / f"notebook_{named}.py"
            file.write_text(source_of(_cells(), named), encoding="utf-8")
            return parse_target(f"{file}:{named}")
    raise CannotExamine(
        "This app has no name in the notebook: write a function create_app() that makes it and "
        'hand that over, or its place, such as "shop/main.py:app".'
    )


def _cells() -> list[str]:
    """What the notebook has run so far; in a script, its own text."""
    main = vars(sys.modules[_MAIN])
    if isinstance(ran := main.get("In"), list):
        return [str(cell) for cell in ran]
    if file := main.get("__file__"):
        return [Path(file).read_text(encoding="utf-8")]
    raise CannotExamine('Its source is not known here: name its place, such as "shop/main.py:app".')


def source_of(cells: Sequence[str], name: str) -> str:
    """The statements that define a name, and all that they need, in their order.

    For an app that is built step by step these are also the handlers that it decorates and the
    calls of its methods. ``ROUTES`` comes along.

    Raises:
        CannotExamine: it needs the lab itself.
    """
    statements = [(node, text) for cell in cells for node, text in _statements(cell)]
    kept: set[int] = set()
    waiting, known = [name, "ROUTES"], {name, "ROUTES"}
    while waiting:
        wanted = waiting.pop()
        for number in _about(statements, wanted):
            if number in kept:
                continue
            kept.add(number)
            used = _used(symtable.symtable(statements[number][1], "cell", "exec"))
            waiting += used - known
            known |= used
    text = "\n\n\n".join(statements[number][1] for number in sorted(kept))
    if "lab" in known and any(_defines(statements[n][0], "lab") for n in kept):
        raise CannotExamine(
            f"{name} uses the lab, which is not there in the app's own process: write "
            "create_app(postgres_dsn), or with valkey_url; it is called with the lab's addresses."
        )
    return f"{text}\n"


def _statements(cell: str) -> Iterator[tuple[ast.stmt, str]]:
    try:
        tree = ast.parse(cell)
    except SyntaxError:  # it did not run in the notebook either
        return
    lines = cell.splitlines()
    for node in tree.body:
        decorators = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(each.lineno for each in decorators)])
        yield node, "\n".join(lines[first - 1 : node.end_lineno])


def _used(scope: symtable.SymbolTable) -> set[str]:
    """The notebook's names that a statement uses; what is a function's own is not among them."""
    whole = scope.get_type() == "module"
    own = {each.get_name() for each in scope.get_symbols() if whole or each.is_global()}
    return own.union(*(_used(inner) for inner in scope.get_children()))


def _about(statements: Sequence[tuple[ast.stmt, str]], name: str) -> Iterator[int]:
    """The last statement that defines the name, and those after it that add to it."""
    last = -1
    for number, (node, _) in enumerate(statements):
        if _defines(node, name):
            last = number
    if last < 0:
        return
    yield last
    for number in range(last + 1, len(statements)):
        if _adds_to(statements[number][0], name):
            yield number


def _defines(node: ast.stmt, name: str) -> bool:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return node.name == name
    if isinstance(node, ast.Import | ast.ImportFrom):
        return any((each.asname or each.name).partition(".")[0] == name for each in node.names)
    stored = (n for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
    return any(each.id == name for each in stored)


def _adds_to(node: ast.stmt, name: str) -> bool:
    """Whether it is ``@name.get(...)`` over a function, or a call such as ``name.mount(...)``."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return any(_root(each) == name for each in node.decorator_list)
    method = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    return method and _root(node.value) == name  # type: ignore[attr-defined]


def _root(node: ast.expr) -> str:
    """``app`` of ``app.get("/")``; nothing for a plain call of a name."""
    if isinstance(node, ast.Call):
        node = node.func
    if not isinstance(node, ast.Attribute):
        return ""
    while isinstance(node, ast.Attribute | ast.Call):
        node = node.value if isinstance(node, ast.Attribute) else node.func
    return node.id if isinstance(node, ast.Name) else ""
