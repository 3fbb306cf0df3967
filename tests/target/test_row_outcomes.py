"""Rows that Demandbase does not take: kept, counted, replayed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.errors import JobFailedError
from demandbase_sandbox import Effect, Fault, Sandbox, SandboxOptions
from target_demandbase.errors import ReconciliationError, RejectedRowsError
from tests.target.conftest import ACCOUNT, Load, QuickTarget, record, schema, state

pytestmark = [pytest.mark.thorough, pytest.mark.v1_only("uapi reports no row outcomes")]

BAD = {"domain": "bad.example", "name": "Ada Secret", "engagement_score": "viel"}
LOOSE = {**ACCOUNT, "engagement_score": {"type": ["string", "null"]}}


def mixed(count: int = 5, bad: int = 2) -> list[dict[str, Any]]:
    rows = [
        {"domain": f"d{n}.example", "name": f"N{n}", "engagement_score": "1"} for n in range(count)
    ]
    for number in range(bad):
        rows[number * 2] = {**BAD, "domain": f"bad{number}.example"}
    return [record(**row) for row in rows]


def test_rejected_rows_are_kept_and_end_the_run(sandbox: Sandbox, load: Load) -> None:
    done = load(schema(LOOSE), *mixed(), state(1), failure=RejectedRowsError)
    assert done.states == []
    assert {row["domain"] for row in done.rejects} == {"bad0.example", "bad1.example"}
    kept = done.rejects[0]
    assert kept["name"] == "Ada Secret"
    assert (kept["_reject_field"], kept["_reject_type"]) == ("engagement_score", "invalid_type")
    assert kept["_reject_job_id"] == sandbox.import_jobs()[0]["id"]
    landed = {row["domain"] for row in sandbox.rows("accounts")}
    assert {"d1.example", "d3.example", "d4.example"} <= landed


def test_with_continue_the_state_goes_out(load: Load) -> None:
    done = load(schema(LOOSE), *mixed(), state(1), on_reject="continue")
    assert done.states == [1]
    assert len(done.rejects) == 2


@pytest.mark.parametrize(
    ("limits", "ends"),
    [
        ({"max_rejected_rows": 1}, True),
        ({"max_rejected_rows": 2}, False),
        ({"max_rejected_percent": 39}, True),
        ({"max_rejected_percent": 40}, False),
    ],
)
def test_a_run_bears_only_so_many(load: Load, limits: dict[str, Any], *, ends: bool) -> None:
    failure = RejectedRowsError if ends else None
    messages = (schema(LOOSE), *mixed(), state(1))
    done = load(*messages, failure=failure, on_reject="continue", **limits)
    assert done.states == ([] if ends else [1])
    assert len(done.rejects) == 2


def test_a_rejects_file_can_be_replayed(sandbox: Sandbox, load: Load, tmp_path: Path) -> None:
    done = load(schema(LOOSE), *mixed(), on_reject="continue")
    [path] = done.folder.glob("rejects-*.jsonl")
    corrected = path.read_text(encoding="utf-8").replace("viel", "7.5")
    config = {"api_url": sandbox.url, "access_token": sandbox.token,
              "rejects_path": str(tmp_path / "again")}  # fmt: skip
    QuickTarget(config=config).listen(io.StringIO(corrected))
    rows = {row["domain"]: row for row in sandbox.rows("accounts")}
    assert rows["bad0.example"]["engagement_score"] == "7.5"
    uploaded = sandbox.uploaded(sandbox.import_jobs()[0]["id"])
    assert b"_reject" not in uploaded


def test_the_error_names_fields_kinds_and_files_and_no_value(load: Load) -> None:
    with pytest.raises(RejectedRowsError) as caught:
        load(schema(LOOSE), *mixed(), record(domain=None, name="Ada Secret"))
    sentence = str(caught.value)
    assert "3 of 6 rows of stream accounts were rejected" in sentence
    assert "engagement_score, invalid_type: 2 (rows 1, 3)" in sentence
    assert "the match key domain is null or missing: 1 (row 6)" in sentence
    assert "rejects-" in sentence
    assert "on_reject is fail" in sentence
    assert "Secret" not in sentence
    assert "viel" not in sentence


@pytest.mark.parametrize("base", [0, 1, 2, 3])
def test_row_numbers_of_any_base_find_their_rows(base: int, tmp_path: Path) -> None:
    options = SandboxOptions(pending_seconds=0, processing_seconds=0, row_number_base=base)
    with Sandbox(options) as sandbox:
        config = {"api_url": sandbox.url, "access_token": sandbox.token, "on_reject": "continue",
                  "rejects_path": str(tmp_path), "spool_dir": str(tmp_path)}  # fmt: skip
        text = "".join(json.dumps(each) + "\n" for each in (schema(LOOSE), *mixed(6)))
        QuickTarget(config=config).listen(io.StringIO(text))
        [path] = tmp_path.glob("rejects-*.jsonl")
        kept = [json.loads(line).get("record") for line in path.read_text().splitlines()]
        assert [row["domain"] for row in kept if row] == ["bad0.example", "bad1.example"]


BAD_ROWS = {2: "Viel zu viel", 7: "8,50"}
"""Values of engagement_score in a file whose second column has two lines in each row."""


def told(number: int | None, value: str | None, field: str = "engagement_score") -> dict[str, Any]:
    return {"row_number": number, "value": value, "field": field, "error_type": "odd"}


@pytest.mark.parametrize(
    ("errors", "certain", "kept"),
    [
        ([told(6, "viel zu viel"), told(16, "8,50")], 2, 2),  # physical lines
        ([told(3, "Viel zu"), told(8, "8,5…")], 2, 2),  # cut off
        ([told(1, "8,50"), told(2, "Viel zu viel")], 2, 2),  # in the order of the values
        ([told(3, "Viel zu viel", "name"), told(8, "8,50", "domain")], 2, 2),  # another field
        ([told(9, "Viel zu viel"), told(14, "")], 1, 10),  # base 7
        ([told(5, "Viel zu viel"), told(10, None)], 1, 4),  # base 3, or physical lines
        ([told(3, "***"), told(8, "8,50")], 1, 10),
        ([told(None, None), told(None, None)], 0, 10),
    ],
)
def test_a_rejected_row_is_kept_however_the_server_numbers_and_quotes_it(
    sandbox: Sandbox,
    load: Load,
    errors: list[dict[str, Any]],
    certain: int,
    kept: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = [
        record(domain=f"r{n}.example", name=f"a\n{n}", engagement_score=BAD_ROWS.get(n, f"1{n}"))
        for n in range(10)
    ]
    members = {"errors": errors, "total": len(errors)}
    sandbox.add_fault(Fault("getImportErrors", Effect.ALTER, members=members, times=None))
    done = load(schema(LOOSE), *rows, state(1), on_reject="continue", max_rejected_rows=2)
    by_kind: dict[str, set[str]] = {"odd": set(), "uncorrelated": set()}
    for row in done.rejects:
        by_kind[row["_reject_type"]].add(row["domain"])
    assert (
        by_kind["odd"] <= {"r2.example", "r7.example"} <= by_kind["odd"] | by_kind["uncorrelated"]
    )
    assert (len(by_kind["odd"]), len(done.rejects)) == (certain, kept)
    # Counted is what the server rejected.
    assert (done.states, done.report["streams"]["accounts"]["rows_rejected"]) == ([1], 2)
    remark = f"{kept - certain} rows that may be among them are kept as uncorrelated."
    assert (remark in caplog.text) is (kept > certain)


def test_where_the_row_stays_open_all_that_it_may_be_are_kept(sandbox: Sandbox, load: Load) -> None:
    # The same bad cell in each row: any base fits.
    rows = [record(**{**BAD, "domain": f"b{n}.example"}) for n in range(4)]
    good = [record(domain=f"g{n}.example", name="G", engagement_score="1") for n in range(4)]
    sandbox.add_fault(
        Fault("getImportErrors", Effect.ALTER,
              members={"errors": [{"row_number": 2, "error_type": "odd"}]}, times=None)
    )  # fmt: skip
    sandbox.add_fault(
        Fault("getImportJob", Effect.SHIFT, members={"error_count": -3, "success_count": 3},
              times=None)
    )  # fmt: skip
    done = load(schema(LOOSE), *rows, *good, on_reject="continue")
    assert {row["_reject_type"] for row in done.rejects} == {"uncorrelated"}
    assert [row["domain"] for row in done.rejects] == ["b0.example", "b1.example", "b2.example"]


def test_several_errors_on_one_row_are_one_rejected_row(load: Load) -> None:
    properties = {**LOOSE, "is_target": {"type": "string"}}
    row = record(**BAD, is_target="vielleicht")
    done = load(schema(properties), row, record(domain="g.example"), on_reject="continue")
    assert len(done.rejects) == 1
    assert done.report["streams"]["accounts"]["rows_rejected"] == 1


def test_error_pages_that_shift_lose_nothing(sandbox: Sandbox, load: Load) -> None:
    rows = [record(**{**BAD, "domain": f"b{n}.example"}) for n in range(230)]
    sandbox.add_fault(Fault("getImportErrors", Effect.SHIFT_PAGE, rows=7, after=1, times=2))
    done = load(schema(LOOSE), *rows, on_reject="continue")
    assert len({row["domain"] for row in done.rejects}) == 230


def test_a_failed_job_is_no_success_however_many_rows_it_imported(
    sandbox: Sandbox, load: Load
) -> None:
    sandbox.add_fault(Fault("createImportJob", Effect.JOB_FAILS, rows=3, message="timeout"))
    messages = (schema(LOOSE), *mixed(5, bad=1), state(1))
    with pytest.raises(JobFailedError) as caught:
        load(*messages, on_reject="continue")
    said = str(caught.value)
    assert "failed: timeout. Of 5 rows it imported 2 and rejected 1; it did not process" in said
    assert "the other 2. The rejected rows are also kept in" in said
    assert said.endswith("The next run sends all rows of the job again.")
    sandbox.clear_faults()
    done = load(*messages, on_reject="continue")
    assert done.states == [1]
    assert len(sandbox.import_jobs()) == 2


def test_the_report_of_a_failed_job_adds_up(sandbox: Sandbox, load: Load) -> None:
    sandbox.add_fault(Fault("createImportJob", Effect.JOB_FAILS, rows=3, message="timeout"))
    done = load(
        schema(LOOSE), *mixed(5, bad=1), state(1), failure=JobFailedError, on_reject="continue"
    )
    assert done.states == []
    assert [row["_reject_type"] for row in done.rejects] == ["invalid_type"]
    figures = done.report["streams"]["accounts"]
    assert [figures[f"rows_{name}"] for name in ("sent", "succeeded", "rejected")] == [5, 2, 1]


def test_errors_without_a_row_number_count_each_time_they_are_listed(
    sandbox: Sandbox, load: Load
) -> None:
    odd = {"error_type": "odd", "message": "no such thing"}
    sandbox.add_fault(
        Fault("getImportErrors", Effect.ALTER, members={"errors": [odd, odd], "total": 2},
              times=None)
    )  # fmt: skip
    sandbox.add_fault(
        Fault("getImportJob", Effect.SHIFT, members={"error_count": 2, "success_count": -2},
              times=None)
    )  # fmt: skip
    rows = [record(domain=f"d{n}.example") for n in range(4)]
    done = load(schema(LOOSE), *rows, state(1), on_reject="continue")
    # Two of four; the job does not say which.
    assert [row["_reject_type"] for row in done.rejects] == ["uncorrelated"] * 4
    assert done.states == [1]


def test_a_failed_job_that_says_nothing_of_its_rows_ends_the_run(
    sandbox: Sandbox, load: Load
) -> None:
    sandbox.add_fault(Fault("createImportJob", Effect.JOB_FAILS, message="no luck"))
    done = load(
        schema(), record(domain="a.example"), state(1), failure=JobFailedError,
        on_reject="continue",
    )  # fmt: skip
    assert done.states == []


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"total_rows": 1}, "total_rows is 6, but should be 5 .*by \\+1"),
        ({"success_count": -1}, "success_count \\+ error_count is 4, but should be 5 .*by -1"),
        ({"error_count": 1, "success_count": -1}, "list of row errors is 2, but should be 3"),
    ],
)
def test_figures_that_do_not_add_up_end_the_run(
    sandbox: Sandbox, load: Load, members: dict[str, int], says: str
) -> None:
    for call in ("listImportJobs", "getImportJob"):
        sandbox.add_fault(Fault(call, Effect.SHIFT, members=members, times=None))
    with pytest.raises(ReconciliationError, match=says):
        load(schema(LOOSE), *mixed(), state(1), on_reject="continue")


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"total_rows": 4}, "total_rows is 4, but should be 3"),
        ({"processed_rows": 1}, "processed_rows is 1, but should be 3"),
        ({"success_count": 4}, "success_count is 4, but 3 rows were sent"),
        ({"success_count": -1}, "success_count is -1, but 3 rows were sent"),
        ({"success_count": None, "error_count": None}, "success_count is missing, and so is"),
        ({"entity_type": "people"}, "entity is another than was sent"),
        ({"operation": "insert"}, "operation is another than was sent"),
    ],
)
def test_each_figure_that_disagrees_ends_the_run_and_is_named(
    sandbox: Sandbox, load: Load, members: dict[str, Any], says: str
) -> None:
    spoil(sandbox, members)
    with pytest.raises(ReconciliationError, match=says):
        load(schema(LOOSE), *mixed(3, bad=0), state(1), on_reject="continue")


def test_figures_that_do_not_add_up_lose_no_rejected_row(sandbox: Sandbox, load: Load) -> None:
    spoil(sandbox, {"total_rows": 3})
    good = record(domain="good.example", name="Good", engagement_score="1")
    messages = (schema(LOOSE), record(domain=None), good, record(**BAD), state(1))
    done = load(*messages, on_reject="continue", failure=ReconciliationError)
    assert done.states == []
    assert [row["domain"] for row in done.rejects] == [None, "bad.example"]


@pytest.mark.parametrize("member", ["total_rows", "processed_rows", "success_count", "error_count"])
def test_a_figure_that_is_missing_contradicts_nothing(
    sandbox: Sandbox, load: Load, member: str
) -> None:
    spoil(sandbox, {member: None})
    done = load(schema(LOOSE), *mixed(5), state(1), on_reject="continue")
    assert (done.states, len(done.rejects)) == ([1], 2)


def test_the_list_of_row_errors_is_read_though_the_job_counts_none(
    sandbox: Sandbox, load: Load
) -> None:
    spoil(sandbox, {"success_count": 5, "error_count": 0})
    with pytest.raises(ReconciliationError, match="list of row errors is 2, but should be 0"):
        load(schema(LOOSE), *mixed(5), state(1), on_reject="continue")


def test_figures_that_lag_behind_the_status_are_read_again(sandbox: Sandbox, load: Load) -> None:
    lag = {"success_count": 0, "error_count": 0, "processed_rows": 0}
    sandbox.add_fault(Fault("listImportJobs", Effect.ALTER, items={}, members=lag, times=None))
    sandbox.add_fault(Fault("getImportJob", Effect.ALTER, members=lag, times=2))
    done = load(schema(LOOSE), *mixed(5), state(1), on_reject="continue")
    assert (done.states, len(done.rejects)) == ([1], 2)
    assert len(sandbox.requests("getImportJob")) == 3


def test_a_message_and_another_file_name_are_warnings(
    sandbox: Sandbox, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(sandbox, {"error_message": "3 rows were processed for Lovelace", "file_name": "x.csv"})
    done = load(schema(LOOSE), *mixed(3, bad=0), state(1))
    assert done.states == [1]
    assert "is completed with a message: *** rows were processed for ***" in caplog.text
    assert "names another file than accounts-" in caplog.text
    assert "Lovelace" not in caplog.text


def test_types_and_fields_that_are_no_identifiers_are_masked_and_at_most_50_are_counted(
    sandbox: Sandbox,
    load: Load,
    caplog: pytest.LogCaptureFixture,
) -> None:
    count = 60
    errors = [
        {"row_number": n + 1, "field": f"ada{n}@secret.example", "error_type": f"kind_{n}"}
        for n in range(count)
    ]
    errors[0] |= {"field": "engagement_score", "error_type": "Ada Secret"}
    spoil(sandbox, {"success_count": 0, "error_count": count})
    members = {"errors": errors, "total": count}
    sandbox.add_fault(Fault("getImportErrors", Effect.ALTER, members=members, times=None))
    done = load(schema(LOOSE), *mixed(count, bad=0), state(1), on_reject="continue")
    assert len(done.rejects) == count
    kinds = done.report["streams"]["accounts"]["rejected_by"]
    assert len(kinds) == 50
    assert {"field": "engagement_score", "type": "***", "rows": 1} in kinds
    assert {"field": "***", "type": "kind_1", "rows": 1} in kinds
    assert kinds[0] == {"field": None, "type": "other", "rows": count - 49}
    said = caplog.text + json.dumps(done.report)
    assert "ecret" not in said


def spoil(sandbox: Sandbox, members: dict[str, Any]) -> None:
    """Change members of all jobs in all responses."""
    sandbox.add_fault(Fault("listImportJobs", Effect.ALTER, items={}, members=members, times=None))
    sandbox.add_fault(Fault("getImportJob", Effect.ALTER, members=members, times=None))


def test_nothing_of_a_record_is_in_the_log(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        load(schema(LOOSE), *mixed(), record(domain=None, name="Ada Secret"),
             on_reject="continue")  # fmt: skip
    assert "Secret" not in caplog.text
    assert "viel" not in caplog.text
    assert "bad0" not in caplog.text
