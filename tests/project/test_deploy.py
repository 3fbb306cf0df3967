"""The table of guarantees in docs/deploy.md: each cell names tests that exist."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from itertools import product

import pytest

from tests.documents import ROOT
from tests.project.test_docs import PLACE

PAGE = ROOT / "docs" / "deploy.md"
COLUMNS = "ABCD"
Cell = tuple[int, str]


def section(title: str) -> str:
    text = PAGE.read_text(encoding="utf-8")
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def guarantees() -> dict[int, list[str]]:
    """Return the rows of the table: what is guaranteed, and a text for each column."""
    lines = section("What holds where").splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line[:1] == "|"]
    head, _, *body = rows
    assert [cell[:1] for cell in head[2:]] == list(COLUMNS)
    return {int(number): texts for number, *texts in body}


def named_tests() -> dict[Cell, list[str]]:
    """Return the tests of each cell as ``file::name``."""
    found: dict[Cell, list[str]] = {}
    number = 0
    for line in section("Tests of the table").splitlines():
        if title := re.fullmatch(r"\*\*(\d+)\. (.+)\*\*", line):
            number = int(title[1])
            assert title[2] == guarantees()[number][0]
        elif item := re.fullmatch(r"- ([A-Z]): (.+)", line):
            assert not PLACE.sub("", item[2]).strip(", ")  # nothing that is not understood
            found[number, item[1]] = [
                f"{file}::{name}"
                for file, names in PLACE.findall(item[2])
                for name in re.findall(r"\w+", names)
            ]
    return found


@cache
def functions_in(file: str) -> frozenset[str]:
    """Return the names of the tests in a file that pytest collects and does not skip."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    classes = [each for each in tree.body if isinstance(each, ast.ClassDef)]
    bodies = [tree.body, *(each.body for each in classes if each.name.startswith("Test"))]
    functions = [each for body in bodies for each in body if isinstance(each, ast.FunctionDef)]
    return frozenset(
        each.name
        for each in functions
        if not any("skip" in ast.dump(mark) for mark in each.decorator_list)
    )


def test_every_guarantee_has_an_answer_for_every_place() -> None:
    found = guarantees()
    assert list(found) == list(range(1, len(found) + 1))
    assert len(found) > 10
    for _, *cells in found.values():
        assert len(cells) == len(COLUMNS)
        assert all(re.match(r"(yes|no|with)\b", cell) for cell in cells), cells


def test_every_cell_names_tests_that_exist() -> None:
    named = named_tests()
    assert named.keys() == set(product(guarantees(), COLUMNS))
    for cell, tests in named.items():
        assert tests, cell
        for file, name in (each.split("::") for each in tests):
            assert re.fullmatch(r"tests/(\w+/)+test_\w+\.py", file), file
            assert name.startswith("test_")
            assert name in functions_in(file), f"{cell}: {file} has no {name}"


@pytest.mark.slow
def test_the_tests_of_the_table_are_collected() -> None:
    named = {each for tests in named_tests().values() for each in tests}
    files = sorted({each.split("::")[0] for each in named})
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-m", "", "-o", "addopts=",
         "--import-mode=importlib", "-p", "no:schemathesis", "-p", "no:cacheprovider", "-v",
         *files],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    collected = re.findall(r"^(\S+?\.py)::(?:\w+::)?(\w+)", done.stdout, re.MULTILINE)
    assert named <= {f"{file}::{name}" for file, name in collected}


def test_the_warnings_that_deserve_an_alert_exist() -> None:
    packages = ("demandbase_api", "tap_demandbase", "target_demandbase")
    files = [file for package in packages for file in (ROOT / package).rglob("*.py")]
    code = "".join(file.read_text(encoding="utf-8") for file in files)
    messages = re.sub(r'"\s+f?"', "", code)  # literals that follow each other
    phrases = re.findall(r"^\| `([^`|]+)` \|", section("What to alert on"), re.MULTILINE)
    warnings = [phrase for phrase in phrases if not phrase.startswith("demandbase ")]
    assert len(warnings) > 3
    for phrase in warnings:
        assert phrase in messages, phrase
