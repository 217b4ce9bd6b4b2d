"""Is there an answer in a file at all? Read, not run: a blank exercise is told at once."""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

from course_app.grading.answers import ANSWER_NAMES
from course_app.grading.source import NotRunnable, plain, read_cells

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def looks_blank(path: Path) -> bool:
    """Only blanks bear an answer's name, as far as reading tells.

    For files that are trusted: `course_app.grading.reading` reads those that are not.
    """
    try:
        return is_blank_code([ast.parse(plain(code)) for code in read_cells(path)])
    except (NotRunnable, SyntaxError, ValueError, RecursionError):
        return False


def is_blank_code(trees: Sequence[ast.Module]) -> bool:
    """The same of code that has been parsed."""
    nodes = [node for tree in trees for node in _of_module(tree)]
    blanks = {id(target) for node in nodes for target in _blank_targets(node)}
    return not any(_binds_an_answer(node) for node in nodes if id(node) not in blanks)


def _of_module(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes outside of functions and classes, and what declares a name of the module."""
    for node in ast.iter_child_nodes(tree):
        yield node
        if isinstance(node, _SCOPES):
            yield from (inner for inner in ast.walk(node) if isinstance(inner, ast.Global))
        else:
            yield from _of_module(node)


def _blank_targets(node: ast.AST) -> list[ast.expr]:
    if not isinstance(node, ast.Assign | ast.AnnAssign) or not _is_blank_value(node.value):
        return []
    return node.targets if isinstance(node, ast.Assign) else [node.target]


def _binds_an_answer(node: ast.AST) -> bool:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return node.name in ANSWER_NAMES and not all(map(_is_blank_statement, node.body))
        case ast.Name(ctx=ast.Store()):
            return node.id in ANSWER_NAMES
        case ast.Global():
            return any(name in ANSWER_NAMES for name in node.names)
        case ast.alias():
            return node.name == "*" or (node.asname or node.name) in ANSWER_NAMES
    return False


def _is_blank_statement(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass():
            return True
        case ast.Expr(value=ast.Constant()):  # a docstring, or `...`
            return True
        case ast.Raise(exc=ast.Name(id=name) | ast.Call(func=ast.Name(id=name))):
            return name == "NotImplementedError"
    return False


def _is_blank_value(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value in (None, ...)
