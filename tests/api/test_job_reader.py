"""How the status of jobs is read: from the list, or one by one."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from demandbase_api.deadline import Deadline
from demandbase_api.errors import (
    ApiError,
    ApiOperation,
    AuthenticationError,
    CallBudgetError,
    NotFoundError,
    PermissionDeniedError,
    ServerError,
    UnexpectedResponseError,
    UnreachableError,
)
from demandbase_api.jobs.job_reader import JobReader, JobReading
from demandbase_api.models import ExportJob, JobStatus
from tests.api.fake_exports import FakeClock, FakeExports

LIST, GET = ApiOperation.LIST_EXPORTS, ApiOperation.GET_EXPORT


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def api(clock: FakeClock) -> FakeExports:
    return FakeExports(clock)


class Reading:
    """Reads with a reader that is kept."""

    def __init__(self, api: FakeExports) -> None:
        self.api = api
        self.reader = JobReader("export", api, api.clock)

    def __call__(self, *jobs: ExportJob, seconds: float = 60) -> JobReading[ExportJob]:
        return self.reader.read(jobs, Deadline.after(self.api.clock, seconds))


@pytest.fixture
def read(api: FakeExports) -> Reading:
    return Reading(api)


def test_one_call_of_the_list_reads_all_jobs(api: FakeExports, read: Reading) -> None:
    jobs = [api.put(f"job-{number}", age=200) for number in range(5)]
    reading = read(*jobs)
    assert {job.status for job in reading.jobs.values()} == {JobStatus.COMPLETED}
    assert len(reading.jobs) == 5
    assert api.calls == [(LIST, "")]


@pytest.mark.parametrize(
    ("ages", "items"),
    [
        # Up to an hour before the oldest job that is read, and one item to notice that.
        ([10], 3),
        ([10, 4000], 5),
    ],
)
def test_the_list_is_read_up_to_the_oldest_job(
    api: FakeExports, read: Reading, ages: list[float], items: int
) -> None:
    for age in (1800, 4000 + 1800, 10_000, 10_001, 10_002):
        api.put(f"other-{age}", age=age)
    jobs = [api.put(f"job-{age}", age=age) for age in ages]
    api.unlisted = {jobs[-1].id}
    read(*jobs)
    assert api.items_read == items


def test_the_list_is_read_to_its_end_for_a_job_without_a_creation_time(
    api: FakeExports, read: Reading
) -> None:
    api.put("other", age=8000)
    old = api.put("old", age=90_000)
    read(api.put("new", age=10), replace(old, created_at=None))
    assert api.items_read == 3
    assert api.calls == [(LIST, "")]


def test_reading_stops_where_all_are_found(api: FakeExports, read: Reading) -> None:
    job = api.put("job-1")
    for number in range(50):
        api.put(f"other-{number}", age=60 + number)
    read(job)
    assert api.items_read == 1


@pytest.mark.parametrize(
    "error",
    [
        ServerError(LIST, "had an internal error"),
        UnreachableError(LIST, "broke the connection", nothing_sent=False),
        PermissionDeniedError(LIST, "denied permission"),
        NotFoundError(LIST, "found nothing"),
        UnexpectedResponseError(LIST, "gave an unexpected response"),
    ],
)
def test_without_the_list_jobs_are_read_one_by_one(
    api: FakeExports, read: Reading, error: ApiError, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = [api.put("job-1", age=200), api.put("job-2", age=1)]
    api.fail(LIST, error)
    with caplog.at_level(logging.WARNING):
        reading, again = read(*jobs), read(*jobs)
    statuses = [reading.jobs[job.id].status for job in jobs]
    assert statuses == [JobStatus.COMPLETED, JobStatus.PROCESSING]
    assert again.jobs == reading.jobs
    assert not reading.errors
    assert caplog.text.count("The list of export jobs cannot be read") == 1
    api.failures.clear()
    read(*jobs)
    assert api.count(GET) == 4


@pytest.mark.parametrize("operation", [LIST, GET])
@pytest.mark.parametrize("kind", [AuthenticationError, CallBudgetError])
def test_after_an_error_of_every_call_there_is_no_other_call(
    api: FakeExports, read: Reading, operation: ApiOperation, kind: type[ApiError]
) -> None:
    jobs = [api.put("job-1"), api.put("job-2")]
    api.unlisted = {job.id for job in jobs}
    api.fail(operation, kind(operation, "declined"))
    if kind is CallBudgetError:
        with pytest.raises(kind):
            read(*jobs)
    else:
        reading = read(*jobs)
        assert {type(reading.errors[job.id]) for job in jobs} == {kind}
        assert not reading.jobs
    assert api.calls[-1][0] is operation
    assert api.count(operation) == 1


def test_a_silent_list_takes_half_of_the_time(
    api: FakeExports, clock: FakeClock, read: Reading
) -> None:
    job = api.put("job-1", age=200)
    api.silent = {LIST}
    api.fail(LIST, UnreachableError(LIST, "sent nothing", nothing_sent=False))
    began = clock.time
    assert read(job, seconds=60).jobs[job.id].status is JobStatus.COMPLETED
    assert clock.time - began == 30
    # It is left alone for as long as it was waited for.
    clock.time += 29
    read(job)
    assert api.count(LIST) == 1
    clock.time += 1
    read(job)
    assert api.count(LIST) == 2


def test_the_list_is_not_read_before_the_server_allows(
    api: FakeExports, clock: FakeClock, read: Reading
) -> None:
    job = api.put("job-1")
    api.fail(LIST, ServerError(LIST, "had an internal error", retry_after=800))
    assert read(job).pause == 0  # a job alone can be read again at once
    clock.time += 799
    read(job)
    assert (api.count(LIST), api.count(GET)) == (1, 2)
    clock.time += 1
    read(job)
    assert api.count(LIST) == 2


def test_the_pause_grows_with_the_calls_and_is_no_less_than_the_server_asks(
    api: FakeExports, read: Reading
) -> None:
    jobs = [api.put(f"job-{number}") for number in range(3)]
    api.pause = 5.0
    assert read(*jobs).pause == 5
    api.unlisted = {job.id for job in jobs}
    assert read(*jobs).pause == 15
    api.fail(GET, ServerError(GET, "had an internal error", retry_after=40))
    assert read(*jobs).pause == 40


def test_an_error_of_one_job_is_not_that_of_another(api: FakeExports, read: Reading) -> None:
    jobs = [api.put("job-1"), api.put("job-2"), api.put("job-3")]
    api.unlisted = {"job-1", "job-2"}
    api.fail(GET, PermissionDeniedError(GET, "denied permission"), "job-1")
    api.fail(GET, NotFoundError(GET, "no"), "job-2")
    reading = read(*jobs)
    assert set(reading.jobs) == {"job-3"}
    assert isinstance(reading.errors["job-1"], PermissionDeniedError)
    assert isinstance(reading.errors["job-2"], NotFoundError)
