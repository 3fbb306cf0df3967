from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import settings_docs

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "tests" / "README.md"]
# A file in code quotes, and names in code quotes that follow it in brackets.
PLACE = re.compile(
    r"`((?:benchmarks|demandbase_api|demandbase_sandbox|docs|scripts|tap_demandbase|"
    r"target_demandbase|tests)/[\w/]+\.(?:py|md))`(?: \(((?:`\w+`(?:, )?)+)\))?"
)


def test_the_settings_tables_match_about() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert settings_docs.with_tables(text) == text
    assert "| poll_interval_seconds |" in text


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_and_names_in_the_documents_exist(document: Path) -> None:
    for path, names in PLACE.findall(document.read_text(encoding="utf-8")):
        file = ROOT / path
        assert file.is_file(), path
        for name in re.findall(r"\w+", names):
            assert re.search(rf"\b{name}\b", file.read_text(encoding="utf-8")), f"{path}: {name}"


def test_the_messages_of_the_troubleshooting_table_exist() -> None:
    messages = [" ".join(message.split()) for message in messages_of_the_packages()]
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Troubleshooting")[2]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| ")]
    assert len(rows) > 10
    for row in rows[1:]:
        fragments = re.split(r"…|\(HTTP \d+\)|\(.*\)", row)
        for fragment in filter(None, map(str.strip, fragments)):
            assert any(fragment in message for message in messages), fragment


def messages_of_the_packages() -> Iterator[str]:
    """Yield all strings but docstrings; a blank stands for each value that is filled in."""
    for package in ("demandbase_api", "tap_demandbase", "target_demandbase"):
        for file in (ROOT / package).rglob("*.py"):
            nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
            documented = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
            for node in nodes:
                if isinstance(node, ast.JoinedStr):
                    parts = (getattr(part, "value", " ") for part in node.values)
                    yield "".join(part if isinstance(part, str) else " " for part in parts)
                elif id(node) in documented:
                    continue
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield re.sub(r"%\w", " ", node.value)
