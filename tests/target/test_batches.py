"""Batches: their order, their columns, their sizes, and what is in their files."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from demandbase_api.errors import JobFailedError, UnexpectedResponseError
from demandbase_sandbox import Effect, Fault, Sandbox
from target_demandbase.errors import MappingError, ReconciliationError, RejectedRowsError
from tests.examples import examples
from tests.target.conftest import PERSON, Load, landed, people, person, state
from tests.target.people_files import CREATE, UPLOAD, files, rows_sent

pytestmark = pytest.mark.thorough

BLANKS: list[dict[str, Any]] = [{"title": None}, {"title": ""}, {}, {"title": "x"}]


def test_null_empty_and_absent_are_three_things(sandbox: Sandbox, load: Load) -> None:
    load(people(), *(person(n, title="old") for n in range(4)))
    load(people(), *(person(n, **row) for n, row in enumerate(BLANKS)))
    titles = [landed(sandbox)[str(n)]["title"] for n in range(4)]
    assert titles == [None, None, "old", "x"]
    assert [[row.get("title") for row in file] for file in files(sandbox)[1:]] == [
        ["", "", "x"], [None],
    ]  # fmt: skip


def test_omit_never_sends_a_blank(sandbox: Sandbox, load: Load) -> None:
    load(people(), *(person(n, **row) for n, row in enumerate(BLANKS)), on_null="omit")
    assert ["title" in file[0] for file in files(sandbox)] == [False, True]
    assert "" not in [cell for file in files(sandbox) for row in file for cell in row.values()]
    assert landed(sandbox).keys() == {"0", "1", "2", "3"}


def test_the_last_row_of_a_record_wins_and_the_others_are_counted(
    sandbox: Sandbox, load: Load
) -> None:
    rows = [(1, "1"), (2, "1"), (1, "2"), (1, "3"), (3, "1")]
    done = load(people(), *(person(number, title=title) for number, title in rows))
    [file] = files(sandbox)
    assert [(row["person_id"], row["title"]) for row in file] == [
        ("n2", "1"), ("n1", "3"), ("n3", "1"),
    ]  # fmt: skip
    assert done.report["streams"]["people"]["rows_deduplicated"] == 2


def test_many_sets_of_columns_are_warned_of(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    names = ["title", "phone", "lead_score", "last_contacted_on"]
    columns = {**PERSON, **{name: {"type": ["string", "null"]} for name in names}}
    messages = [
        person(n, **{name: None for b, name in enumerate(names) if n >> b & 1}) for n in range(12)
    ]
    load(people(columns), *messages)
    assert "needs 12 import jobs" in caplog.text


def test_batches_are_cut_by_rows_and_by_bytes(sandbox: Sandbox, load: Load) -> None:
    rows = [person(n, title="ü" * 100) for n in range(25)]
    load(people(), *rows, batch_size_rows=10)
    assert rows_sent(sandbox) == [10, 10, 5]
    assert [row["person_id"] for file in files(sandbox) for row in file] == [
        row["record"]["person_id"] for row in rows
    ]
    sandbox.reset()
    load(people(), *rows, max_file_bytes=1024)
    sizes = [len(sandbox.uploaded(job["id"])) for job in sandbox.import_jobs()]
    assert 800 < max(sizes) <= 1024
    assert sum(rows_sent(sandbox)) == 25


def test_a_schema_change_sends_the_old_rows_first(sandbox: Sandbox, load: Load) -> None:
    narrow = {name: PERSON[name] for name in PERSON if name != "phone"}
    load(people(narrow), person(1, title="old"), people(), person(1, title="new", phone="1"))
    assert [file[0]["title"] for file in files(sandbox)] == ["old", "new"]
    assert landed(sandbox)["1"]["title"] == "new"


def test_states_go_out_in_order_each_behind_its_rows(sandbox: Sandbox, load: Load) -> None:
    messages = [people()]
    for number in range(7):
        messages += [person(number), state(number)]
    done = load(*messages, batch_size_rows=2, max_concurrent_jobs=3)
    assert rows_sent(sandbox) == [2, 2, 2, 1]
    assert done.states == sorted(done.states)
    assert done.states[-1] == 6
    assert len(done.states) > 1
    assert [row["person_id"] for file in files(sandbox) for row in file] == [
        f"n{number}" for number in range(7)
    ]


@pytest.mark.v1_only("uapi gives no figures of a job")
def test_a_state_never_passes_a_row_that_was_not_taken(sandbox: Sandbox, load: Load) -> None:
    fewer = Fault("getImportJob", Effect.SHIFT, members={"success_count": -1}, after=2, times=None)
    sandbox.add_fault(fewer)
    messages: list[dict[str, Any]] = [people()]
    for number in range(6):
        messages += [person(number), state(number)]
    done = load(*messages, batch_size_rows=1, failure=ReconciliationError)
    taken = sum(job["status"] == "completed" for job in sandbox.import_jobs())
    assert all(value < taken for value in done.states)
    assert len(done.states) < 6


def test_a_state_never_passes_a_job_that_failed(sandbox: Sandbox, load: Load) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.JOB_FAILS, after=2, times=None))
    messages = [people()]
    for number in range(6):
        messages += [person(number), state(number)]
    done = load(*messages, batch_size_rows=1, failure=JobFailedError)
    assert done.states[-1] == 1
    sandbox.clear_faults()
    assert load(*messages, batch_size_rows=1).states[-1] == 5
    assert landed(sandbox).keys() == set("012345")


@pytest.mark.v1_only("no refusal for a file's size is published for uapi but a 413")
@pytest.mark.parametrize("limit", [4000, 1200])
def test_a_file_that_is_too_large_is_halved_down_to_one_row(
    sandbox: Sandbox, load: Load, limit: int
) -> None:
    sandbox.add_fault(Fault(UPLOAD, Effect.TOO_LARGE, bytes=limit, times=None))
    rows = [person(n, title="x" * 1200) for n in range(8)]
    rows[5] = person(5, title="y" * 5000)
    done = load(people(), *rows, state(1), failure=RejectedRowsError)
    kept = {row["person_id"][1:] for row in done.rejects}
    assert all(row["_reject_type"] == "too_large" for row in done.rejects)
    assert "5" in kept
    assert set("01234567") == landed(sandbox).keys() | kept
    assert not landed(sandbox).keys() & kept
    assert not [job for job in sandbox.import_jobs() if job["status"] == "pending"]


def test_a_file_that_is_found_too_large_is_sent_in_halves(sandbox: Sandbox, load: Load) -> None:
    sandbox.add_fault(Fault(UPLOAD, Effect.STATUS, status=413))
    rows = (person(n, title="x" * 1200) for n in range(4))
    assert load(people(), *rows, state(1)).states == [1]
    assert rows_sent(sandbox) == [2, 2]
    assert landed(sandbox).keys() == {"0", "1", "2", "3"}


def test_a_row_that_is_too_large_alone_is_kept(sandbox: Sandbox, load: Load) -> None:
    sandbox.add_fault(Fault(UPLOAD, Effect.STATUS, status=413, times=2))
    rows = (person(1, title="x" * 1200), person(2, title="y"))
    done = load(people(), *rows, state(1), on_reject="continue")
    assert done.states == [1]
    assert [row["_reject_type"] for row in done.rejects] == ["too_large"]
    assert landed(sandbox).keys() == {"2"}


@pytest.mark.parametrize(
    ("call", "jobs", "says"),
    [
        (UPLOAD, 7, r"found even a file of \d{3} bytes too large .*\(HTTP 413\)\. Check"),
        (
            CREATE,
            1,
            r"found the request itself too large .*\(HTTP 413\)\. Check the setting api_url",
        ),
    ],
)
def test_a_server_that_finds_everything_too_large_ends_the_run(
    sandbox: Sandbox, load: Load, call: str, jobs: int, says: str
) -> None:
    sandbox.add_fault(Fault(call, Effect.STATUS, status=413, times=None))
    rows = [person(n, title="x" * 30) for n in range(500)]
    with pytest.raises(UnexpectedResponseError, match=says):
        load(people(), *rows, state(1), on_reject="continue")
    assert len(sandbox.requests(CREATE)) <= jobs
    sandbox.clear_faults()
    done = load(people(), *rows, state(1), on_reject="continue")
    assert (done.states, done.rejects, len(landed(sandbox))) == ([1], [], 500)


@pytest.mark.parametrize("settings", [{}, {"add_record_metadata": True}])
def test_deletions_are_counted_and_never_sent(
    sandbox: Sandbox, load: Load, caplog: pytest.LogCaptureFixture, settings: dict[str, Any]
) -> None:
    gone = "2026-01-01T00:00:00Z"
    done = load(
        people(), person(1), person(2, _sdc_deleted_at=gone),
        {"type": "ACTIVATE_VERSION", "stream": "people", "version": 1},
        person(3, _sdc_deleted_at=gone),
        **settings,
    )  # fmt: skip
    assert landed(sandbox).keys() == {"1"}
    assert done.report["streams"]["people"]["deletions_skipped"] == 2
    assert caplog.text.count("cannot delete") == 1


def test_columns_that_are_mostly_blank_are_warned_of(
    load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [person(n, title=None, phone="x") for n in range(120)]
    load(people(), *rows)
    assert "are empty in " in caplog.text
    caplog.clear()
    load(people(), *rows, on_null="omit")
    assert "are empty in" not in caplog.text


CELLS = st.text(st.sampled_from("a\0\r\n\"',;|\t \ufeff\u2028\x85😀é=+-@#\\"), max_size=12)


@examples(15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=st.lists(st.none() | CELLS | st.text(max_size=40), min_size=1, max_size=8))
def test_any_text_arrives_as_it_was_sent(
    sandbox: Sandbox, load: Load, cells: list[str | None]
) -> None:
    sandbox.reset()
    load(people(), *(person(n, title=text) for n, text in enumerate(cells)))
    [file] = files(sandbox)
    assert [row["title"] for row in file] == [(text or "").replace("\0", "") for text in cells]


@pytest.mark.v1_only("uapi does not tell the types of columns")
def test_a_type_that_cannot_fit_fails_at_the_schema(sandbox: Sandbox, load: Load) -> None:
    columns = {**PERSON, "lead_score": {"type": "object"}}
    with pytest.raises(MappingError, match=r"lead_score .*is object, .*\(integer\)"):
        load(people(columns), person(1, lead_score={"x": 1}))
    assert not sandbox.requests(CREATE)


def test_the_log_says_what_fills_what(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        load(people(), person(1))
    assert "person_id (string) → " in caplog.text
    assert '"metric":"record_count","value":1' in caplog.text
