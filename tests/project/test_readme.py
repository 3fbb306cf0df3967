from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "tests" / "README.md"]
# A file in code quotes, and names in code quotes that follow it in brackets.
PLACE = re.compile(
    r"`((?:benchmarks|demandbase_api|demandbase_sandbox|docs|scripts|tap_demandbase|"
    r"target_demandbase|tests)/[\w/]+\.(?:py|md))`(?: \(((?:`\w+`(?:, )?)+)\))?"
)


def test_the_settings_tables_match_about() -> None:
    spec = importlib.util.spec_from_file_location(
        "settings_docs", ROOT / "scripts" / "settings_docs.py"
    )
    assert spec is not None
    assert spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert tables.with_tables(text) == text
    assert "| poll_interval_seconds |" in text


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_and_names_in_the_documents_exist(document: Path) -> None:
    for path, names in PLACE.findall(document.read_text(encoding="utf-8")):
        file = ROOT / path
        assert file.is_file(), path
        for name in re.findall(r"\w+", names):
            assert re.search(rf"\b{name}\b", file.read_text(encoding="utf-8")), f"{path}: {name}"
