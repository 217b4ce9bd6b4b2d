"""The glossary's terms, linked where a lesson first uses them."""

import re
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

GLOSSARY = "docs/glossary.md"
#: What is no prose: code, links and their addresses, HTML; what is clicked to unfold an answer; and
#: headings, which a table of contents repeats.
_NOT_PROSE = re.compile(
    r"(```.*?```|`[^`]*`|!?\[[^\]]*\](?:\([^)]*\)|\[[^\]]*\])|^\[[^\]]+\]:\s+\S+"
    r"|<summary>.*?</summary>|<[^>]+>|^#+ [^\n]*$)",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Term:
    """A heading of the glossary: the words that mean it, and its anchor."""

    words: tuple[str, ...]
    anchor: str

    @property
    def pattern(self) -> re.Pattern[str]:
        """Finds any of the words, their plurals too, as whole words."""
        either = "|".join(re.escape(word) for word in self.words)
        return re.compile(rf"(?<![\w-])(?:{either})s?(?![\w-])", re.IGNORECASE)


def read_terms(root: Path) -> list[Term]:
    """The terms in the glossary's order: ``## Percentile (p50, p90)`` is three words for one."""
    text = (root / GLOSSARY).read_text(encoding="utf-8")
    return [_term(heading) for heading in re.findall(r"^## (.+)$", text, re.MULTILINE)]


def link_terms(notebook: NotebookNode, terms: list[Term]) -> None:
    """Link the first use of each term in a notebook's texts."""
    left = list(terms)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts = _NOT_PROSE.split(cell.source)  # every second one is no prose
            for index in range(0, len(parts), 2):
                parts[index], left = _linked(parts[index], left)
            cell.source = "".join(parts)


def _term(heading: str) -> Term:
    name, _, others = heading.rstrip(")").partition(" (")
    words = (name, *(word.strip() for word in others.split(",") if word.strip()))
    anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
    return Term(words, anchor)


def _linked(prose: str, terms: list[Term]) -> tuple[str, list[Term]]:
    """The prose with links, and the terms that it does not hold."""
    found: list[tuple[int, int, Term]] = []
    for term in terms:
        match = term.pattern.search(prose)
        if match and not any(
            match.start() < end and begin < match.end() for begin, end, _ in found
        ):
            found.append((match.start(), match.end(), term))
    for begin, end, term in sorted(found, key=lambda each: each[0], reverse=True):
        link = f"[{prose[begin:end]}](../{GLOSSARY}#{term.anchor})"
        prose = prose[:begin] + link + prose[end:]
    linked = {term for *_, term in found}
    return prose, [term for term in terms if term not in linked]
