"""Values that a field needs in another form than the tap sends them: dates and whole numbers."""

from __future__ import annotations

from typing import Any

import pytest

from demandbase_sandbox import Sandbox
from tests.target.conftest import PERSON, Load, Start, landed, people, person, state

DATE_TIME = {"type": ["string", "null"], "format": "date-time"}
NUMBER = {"type": ["number", "null"]}
ONE_BY_ONE = {"enum": [0, 3.0, -7, None, 10]}


def typed(*, slow: bool) -> dict[str, Any]:
    number = {**NUMBER, **ONE_BY_ONE} if slow else NUMBER
    return people({**PERSON, "last_contacted_on": DATE_TIME, "lead_score": number})


def rows() -> list[dict[str, Any]]:
    return [
        person(1, last_contacted_on="2026-01-02T00:00:00Z", lead_score=3.0),
        person(2, last_contacted_on="2026-01-03T02:00:00+02:00", lead_score=-7),
        person(3, last_contacted_on=None, lead_score=None),
        person(4, last_contacted_on="2026-01-04T00:00:00.000000", lead_score=10.0),
        person(5, last_contacted_on="2026-01-05 00:00:00+00", lead_score=0),
    ]


@pytest.mark.v1_only("uapi does not say which type a field has")
@pytest.mark.parametrize("slow", [False, True])
def test_midnight_is_a_date_and_whole_numbers_have_no_fraction(
    sandbox: Sandbox, load: Load, *, slow: bool
) -> None:
    assert load(typed(slow=slow), *rows(), state({"n": 5})).state == {"n": 5}
    found = {
        number: (row["last_contacted_on"], row["lead_score"])
        for number, row in landed(sandbox).items()
    }
    assert found == {
        "1": ("2026-01-02", "3"), "2": ("2026-01-03", "-7"), "3": (None, None),
        "4": ("2026-01-04", "10"), "5": ("2026-01-05", "0"),
    }  # fmt: skip


@pytest.mark.v1_only("uapi does not say which type a field has")
def test_the_command_sends_both_forms_alike(sandbox: Sandbox, start: Start) -> None:
    with start() as run:
        run.feed(typed(slow=False), *rows(), state({"n": 5}))
        assert run.process.wait(30) == 0, run.errors
    [job] = sandbox.import_jobs()
    content = sandbox.uploaded(job["id"])
    assert b"T00:00:00" not in content
    assert b'"3"' in content
