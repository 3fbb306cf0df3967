from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


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
