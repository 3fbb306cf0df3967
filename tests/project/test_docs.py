from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import settings_docs

from benchmarks import page as figures_page
from benchmarks.report import caption
from tests.documents import DOCUMENTS, ROOT, anchors, links

pytestmark = pytest.mark.thorough

# A file in code quotes, and names in code quotes that follow it in brackets.
PLACE = re.compile(
    r"`((?:benchmarks|demandbase_api|demandbase_sandbox|docs|scripts|tap_demandbase|"
    r"target_demandbase|tests)/[\w/]+\.(?:py|md))`(?: \(((?:`\w+`(?:, )?)+)\))?"
)


def test_the_settings_tables_match_about() -> None:
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert settings_docs.with_tables(text) == text
    assert "| `poll_interval_seconds` | `2` |" in text


def test_the_figures_are_those_of_the_last_full_run() -> None:
    text = figures_page.PAGE.read_text(encoding="utf-8")
    results = json.loads(figures_page.RESULTS.read_text(encoding="utf-8"))
    lines = figures_page.lines_of(results)
    assert figures_page.with_section(text, lines, caption(results)) == text
    assert f"| {lines[0].what} | {lines[0].against} |" in text


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_links_of_the_documents_lead_somewhere(document: Path) -> None:
    for link in links(document):
        address = urlsplit(link)
        if address.scheme:
            assert address.scheme == "https", link
            continue
        target = document.parent / unquote(address.path) if address.path else document
        assert target.exists(), link
        assert not address.fragment or address.fragment in anchors(target), link


def test_every_page_is_in_the_navigation() -> None:
    config = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    listed = set(_pages(tomllib.loads(config)["project"]["nav"]))
    assert listed == {page.name for page in ROOT.glob("docs/*.md")}


def _pages(entry: object) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, list):
        for item in entry:
            yield from _pages(item)
    elif isinstance(entry, dict):
        yield from _pages(list(entry.values()))


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    for name in ("Makefile", "zensical.toml", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    (tmp_path / ".venv").symlink_to(ROOT / ".venv", target_is_directory=True)
    build = ["make", "--assume-old=.venv/.ready", "docs"]
    done = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for page in ROOT.glob("docs/*.md"):
        html = (tmp_path / "site" / page.with_suffix(".html").name).read_text(encoding="utf-8")
        # What a browser loads comes with the site. Links to other pages are no such address.
        assert not re.search(r'(?:src|<link[^>]*href)="?https?:', html), page.name
        assert "site.css" in html
    assert (tmp_path / "site" / "site.css").exists()

    (tmp_path / "docs" / "index.md").write_text("[a](streams.md#none)", encoding="utf-8")
    done = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "anchor does not exist" in done.stdout + done.stderr


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_and_names_in_the_documents_exist(document: Path) -> None:
    for path, names in PLACE.findall(document.read_text(encoding="utf-8")):
        file = ROOT / path
        assert file.is_file(), path
        for name in re.findall(r"\w+", names):
            assert re.search(rf"\b{name}\b", file.read_text(encoding="utf-8")), f"{path}: {name}"


def test_the_messages_of_the_troubleshooting_table_exist() -> None:
    messages = [" ".join(message.split()) for message in messages_of_the_packages()]
    table = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| ")]
    assert len(rows) > 10
    for row in rows:
        if row == " The last line contains ":
            continue
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
