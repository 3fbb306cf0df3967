"""What becomes of odd values on their way into the file."""

from __future__ import annotations

import pytest

from demandbase_sandbox import Sandbox
from tests.target.conftest import Load, landed, people, person, state
from tests.target.people_files import files

pytestmark = pytest.mark.thorough


def test_nul_characters_are_removed_and_counted(
    sandbox: Sandbox, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [person(1), person("\0" + "2", title="a\0b\0"), person(3, title="\0")]
    done = load(people(), *rows, state(1))
    assert done.states == [1]
    assert landed(sandbox).keys() == {"1", "2", "3"}
    assert landed(sandbox)["2"]["title"] == "ab"
    assert not landed(sandbox)["3"]["title"]
    assert not any("\0" in cell for file in files(sandbox) for row in file for cell in row.values())
    # Number 2 has one in its key and one in its address.
    assert "5 NUL characters were removed from records of stream people" in caplog.text
