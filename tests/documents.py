"""Reads the project's Markdown documents: their links, anchors and code blocks."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from mdit_py_plugins.anchors import anchors_plugin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it.token import Token

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("deploy/*/README.md")),
    ROOT / "tests/README.md",
]


@dataclass(frozen=True)
class Block:
    """One fenced block of code.

    Attributes:
        language: First word after the fence.
        heading: Text of the heading above it.
        before: Text of the paragraph before it.
        line: Number of its first line of code, from 1.
        text: Its code.
    """

    language: str
    heading: str
    before: str
    line: int
    text: str


def links(document: Path) -> Iterator[str]:
    """Yield the targets of all links and pictures."""
    for token in _tokens(document):
        for child in token.children or ():
            if target := child.attrGet("href") or child.attrGet("src"):
                yield str(target)


def anchors(document: Path) -> set[str]:
    """Return the anchors of all headings, as GitHub names them."""
    return {str(token.attrGet("id")) for token in _tokens(document) if token.type == "heading_open"}


def blocks(document: Path, *languages: str) -> Iterator[Block]:
    """Yield the fenced blocks in one of the languages."""
    heading = paragraph = ""
    tokens = _tokens(document)
    for before, token in itertools.pairwise(tokens):
        if before.type == "heading_open":
            heading = token.content
        elif before.type == "paragraph_open":
            paragraph = token.content
        elif token.type == "fence" and token.info in languages:
            assert token.map is not None
            yield Block(token.info, heading, paragraph, token.map[0] + 2, token.content)


def code_spans(document: Path) -> Iterator[str]:
    """Yield the texts in code quotes, also those in tables."""
    for token in _tokens(document):
        for child in token.children or ():
            if child.type == "code_inline":
                yield child.content


def _tokens(document: Path) -> list[Token]:
    parser = MarkdownIt().enable("table").use(anchors_plugin, max_level=6)
    return parser.parse(document.read_text(encoding="utf-8"))
