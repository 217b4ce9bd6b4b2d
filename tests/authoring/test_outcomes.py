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

LESSONS = {
    path.stem: path
    for path in (find_course(Path(__file__)).root / "content" / "lessons").glob("*.py")
}
OUTCOMES: dict[str, list[dict[str, str]]] = tomllib.loads(
    Path(__file__).with_name("outcomes.toml").read_text(encoding="utf-8")
)
KINDS = ("condition", "printed", "why")

#: Words by which a sentence says how a comparison came out, or what shape a result has. "Large"
#: and "slow" are in every paragraph and compare nothing; "no longer" tells of time that has
#: passed; each lesson begins by how long its measurements take.
OUTCOME = re.compile(
    r"""\b(?:
    (?:fast|slow|cheap|dear|quick|soon)(?:er|est) | closer | as\ (?:fast|cheap|dear|hard|slow)
    | (?:is|are|and|too|not)\ (?:fast|quick|slow|cheap|dear|free) | the\ slow\ one
    | better | best | worse | worst | twice | doubl(?:es?|ed) | halv(?:es?|ed) | times\ (?:as|the)
    | (?<!no\ )longer | longest | shorter | larger | smaller | higher | lower | far\ more | fewer
    | flat | bends? | rises? | falls? | drops? | grows? | apart | differs? | ends\ near
    | hardly | barely | nearly | next\ to\ nothing | little(?!'s) | (?<!a\ )few | most\ of
    | more\ than | less(?!\ than\ a\ minute) | the\ more\ of | more\ (?:CPU|memory|bytes)
    | no\ (?:difference|gain|effect) | useless | helps? | spares? | saves? | enough | short\ all
    | out\ of\ the\ way | worth\ (?:it|mending) | gain(?:s|ed)? | wins? | pays?
    | costs?\ (?:it\ )?(?:CPU|time) | costs?(?:\ [\w']+){0,3}\ (?:more|less|nothing|same|part)
    | (?:comes?|is|are)\ (?:first|last|ahead)
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


def conditions(code: list[str]) -> str:
    """The texts of all conditions in the cells that give a verdict, one a line."""
    keys: list[ast.expr | None] = []
    for cell in code:
        if "lab.verdict(" in cell:
            for node in ast.walk(ast.parse(cell)):
                keys += node.keys if isinstance(node, ast.Dict) else []
                keys += [node.slice] if isinstance(node, ast.Subscript) else []
    return "\n".join(_literal(key) for key in keys)


def _literal(key: ast.expr | None) -> str:
    """The text of a string, with the names in the braces of an f-string; else nothing."""
    if isinstance(key, ast.JoinedStr):
        return "".join(map(_literal, key.values))
    if isinstance(key, ast.FormattedValue):
        return f"{{{ast.unparse(key.value)}}}"
    return str(key.value) if isinstance(key, ast.Constant) else ""


def faults(notebook: NotebookNode, entries: list[dict[str, str]]) -> list[str]:
    """What is wrong between a lesson's sentences and its entries, and what to do about it."""
    found, code = outcomes(notebook), code_sources(notebook)
    tested = conditions(code)
    listed = [entry["begins"] for entry in entries]
    unlisted = [each for each in found if not any(map(each.startswith, listed))]
    return [
        f"Nothing bears this sentence: {each!r}\n"
        "  Compute it: write the verdict's condition, or the cell that prints it with its interval,"
        "\n  and name it in outcomes.toml. If it needs none, say there why. Or mend the sentence."
        for each in unlisted
    ] + [fault for entry in entries for fault in _of_entry(entry, found, code, tested)]


def _of_entry(
    entry: dict[str, str], found: list[str], code: list[str], tested: str
) -> Iterator[str]:
    begins = entry["begins"]
    hits = sum(each.startswith(begins) for each in found)
    if hits != 1:
        yield f"{hits} sentences begin with {begins!r}, not one: change or delete its entry."
    kinds = [kind for kind in KINDS if kind in entry]
    if len(kinds) != 1 or len(entry) != 2:
        yield f"The entry of {begins!r} needs one of {', '.join(KINDS)}, and no other key."
    if "condition" in entry and entry["condition"] not in tested:
        yield f"No verdict of the lesson has this condition: {entry['condition']!r} ({begins!r})"
    if "printed" in entry and not any(_flat(entry["printed"]) in _flat(cell) for cell in code):
        yield f"No code cell of the lesson holds this: {entry['printed']!r} ({begins!r})"
    if "why" in entry and not 3 <= len(entry["why"].split()) <= 8:
        yield f"Say why in three to eight words: {entry['why']!r} ({begins!r})"


def _flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("stem", sorted({*LESSONS, *OUTCOMES}))
def test_every_outcome_in_prose_has_what_bears_it(stem: str) -> None:
    assert stem in LESSONS, f"outcomes.toml lists {stem}, and there is no such lesson."
    notebook = make_notebook(LESSONS[stem].read_text(encoding="utf-8"), stem)
    found = faults(notebook, OUTCOMES.get(stem, []))
    assert not found, "\n".join([f"{stem}:", *found])


MADE_UP = """\
# %% [markdown]
# ## The pool is faster
#
# A pool opens once. With it *two* requests
# are twice as fast ([slower](slower.ipynb)). Is it faster? Here `faster` is a name.
# It costs nothing: is that so?
#
# <details><summary>Which one?</summary>
#
# The second is faster.
#
# </details>
#
# - One item is cheaper.
# - Another one is here.
#
# ```
# course faster
# ```
#
# ## Read more
#
# - A page on why it is faster.
#
# **From the field.** Theirs was twice as fast.

# %%
print(f"With a pool: {speedup} as fast")

# %%
lab.verdict(1, "holds", "So it is.", {f"{n} requests are 2 times as fast": speedup.above(2)})
"""
SENTENCES = [
    "With it two requests are twice as fast (slower).",
    "It costs nothing",
    "One item is cheaper.",
]
ENTRIES = [
    {"begins": "With it two", "condition": "{n} requests are 2 times"},
    {"begins": "It costs", "why": "a made-up exception"},
    {"begins": "One item", "printed": "{speedup} as  fast"},
]


def made_up(entries: list[dict[str, str]]) -> str:
    """What is wrong with these entries for the made-up lesson."""
    return "\n".join(faults(make_notebook(MADE_UP, "99_made_up"), entries))


def test_statements_are_found_and_questions_headings_folds_and_code_are_not() -> None:
    assert outcomes(make_notebook(MADE_UP, "99_made_up")) == SENTENCES


def test_what_is_borne_has_no_fault() -> None:
    assert made_up(ENTRIES) == ""


def test_a_sentence_without_an_entry_is_told_what_to_do() -> None:
    assert "write the verdict's condition" in made_up(ENTRIES[1:])


def test_an_entry_whose_sentence_is_gone_fails() -> None:
    gone = {"begins": "No such sentence", "why": "there is no sentence"}
    assert "0 sentences begin with 'No such sentence'" in made_up([*ENTRIES, gone])


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ({"condition": "requests are 3 times"}, "No verdict of the lesson has this condition"),
        ({"condition": "So it is."}, "No verdict of the lesson has this condition"),
        ({"printed": "{speedup} as slow"}, "No code cell of the lesson holds this"),
        ({"why": "because"}, "Say why in three to eight words"),
        ({}, "needs one of condition, printed, why"),
    ],
)
def test_an_entry_that_bears_nothing_fails(entry: dict[str, str], fault: str) -> None:
    assert fault in made_up([{"begins": "With it two", **entry}, *ENTRIES[1:]])
