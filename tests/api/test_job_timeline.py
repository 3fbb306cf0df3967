from __future__ import annotations

from demandbase_api.jobs.job_timeline import MAX_SPANS, JobPhase, JobTimeline
from demandbase_api.models import ExportJob, JobStatus
from tests.api.fake_exports import FakeClock

PENDING, RUNNING = JobStatus.PENDING, JobStatus.PROCESSING
COMPLETED, FAILED, CANCELLED = JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED


class Watch:
    """A timeline with one job, and a clock that is moved by hand."""

    def __init__(self, status: JobStatus = PENDING) -> None:
        self.clock = FakeClock()
        self.timeline = JobTimeline(self.clock)
        self.began = self.clock.now()
        self.timeline.add(ExportJob("1", status), "accounts")

    def after(self, seconds: float, status: JobStatus) -> Watch:
        self.clock.sleep(seconds)
        self.timeline.saw(ExportJob("1", status))
        return self

    def enters(self, seconds: float, phase: JobPhase) -> Watch:
        self.clock.sleep(seconds)
        self.timeline.enter("1", phase)
        return self

    def leaves(self, seconds: float) -> Watch:
        self.clock.sleep(seconds)
        self.timeline.leave("1")
        return self

    @property
    def phases(self) -> list[tuple[str, float, float]]:
        [job] = self.timeline.jobs()
        return [
            (span.phase.value, round(span.begin - self.began, 6), round(span.end - self.began, 6))
            for span in job.spans
        ]


def test_a_job_waits_until_it_was_last_seen_to_wait() -> None:
    watch = Watch().after(2, PENDING).after(3, RUNNING).after(4, COMPLETED)
    assert watch.phases == [("waiting", 0, 2), ("running", 2, 9)]


def test_a_job_that_was_not_seen_to_run_ran_after_the_last_poll() -> None:
    assert Watch().after(2, PENDING).after(3, COMPLETED).phases == [
        ("waiting", 0, 2),
        ("running", 2, 5),
    ]
    assert Watch().after(3, FAILED).phases == [("running", 0, 3)]


def test_a_job_that_is_cancelled_while_it_waits_never_ran() -> None:
    assert Watch().after(3, CANCELLED).phases == [("waiting", 0, 3)]


def test_an_unknown_status_changes_nothing() -> None:
    watch = Watch().after(1, RUNNING).after(2, JobStatus.UNKNOWN).after(3, COMPLETED)
    assert watch.phases == [("running", 0, 6)]


def test_a_job_that_has_ended_already_is_only_read() -> None:
    watch = Watch(COMPLETED).enters(5, JobPhase.DOWNLOADING).enters(1, JobPhase.READING).leaves(2)
    assert watch.phases == [("downloading", 5, 6), ("reading", 6, 8)]


def test_an_import_waits_again_after_its_upload() -> None:
    watch = Watch().enters(1, JobPhase.UPLOADING)
    watch.after(1, PENDING)  # a poll meanwhile
    watch.leaves(2).after(3, PENDING).after(4, RUNNING).after(5, COMPLETED)
    assert watch.phases == [
        ("waiting", 0, 1),
        ("uploading", 1, 4),
        ("waiting", 4, 7),
        ("running", 7, 16),
    ]


def test_a_wait_for_nothing_does_not_divide_a_phase() -> None:
    watch = Watch(COMPLETED).enters(0, JobPhase.READING)
    watch.enters(2, JobPhase.DOWNLOADING).enters(0.0002, JobPhase.READING).leaves(3)
    assert watch.phases == [("reading", 0, 5.0002)]


def test_the_number_of_phases_is_bounded() -> None:
    watch = Watch(COMPLETED)
    for _ in range(MAX_SPANS):
        watch.enters(1, JobPhase.DOWNLOADING).enters(1, JobPhase.READING)
    watch.leaves(1)
    assert len(watch.phases) == MAX_SPANS
    assert watch.phases[-1][2] == 2 * MAX_SPANS + 1


def test_what_goes_on_at_the_end_of_the_run_ends_then() -> None:
    watch = Watch().after(1, RUNNING)
    watch.clock.sleep(9)
    assert watch.phases == [("running", 0, 10)]


def test_a_job_that_is_no_longer_polled_has_no_phase() -> None:
    watch = Watch().after(1, RUNNING)
    watch.timeline.stop("1")
    watch.clock.sleep(9)
    assert watch.phases == [("running", 0, 1)]


def test_jobs_are_described_once_they_are_known() -> None:
    watch = Watch().after(1, RUNNING)
    watch.timeline.add(ExportJob("1", PENDING), "other")  # again
    watch.timeline.describe("1", "people", is_adopted=True, rows=3)
    watch.timeline.saw(ExportJob("2", RUNNING))  # unknown
    [job] = watch.timeline.jobs()
    assert (job.stream, job.status, job.is_adopted, job.rows) == ("people", "processing", True, 3)
