"""Code of an exercise stands once, in its module; what a text imports from there is pasted.

A line like this, anywhere in ``content/exercises``, becomes the source of what it names, with the
comments right above each::

    from course_app.exercises.overload.baseline import seal_of, takes_everything

So what a learner reads is what is graded, and a text still runs as the script that it is.
"""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

import course_app
from course_app.errors import CourseError

_EXERCISES = "course_app.exercises."

#: A line of the text that is shown, and the number of the line that it comes from.
Line = tuple[int, str]


def paste(text: str, name: str) -> list[Line]:
    """The lines of an exercise's source with what it imports from exercises in its place.

    Raises:
        CourseError: the text is no Python, there is no such module, or it does not define that;
            ``name`` says where.
    """
    lines: list[Line] = list(enumerate(text.splitlines(), 1))
    if _EXERCISES not in text:
        return lines
    shown: list[Line] = []
    done = 0
    for node in _imports(text, name):
        assert node.end_lineno is not None
        shown += lines[done : node.lineno - 1]
        while shown and not shown[-1][1]:
            shown.pop()
        done = node.end_lineno
        while done < len(lines) and not lines[done][1]:
            done += 1
        pasted = _sources(node, f"{name}:{node.lineno}")
        before = _gap(shown[-1][1], pasted[0]) if shown else 0
        after = _gap(pasted[-1], lines[done][1]) if done < len(lines) else 0
        shown += [(node.lineno, line) for line in [""] * before + pasted + [""] * after]
    return shown + lines[done:]


def _imports(text: str, name: str) -> Iterator[ast.ImportFrom]:
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        body = compile(text, name, "exec", flags).body
    except SyntaxError as error:
        raise CourseError(f"{name}:{error.lineno}: this is no Python: {error.msg}.") from None
    for node in body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_EXERCISES):
            yield node


def _gap(above: str, below: str) -> int:
    """How many empty lines stand between two: as they do before and after definitions."""
    if above.startswith("# %%"):
        return 0
    if below.startswith("# %%"):
        return 1
    defines = below.startswith(("def ", "async def ", "class ", "@", "#"))
    return 2 if defines or above.startswith((" ", ")")) else 1


def _sources(node: ast.ImportFrom, where: str) -> list[str]:
    path = Path(course_app.__file__).parents[1] / f"{(node.module or '').replace('.', '/')}.py"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        raise CourseError(f"{where}: there is no {node.module}.") from None
    defined = _definitions(lines)
    wanted = [alias.name for alias in node.names]
    if missing := [each for each in wanted if each not in defined]:
        raise CourseError(f"{where}: {node.module} does not define {', '.join(missing)}.")
    found: list[str] = []
    for begin, end in sorted({defined[each] for each in wanted}):
        above = begin
        while found and not lines[above - 1]:
            above -= 1
        found += lines[above:end]
    return found


def _definitions(lines: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Where each name is defined, from the comments right above it to the end: [begin, end)."""
    found: dict[str, tuple[int, int]] = {}
    for node in ast.parse("\n".join(lines)).body:
        begin = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
        begin -= 1
        while begin and lines[begin - 1].startswith("#"):
            begin -= 1
        for name in _names(node):
            found[name] = begin, node.end_lineno or begin + 1
    return found


def _names(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            for name in ast.walk(target):
                if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                    yield name.id
