"""Is there an answer in a file at all? Read, not run: a blank exercise is told at once."""

import ast
from pathlib import Path

from course_app.grading.answers import ANSWER_NAMES
from course_app.grading.source import NotRunnable, plain, read_cells


def looks_blank(path: Path) -> bool:
    """Only blanks bear an answer's name, as far as reading tells."""
    try:
        nodes = [node for code in read_cells(path) for node in ast.walk(ast.parse(plain(code)))]
    except (NotRunnable, SyntaxError, ValueError, RecursionError):
        return False
    blanks = {id(target) for node in nodes for target in _blank_targets(node)}
    return not any(_binds_an_answer(node) for node in nodes if id(node) not in blanks)


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
