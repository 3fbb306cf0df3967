"""Batches: their order, their columns, their sizes, and what is in their files."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from demandbase_sandbox import Effect, Fault, Sandbox
from target_demandbase.errors import (
    MappingError,
    RejectedRowsError,
)
from tests.target.conftest import ACCOUNT, Load, record, schema, state
from tests.target.sent_files import files


def test_the_last_row_of_a_key_wins_and_the_others_are_counted(
    sandbox: Sandbox, load: Load
) -> None:
    rows = [("a", "1"), ("b", "1"), ("a", "2"), ("a", "3"), ("c", "1")]
    done = load(schema(), *(record(domain=f"{key}.example", name=name) for key, name in rows))
    assert files(sandbox) == [
        [
            {"domain": "b.example", "name": "1"},
            {"domain": "a.example", "name": "3"},
            {"domain": "c.example", "name": "1"},
        ]
    ]
    assert done.report["streams"]["accounts"]["rows_deduplicated"] == 2


def test_null_empty_and_absent_are_three_things(sandbox: Sandbox, load: Load) -> None:
    rows: list[dict[str, Any]] = [{"name": None}, {"name": ""}, {}, {"name": "x"}]
    messages = [record(domain=f"d{n}.example", **row) for n, row in enumerate(rows)]
    load(schema(), *messages)
    assert [list(file[0]) for file in files(sandbox)] == [["domain", "name"], ["domain"]]
    assert [row["name"] for row in files(sandbox)[0]] == ["", "", "x"]


def test_omit_never_sends_a_blank(sandbox: Sandbox, load: Load) -> None:
    rows: list[dict[str, Any]] = [{"name": None}, {"name": ""}, {}, {"name": "x"}]
    messages = [record(domain=f"d{n}.example", **row) for n, row in enumerate(rows)]
    load(schema(), *messages, on_null="omit")
    assert [list(file[0]) for file in files(sandbox)] == [["domain"], ["domain", "name"]]
    cells = [cell for file in files(sandbox) for row in file for cell in row.values()]
    assert "" not in cells


def test_many_sets_of_columns_are_warned_of(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    names = ["name", "notes", "engagement_score", "segment", "industry"]
    properties = {name: {"type": ["string", "null"]} for name in ["domain", *names]}
    messages = [
        record(domain=f"d{n}.example", **{name: "1" for b, name in enumerate(names) if n >> b & 1})
        for n in range(12)
    ]
    load(schema(properties), *messages)
    assert "takes 12 jobs" in caplog.text


def test_a_schema_change_sends_the_old_rows_first(sandbox: Sandbox, load: Load) -> None:
    wider = {**ACCOUNT, "segment": {"type": ["string", "null"]}}
    load(
        schema(), record(domain="a.example", name="old"),
        schema(wider), record(domain="a.example", name="new", segment="s"),
    )  # fmt: skip
    assert [file[0]["name"] for file in files(sandbox)] == ["old", "new"]
    assert next(r for r in sandbox.rows("accounts") if r["domain"] == "a.example")["name"] == "new"


def test_batches_go_in_order_and_states_with_them(sandbox: Sandbox, load: Load) -> None:
    messages: list[dict[str, Any]] = [schema()]
    for number in range(7):
        messages += [record(domain=f"d{number}.example"), state(number)]
    done = load(*messages, batch_size_rows=2)
    assert [[row["domain"] for row in file] for file in files(sandbox)] == [
        ["d0.example", "d1.example"], ["d2.example", "d3.example"],
        ["d4.example", "d5.example"], ["d6.example"],
    ]  # fmt: skip
    assert done.states == sorted(done.states)
    assert done.states[-1] == 6
    assert len(done.states) > 1


def test_a_state_never_passes_a_row_that_was_not_taken(sandbox: Sandbox, load: Load) -> None:
    sandbox.add_fault(
        Fault("listImportJobs", Effect.SHIFT, members={"success_count": -1}, after=2, times=None)
    )
    messages: list[dict[str, Any]] = [schema()]
    for number in range(6):
        messages += [record(domain=f"d{number}.example"), state(number)]
    done = load(*messages, batch_size_rows=1, failure=Exception)
    landed = sum(job["status"] == "completed" for job in sandbox.import_jobs())
    assert all(value < landed for value in done.states)
    assert len(done.states) < 6


@pytest.mark.parametrize(("limit", "jobs"), [(10_000, 1), (700, 3), (130, None)])
def test_a_file_that_is_too_large_is_halved_down_to_one_row(
    sandbox: Sandbox, load: Load, limit: int, jobs: int | None
) -> None:
    sandbox.add_fault(Fault("uploadImportFile", Effect.TOO_LARGE, bytes=limit, times=None))
    rows = [record(domain=f"d{n}.example", notes="x" * 100) for n in range(8)]
    rows[5] = record(domain="long.example", notes="y" * 1000)
    if limit == 10_000:
        assert load(schema(), *rows, state(1)).states == [1]
        assert len(sandbox.import_jobs()) == jobs
        return
    done = load(schema(), *rows, state(1), failure=RejectedRowsError)
    landed = {row["domain"] for row in sandbox.rows("accounts")}
    kept = {row["domain"] for row in done.rejects}
    assert all(row["_reject_type"] == "too_large" for row in done.rejects)
    assert "long.example" in kept
    assert {row["record"]["domain"] for row in rows} <= landed | kept
    assert not landed & kept
    waiting = [job for job in sandbox.import_jobs() if job["status"] == "pending"]
    assert waiting == []


def test_the_size_is_counted_in_encoded_bytes(sandbox: Sandbox, load: Load) -> None:
    rows = [record(domain=f"d{n}.example", notes="ä" * 400) for n in range(6)]
    load(schema(), *rows, max_file_bytes=2048)
    sizes = [job["file_size_bytes"] for job in sandbox.import_jobs()]
    assert max(sizes) <= 2048
    assert len(sizes) == 3


@pytest.mark.parametrize("settings", [{}, {"add_record_metadata": True}])
def test_deletions_are_counted_and_never_sent(
    sandbox: Sandbox, load: Load, caplog: pytest.LogCaptureFixture, settings: dict[str, Any]
) -> None:
    gone = "2026-01-01T00:00:00Z"
    done = load(
        schema(), record(domain="a.example"), record(domain="b.example", _sdc_deleted_at=gone),
        {"type": "ACTIVATE_VERSION", "stream": "accounts", "version": 1},
        record(domain="c.example", _sdc_deleted_at=gone),
        **settings,
    )  # fmt: skip
    assert [[row["domain"] for row in file] for file in files(sandbox)] == [["a.example"]]
    assert done.report["streams"]["accounts"]["deletions_skipped"] == 2
    assert caplog.text.count("cannot delete") == 1


def test_columns_that_are_mostly_blank_are_warned_of(
    load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [record(domain=f"d{n}.example", name=None, notes="x") for n in range(120)]
    load(schema(), *rows)
    assert "are empty in name" in caplog.text
    caplog.clear()
    load(schema(), *rows, on_null="omit")
    assert "are empty in" not in caplog.text


CELLS = st.text(st.sampled_from("a\0\r\n\"',;|\t \ufeff\u2028\x85😀é=+-@#\\"), max_size=12)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cells=st.lists(st.none() | CELLS | st.text(max_size=40), min_size=1, max_size=8))
def test_any_text_arrives_as_it_was_sent(
    sandbox: Sandbox, load: Load, cells: list[str | None]
) -> None:
    sandbox.reset()
    load(schema(), *(record(domain=f"d{n}.example", notes=text) for n, text in enumerate(cells)))
    [job] = sandbox.import_jobs()
    rows = list(
        csv.reader(io.StringIO(sandbox.uploaded(job["id"]).decode(), newline=""), strict=True)
    )
    assert [row[1] for row in rows[1:]] == [text or "" for text in cells]


def test_a_type_that_cannot_fit_fails_at_the_schema(sandbox: Sandbox, load: Load) -> None:
    properties = {"domain": {"type": "string"}, "engagement_score": {"type": "object"}}
    with pytest.raises(MappingError, match=r"engagement_score .*is object, .*\(number\)"):
        load(schema(properties), record(domain="a.example", engagement_score={"x": 1}))
    assert not sandbox.import_jobs()


def test_the_report_says_what_fills_what_and_how_to_set_it(
    load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        load(schema(), record(domain="a.example"))
    said = caplog.text
    assert "entity_map:" in said
    assert "accounts: accounts" in said
    assert "domain" in said
    assert '"metric":"record_count","value":1' in said
