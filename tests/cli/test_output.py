"""Tables at a terminal and elsewhere."""

from __future__ import annotations

import io
import re
import sys

import pytest

from demandbase_cli.output import Table, show
from tests.cli.conftest import Demandbase

ID = "0a1945bf-29ec-4143-a8f7-caf212deabee"
LONG = "a sentence that is long enough to need more than one line at a terminal"
TABLE = Table("Jobs", ("Id", "Rows", "Says"), [(ID, 1200, LONG), (ID, None, "")], "none")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(monkeypatch: pytest.MonkeyPatch, columns: int | None) -> list[str]:
    out = io.StringIO() if columns is None else Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("COLUMNS", str(columns or 20))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    show({}, TABLE, as_json=False)
    return [line.rstrip() for line in out.getvalue().splitlines()]


CODE = re.compile(r"\x1b\[[0-9;]*m")


def test_what_is_copied_is_never_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = printed(monkeypatch, 100)
    assert any(ID in line and "1,200" in line for line in wide)
    assert max(len(CODE.sub("", line)) for line in wide) <= 100
    narrow = printed(monkeypatch, 50)
    assert narrow.count(f"  Id    {ID}") == 1
    assert narrow.count(f"  Id  {ID}") == 1
    assert "  Rows  1,200" in narrow


def test_an_output_that_is_no_terminal_has_whole_lines_and_no_codes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = printed(monkeypatch, None)
    assert any(ID in line and LONG in line for line in lines)
    assert not any("\x1b" in line for line in lines)


def test_the_help_lists_the_commands_of_a_night_in_lines(demandbase: Demandbase) -> None:
    lines = demandbase("--help", sources=()).out.splitlines()
    assert "  After a bad one:  runs, rejects, jobs, job, journal" in lines
