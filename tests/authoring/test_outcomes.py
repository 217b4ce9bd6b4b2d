"""No outcome without its interval: what prose says of a result, the lesson's code has to bear.

``outcomes.toml`` lists every sentence that has a word of outcome, and what bears it: a verdict's
condition, a cell that computes or prints it, or, by hand, the reason why it needs neither.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from nbformat import NotebookNode

from course_app.authoring.contents import find_course
from course_app.authoring.notebook import code_sources, make_notebook

#: Words by which a sentence says how a comparison came out, or what shape a result has. "Large"
#: and "slow" are in every paragraph and compare nothing; "no longer" tells of time that has
#: passed; each lesson begins by how long its measurements take.
OUTCOME = re.compile(
    r"""\b(?:
    (?:fast|slow|cheap|dear|quick|soon)(?:er|est) | closer | as\ (?:fast|cheap|dear|hard|slow)
    | (?:is|are|and|too|near|not)\ (?:fast|slow|cheap|dear|free) | the\ slow\ one
    | better | best | worse | worst | twice | doubl(?:es?|ed) | halv(?:es?|ed) | times\ (?:as|the)
    | (?<!no\ )longer | longest | shorter | larger | smaller | higher | lower
    | flat | bends? | rises? | falls? | drops? | grows? | apart | differs? | ends\ near
    | hardly | barely | nearly | next\ to\ nothing | little(?!'s) | most\ of
    | no\ (?:difference | gain | effect) | useless | helps? | spares? | saves? | enough
    | gain(?:s|ed)? | wins? | pays? | costs? (?:\ [\w']+){0,3}\ (?:more | less | nothing | same | part)
    | (?:more | less)\ than (?!\ (?:a|the)\ minute) | (?:more | less | fewer)\ (?:CPU | memory | bytes)
    | (?:comes? | is | are)\ (?:first | last | ahead)
    )\b""",
    re.VERBOSE | re.IGNORECASE,
)

#: Fences go before folds, and folds before headings: each may hold what looks like the next.
NO_PROSE = (
    r"(?ms)^(```|~~~).*?^\1\s*$",
    r"(?s)<details.*?</details>",
    r"(?ms)^## Read more\s*$.*",
    r"(?ms)^\*\*From the field.*?(?:\n\s*\n|\Z)",
    r"(?m)^#+ .*$",
    r"(?m)^ {4,}.*$",
)


def sentences(markdown: str) -> Iterator[str]:
    """The statements in a cell; of a question only what stands before its last colon."""
    for pattern in NO_PROSE:
        markdown = re.sub(pattern, "\n\n", markdown)
    markdown = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", markdown)  # a link's text, not its address
    for block in re.split(r"\n\s*\n|\n(?=- )", markdown):
        plain = " ".join(re.sub(r"(?m)^(?:- |> )|\*", "", block).split())
        for sentence in re.split(r"(?<=[.?!])\s+|(?<=[.?!][)\"'])\s+", plain):
            if sentence.rstrip(")\"'").endswith("?"):
                sentence = sentence.rpartition(": ")[0]
            yield sentence


def outcomes(notebook: NotebookNode) -> list[str]:
    """The sentences of a lesson's prose that have a word of outcome outside of code."""
    prose = (cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return [
        sentence
        for markdown in prose
        for sentence in sentences(markdown)
        if OUTCOME.search(re.sub(r"`[^`]*`", "", sentence))
    ]
