from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from demandbase_api.jobs.export_journal import ExportJournal
from demandbase_api.models import NO_ZONE, DateRange, ExportJob, ExportRequest, JobStatus
from tests.api.state_folders import export_journal

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAYS = DateRange("seen_at", date(2026, 1, 1), date(2026, 1, 2))
REQUEST = ExportRequest("accounts", ("id", "name"), DAYS)
JOB = ExportJob("job-1", JobStatus.COMPLETED, created_at=NOON)


def test_a_job_is_begun_until_it_is_delivered_or_given_up(tmp_path: Path) -> None:
    def later_run() -> ExportJournal:
        return export_journal(tmp_path / "jobs")

    assert not later_run().is_begun(REQUEST, JOB)
    later_run().begin(REQUEST, JOB.id)
    assert later_run().is_begun(REQUEST, JOB)
    assert later_run().is_begun(replace(REQUEST, fields=("name", "id")), JOB)
    assert not later_run().is_begun(REQUEST, replace(JOB, id="job-2"))
    later_run().give_up(REQUEST, JOB.id)
    assert not later_run().is_begun(REQUEST, JOB)
    later_run().begin(REQUEST, "job-2")
    later_run().deliver([REQUEST])
    assert not later_run().is_begun(REQUEST, replace(JOB, id="job-2"))
    assert later_run().is_unusable(REQUEST, JOB.id)


def test_a_delivered_job_is_not_taken_for_one_whose_creation_was_lost(tmp_path: Path) -> None:
    journal = export_journal(tmp_path)
    journal.post(REQUEST, NOON)
    journal.begin(REQUEST, JOB.id)
    journal.deliver([REQUEST])
    export_journal(tmp_path).post(REQUEST, NOON + timedelta(seconds=30))
    journal = export_journal(tmp_path)
    assert journal.is_unusable(REQUEST, JOB.id)
    assert not journal.is_unusable(REQUEST, "job-2")


def test_the_ids_of_delivered_jobs_do_not_pile_up(tmp_path: Path) -> None:
    for number in range(100):
        journal = export_journal(tmp_path)
        journal.begin(REQUEST, f"job-{number}")
        journal.deliver([REQUEST])
    [path] = tmp_path.iterdir()
    assert path.stat().st_size < 1000
    assert export_journal(tmp_path).is_unusable(REQUEST, "job-99")


@pytest.mark.parametrize(
    ("created_at", "is_begun"),
    [
        (NOON, True),
        (NOON - timedelta(seconds=59), True),
        (NOON - timedelta(seconds=61), False),
        (None, False),
        (NOON.replace(tzinfo=NO_ZONE), False),
    ],
)
def test_a_run_that_was_killed_before_the_response_is_known_by_the_time(
    tmp_path: Path, created_at: datetime | None, *, is_begun: bool
) -> None:
    export_journal(tmp_path).post(REQUEST, NOON)
    job = replace(JOB, created_at=created_at)
    assert export_journal(tmp_path).is_begun(REQUEST, job) is is_begun
    assert not export_journal(tmp_path).is_begun(replace(REQUEST, entity="people"), job)
    export_journal(tmp_path).begin(REQUEST, "job-2")
    assert not export_journal(tmp_path).is_begun(REQUEST, job)


@pytest.mark.parametrize(
    "other",
    [
        replace(REQUEST, ids=("1",)),
        replace(REQUEST, date_range=replace(DAYS, end=date(2026, 1, 3))),
        replace(REQUEST, sources=("x",)),
    ],
)
def test_requests_and_apis_have_entries_of_their_own(tmp_path: Path, other: ExportRequest) -> None:
    export_journal(tmp_path, "https://one").begin(REQUEST, JOB.id)
    assert export_journal(tmp_path, "https://one").is_begun(REQUEST, JOB)
    assert not export_journal(tmp_path, "https://one").is_begun(other, JOB)
    assert not export_journal(tmp_path, "https://two").is_begun(REQUEST, JOB)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"jobs": 1, "posted_at": 5, "unusable": [], "delivered": []}']
)
def test_a_damaged_file_proves_nothing(tmp_path: Path, text: str) -> None:
    export_journal(tmp_path).begin(REQUEST, JOB.id)
    [path] = tmp_path.iterdir()
    path.write_text(text, encoding="utf-8")
    journal = export_journal(tmp_path)
    assert not journal.is_begun(REQUEST, JOB)
    assert not journal.is_unusable(REQUEST, JOB.id)
    journal.begin(REQUEST, JOB.id)
    assert export_journal(tmp_path).is_begun(REQUEST, JOB)


def test_old_files_are_removed(tmp_path: Path) -> None:
    old = replace(REQUEST, entity="people")
    export_journal(tmp_path).begin(old, "job-0")
    [path] = tmp_path.iterdir()
    (tmp_path / "other.json").touch()
    for hours, is_kept in [(23, True), (47, True), (49, False)]:
        os.utime(path, (time.time() - hours * 3600,) * 2)
        export_journal(tmp_path, keep_hours=48).begin(REQUEST, JOB.id)
        assert path.exists() is is_kept
    assert (tmp_path / "other.json").exists()


def test_an_unusable_folder_is_warned_about_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    journal = export_journal(tmp_path / "file" / "jobs")
    journal.begin(REQUEST, JOB.id)
    journal.begin(REQUEST, "job-2")
    assert caplog.text.count("cannot be recorded in state_dir") == 1
    assert journal.is_begun(REQUEST, JOB)  # within this run
