"""The rule of what counts as success, over all combinations of statuses and figures."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from demandbase_api.models import ImportJob, ImportOperation, JobStatus
from target_demandbase.verdict import (
    SentFile,
    Verdict,
    contradiction,
    contradictory,
    failed,
    imported_rows,
    verdict,
)

ROWS = 10
SENT = SentFile("job-1", "accounts", "accounts", ImportOperation.UPSERT, ROWS)

TOTALS = (None, 9, ROWS, -1)
PROCESSED = (None, 0, 4, ROWS)
COUNTS = (None, -1, 0, 3, 7, ROWS, 12)
LISTED = (None, 0, 3, ROWS)

# By hand: success_count, error_count and rows in the list, for ten rows.
AGREEING = {
    (0, 10, 10), (7, 3, 3), (10, 0, 0), (0, 10, None), (7, 3, None), (10, 0, None),
    (0, None, 10), (7, None, 3), (10, None, 0),
    (0, None, None), (3, None, None), (7, None, None), (10, None, None),
    (None, 10, 10), (None, 3, 3), (None, 0, 0),
    (None, 0, None), (None, 3, None), (None, 7, None), (None, 10, None),
    (3, 7, None),
    (None, None, None),
}  # fmt: skip


@pytest.mark.parametrize("status", JobStatus)
def test_only_a_completed_job_whose_figures_all_agree_succeeded(status: JobStatus) -> None:
    seen = 0
    for total, processed, good, bad, listed in product(TOTALS, PROCESSED, COUNTS, COUNTS, LISTED):
        job = ImportJob(
            "job-1", status, total_rows=total, processed_rows=processed,
            success_count=good, error_count=bad,
        )  # fmt: skip
        agrees = (
            total in {None, ROWS} and processed in {None, ROWS} and (good, bad, listed) in AGREEING
        )
        match status:
            case JobStatus.COMPLETED:
                expected = Verdict.SUCCEEDED if agrees else Verdict.CONTRADICTORY
                assert (contradiction(job, SENT, listed) is None) is agrees
            case JobStatus.FAILED:
                expected = Verdict.FAILED
            case JobStatus.CANCELLED:
                expected = Verdict.CANCELLED
            case _:
                expected = Verdict.CONTRADICTORY
                found = contradiction(job, SENT, listed)
                assert found is not None
                assert found.figure == "status"
        assert verdict(job, SENT, listed) is expected, job
        seen += 1
    assert seen == 4 * 4 * 7 * 7 * 4


@pytest.mark.parametrize("operation", ImportOperation)
@pytest.mark.parametrize("reported", [None, *ImportOperation, "UPSERT", "merge"])
@pytest.mark.parametrize("entity", [None, "accounts", "Accounts", "people"])
@pytest.mark.parametrize("job_id", ["job-1", "job-2"])
def test_another_job_entity_or_operation_is_a_contradiction(
    operation: ImportOperation, reported: str | None, entity: str | None, job_id: str
) -> None:
    sent = SentFile("job-1", "accounts", "accounts", operation, ROWS)
    job = ImportJob(
        job_id, JobStatus.COMPLETED, entity=entity, operation=reported, success_count=ROWS
    )
    agrees = (
        job_id == "job-1"
        and entity in {None, "accounts", "Accounts"}
        and (reported is None or reported.lower() == operation.value)
    )
    assert (verdict(job, sent, 0) is Verdict.SUCCEEDED) is agrees
    found = contradiction(job, sent, 0)
    if found is not None:
        assert found.figure in {"id", "entity", "operation"}
        for is_add_only, next_run in (
            (False, "sends all rows of the job again"),
            (True, "reads the job again and does not add its rows a second time"),
        ):
            said = str(contradictory(replace(sent, is_add_only=is_add_only), found))
            assert f"disagree: {found.figure} is another than was sent. " in said
            assert f"The next run {next_run}." in said


@pytest.mark.parametrize(
    ("good", "bad", "processed", "listed", "imported"),
    [
        (90, 10, 100, 10, 90),
        (90, 10, 100, None, 90),
        (90, None, 100, None, None),
        (90, -1, None, None, None),
        (90, 10, None, 10, 90),
        (90, None, 100, 10, 90),
        (0, 0, 0, 0, 0),
        (90, 10, 100, 9, None),
        (90, 10, 50, 10, None),
        (0, 0, 6, 0, None),
        (-1, 1, 0, 1, None),
        (3001, 0, 3001, 0, None),
        (None, 10, None, 10, None),
    ],
)
def test_a_failed_job_is_told_with_figures_that_add_up(
    good: int | None,
    bad: int | None,
    processed: int | None,
    listed: int | None,
    imported: int | None,
) -> None:
    sent = SentFile("job-1", "accounts", "accounts", ImportOperation.UPSERT, 3000)
    job = ImportJob(
        "job-1", JobStatus.FAILED, processed_rows=processed, success_count=good, error_count=bad,
        error_message="timeout",
    )  # fmt: skip
    assert imported_rows(job, sent, listed) == imported
    assert imported_rows(replace(job, total_rows=3000), sent, listed) == imported
    assert imported_rows(replace(job, total_rows=2999), sent, listed) is None
    said = str(failed(job, sent, listed))
    assert "failed: timeout. " in said
    assert said.endswith("The next run sends all rows of the job again.")
    if listed is None:
        assert "imported" not in said
    elif imported is None:
        assert "does not say consistently how many of the 3000 rows it imported" in said
    else:
        assert f"Of 3000 rows it imported {imported} and rejected {listed}; " in said
        assert f"the other {3000 - imported - listed}." in said


@pytest.mark.parametrize(
    ("is_add_only", "says"),
    [(False, "sends all rows of the job again"), (True, "stops and says what to check")],
)
@pytest.mark.parametrize("listed", [None, 0])
def test_the_next_run_after_a_failed_job(
    is_add_only: bool,  # noqa: FBT001
    says: str,
    listed: int | None,
) -> None:
    sent = SentFile(
        "job-1", "accounts", "accounts", ImportOperation.UPSERT, 5, is_add_only=is_add_only
    )
    job = ImportJob("job-1", JobStatus.FAILED)
    said = str(failed(job, sent, listed))
    assert says in said
    if listed is not None:
        # It has added no row, so that nothing keeps the next run from adding them.
        empty = replace(job, success_count=0, error_count=0, processed_rows=0)
        assert "sends all rows of the job again" in str(failed(empty, sent, listed))
    assert ("see the import audit" in said) is (listed is None)
