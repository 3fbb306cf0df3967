from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from demandbase_api.jobs.export_reuse import EXPIRY_MARGIN, DeliveredJob, newest_reusable
from demandbase_api.jobs.job_reader import recent
from demandbase_api.models import ExportJob, JobStatus

NOW = datetime(2026, 6, 1, tzinfo=UTC)
AGE = timedelta(hours=6)

moments = st.none() | st.integers(-10, 10).map(lambda hours: NOW + timedelta(hours=hours))
jobs = st.builds(
    ExportJob,
    id=st.uuids().map(str),
    status=st.sampled_from(JobStatus),
    created_at=moments,
    expires_at=moments,
)


@given(st.lists(moments), moments.filter(bool))
def test_recent_jobs_are_complete_in_any_order(
    created: list[datetime | None], since: datetime
) -> None:
    listed = [
        ExportJob(str(number), JobStatus.PENDING, created_at=moment)
        for number, moment in enumerate(created)
    ]
    ordered = sorted(listed, key=lambda job: job.created_at or NOW, reverse=True)
    expected = {job.id for job in listed if job.created_at is None or job.created_at >= since}
    assert {job.id for job in recent(ordered, since) if job.created_at} == {
        job.id for job in listed if job.created_at and job.created_at >= since
    }
    unordered = [ExportJob("old", JobStatus.PENDING, created_at=since), *listed]
    if any(a.created_at and a.created_at > since for a in listed[:1]):
        assert expected <= {job.id for job in recent(unordered, since)}


def test_a_sorted_list_is_read_up_to_its_first_older_job() -> None:
    read: list[int] = []

    def listed() -> object:
        for hours in range(100):
            read.append(hours)
            yield ExportJob(str(hours), JobStatus.FAILED, created_at=NOW - timedelta(hours=hours))

    assert len(list(recent(listed(), NOW - AGE))) == 7  # type: ignore[arg-type]
    assert read[-1] == 7


@given(st.lists(jobs), st.none() | st.builds(DeliveredJob, st.just("x"), moments.filter(bool)))
def test_a_reused_job_can_be_downloaded_and_is_no_older_than_allowed(
    listed: list[ExportJob], delivered: DeliveredJob | None
) -> None:
    used = [job.id for job in listed[::3]]
    found = newest_reusable(
        listed, matches=lambda _: True, now=NOW, max_age=AGE, delivered=delivered, used=used
    )
    if found is None:
        return
    assert found.created_at is not None
    assert NOW - found.created_at <= AGE
    assert found.id not in used
    assert found.status not in {JobStatus.FAILED, JobStatus.CANCELLED}
    if found.status is JobStatus.COMPLETED and found.expires_at is not None:
        assert found.expires_at > NOW + EXPIRY_MARGIN
    if delivered is not None:
        assert found.created_at >= delivered.created_at
    nothing_matches = newest_reusable(
        listed, matches=lambda _: False, now=NOW, max_age=AGE, delivered=delivered, used=used
    )
    assert nothing_matches is None
