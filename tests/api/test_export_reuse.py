from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demandbase_api.deadline import NO_DEADLINE
from demandbase_api.errors import (
    ApiError,
    ApiOperation,
    AuthenticationError,
    NotFoundError,
    ServerError,
)
from demandbase_api.jobs.export_journal import ExportJournal
from demandbase_api.jobs.export_reuse import (
    EXPIRY_MARGIN,
    DeliveredJob,
    DeliveredJobs,
    ExportReuse,
    ListedJobs,
    may_be_created,
    may_reuse,
)
from demandbase_api.jobs.job_reader import recent
from demandbase_api.models import NO_ZONE, ExportJob, ExportRequest, JobStatus
from tests.api.fake_exports import FakeClock, FakeExports

NOW = datetime(2026, 6, 1, tzinfo=UTC)
AGE = timedelta(hours=6)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)

moments = st.none() | st.integers(-10, 10).map(lambda hours: NOW + timedelta(hours=hours))


@given(st.lists(moments), moments.filter(bool))
def test_recent_jobs_are_complete_in_either_order(
    created: list[datetime | None], since: datetime
) -> None:
    listed = [
        ExportJob(str(number), JobStatus.PENDING, created_at=moment)
        for number, moment in enumerate(sorted(created, key=lambda moment: moment or NOW))
    ]
    expected = {job.id for job in listed if job.created_at and job.created_at >= since}
    for ordered in (listed, listed[::-1]):
        assert {job.id for job in recent(ordered, since) if job.created_at} == expected


def listed(count: int, *, oldest_first: bool, read: list[int]) -> Iterator[ExportJob]:
    for number in range(count):
        read.append(number)
        hours = count - number if oldest_first else number
        yield ExportJob(str(number), JobStatus.FAILED, created_at=NOW - timedelta(hours=hours))


def test_a_list_that_is_newest_first_is_read_up_to_its_first_older_job() -> None:
    read: list[int] = []
    assert len(list(recent(listed(100, oldest_first=False, read=read), NOW - AGE))) == 7
    assert read[-1] == 7


def test_a_list_that_is_oldest_first_is_read_to_its_end() -> None:
    read: list[int] = []
    assert len(list(recent(listed(100, oldest_first=True, read=read), NOW - AGE))) == 6
    assert read[-1] == 99


def test_a_list_of_one_old_job_and_a_newer_one_is_read_to_its_end() -> None:
    jobs = [
        ExportJob("old", JobStatus.COMPLETED, created_at=NOW - timedelta(days=3)),
        ExportJob("new", JobStatus.PROCESSING, created_at=NOW),
    ]
    assert [job.id for job in recent(jobs, NOW - AGE)] == ["new"]


class TestReuse:
    """Whether a job may take the place of a new one: the whole matrix."""

    @pytest.mark.parametrize(
        ("status", "state", "is_begun", "is_unusable"),
        [
            *product(
                JobStatus, [None, "older", "same second", "newer"], [False, True], [False, True]
            )
        ],
    )
    def test_all_cases(
        self, status: JobStatus, state: str | None, *, is_begun: bool, is_unusable: bool
    ) -> None:
        created = NOW - HOUR
        delivered = None
        if state is not None:
            shift = {"older": -SECOND, "same second": timedelta(), "newer": SECOND}[state]
            delivered = DeliveredJobs(DeliveredJob("delivered", created + shift))
        found = may_reuse(
            ExportJob("job", status, created_at=created),
            now=NOW,
            max_age=AGE,
            delivered=delivered,
            is_begun=is_begun,
            is_unusable=is_unusable,
        )
        is_unproven = status is JobStatus.UNKNOWN and not is_begun
        if status in {JobStatus.FAILED, JobStatus.CANCELLED} or is_unusable or is_unproven:
            assert not found
        elif state is not None:
            assert found == (state == "older")
        else:
            assert found == (status is not JobStatus.COMPLETED or is_begun)

    @pytest.mark.parametrize(
        ("created_at", "expires_at", "found"),
        [
            (NOW - AGE, None, True),
            (NOW - AGE - SECOND, None, False),
            (None, None, False),
            (NOW - HOUR, NOW + EXPIRY_MARGIN + SECOND, True),
            (NOW - HOUR, NOW + EXPIRY_MARGIN, False),
            # Where local times are eight hours behind, nothing can be said about the expiry.
            (NOW - HOUR, NOW.replace(tzinfo=NO_ZONE) - 7 * HOUR, True),
        ],
    )
    def test_age_and_expiry(
        self, created_at: datetime | None, expires_at: datetime | None, *, found: bool
    ) -> None:
        job = ExportJob("job", JobStatus.COMPLETED, created_at=created_at, expires_at=expires_at)
        given_ = {"now": NOW, "max_age": AGE, "delivered": None}
        assert may_reuse(job, **given_, is_begun=True, is_unusable=False) is found  # type: ignore[arg-type]

    def test_each_delivered_job_is_known_by_its_id(self) -> None:
        jobs = [DeliveredJob("a", NOW - 2 * HOUR), DeliveredJob("b", NOW), DeliveredJob("c", NOW)]
        delivered = DeliveredJobs.of(jobs, timedelta(hours=1))
        assert delivered.newest.created_at == NOW
        assert delivered.ids == {"b", "c"}
        # The list may give another creation time than the response to the creation.
        later = ExportJob("c", JobStatus.COMPLETED, created_at=NOW + SECOND)
        assert delivered.covers(later)
        assert not delivered.covers(replace(later, id="d"))
        assert delivered.covers(ExportJob("a", JobStatus.COMPLETED, created_at=NOW - 2 * HOUR))


class TestBegun:
    """Jobs that the journal knows and the list does not have."""

    REQUEST = ExportRequest("campaigns", ("id",))

    @pytest.fixture
    def api(self) -> FakeExports:
        return FakeExports(FakeClock())

    def put(self, api: FakeExports, job_id: str, age: float = 60.0) -> None:
        api.put(job_id, age, entity=self.REQUEST.entity, fields=self.REQUEST.fields)

    def find(
        self, api: FakeExports, *used: str, begun: Sequence[str] = ("begun",), hours: float = 6
    ) -> str | None:
        journal = ExportJournal()
        for job_id in begun:
            journal.begin(self.REQUEST, job_id)
        reuse = ExportReuse(api, hours, api.clock, journal)
        job = reuse.find_reusable(self.REQUEST, None, used, NO_DEADLINE)
        return None if job is None else job.id

    def test_they_are_read_by_their_ids(self, api: FakeExports) -> None:
        self.put(api, "begun")
        api.unlisted.add("begun")
        assert self.find(api) == "begun"

    def test_they_come_before_newer_ones(self, api: FakeExports) -> None:
        self.put(api, "begun")
        self.put(api, "newer", age=1)
        assert self.find(api) == "begun"
        assert api.count(ApiOperation.GET_EXPORT) == 0

    @pytest.mark.parametrize(
        "error",
        [
            NotFoundError(ApiOperation.GET_EXPORT, "could not find it", status=404),
            ServerError(ApiOperation.GET_EXPORT, "had an internal error", status=500),
        ],
    )
    def test_without_them_another_one_is_used(self, api: FakeExports, error: ApiError) -> None:
        api.fail(ApiOperation.GET_EXPORT, error)
        self.put(api, "listed")
        assert self.find(api) == "listed"

    def test_rejected_credentials_end_the_run(self, api: FakeExports) -> None:
        error = AuthenticationError(ApiOperation.GET_EXPORT, "rejected the token", status=401)
        api.fail(ApiOperation.GET_EXPORT, error)
        with pytest.raises(AuthenticationError):
            self.find(api)

    def test_what_is_in_use_or_too_old_is_not_used(self, api: FakeExports) -> None:
        self.put(api, "begun")
        self.put(api, "old", age=7 * 3600)
        api.unlisted |= {"begun", "old"}
        assert self.find(api, "begun", begun=["begun", "old"]) is None
        assert api.count(ApiOperation.GET_EXPORT, "begun") == 0

    def test_nothing_is_read_if_nothing_may_be_reused(self, api: FakeExports) -> None:
        self.put(api, "begun")
        api.unlisted.add("begun")
        assert self.find(api, hours=0) is None
        assert api.count(ApiOperation.GET_EXPORT) == 0


class TestCreated:
    """Whether a job is the one that a lost request created: the whole matrix."""

    @pytest.mark.parametrize("seconds", [-72_000, -61, -59, 0, 600, None, "local"])
    @pytest.mark.parametrize("is_own", [True, False, None])
    @pytest.mark.parametrize(
        "list_", ["unread", "had it", "complete", "newest older", "newest newer"]
    )
    @pytest.mark.parametrize("has_date", [True, False])
    def test_all_cases(
        self, seconds: float | str | None, list_: str, *, is_own: bool | None, has_date: bool
    ) -> None:
        created: datetime | None = None
        if seconds == "local":
            created = NOW.replace(tzinfo=NO_ZONE) - 5 * HOUR
        elif seconds is not None:
            created = NOW + timedelta(seconds=float(seconds))
        job = ExportJob("job", JobStatus.PROCESSING, created_at=created)
        earlier = (created or NOW) - HOUR
        known = {
            "unread": None,
            "had it": ListedJobs({"job"}, created, is_complete=True),
            "complete": ListedJobs({"other"}, created, is_complete=True),
            "newest older": ListedJobs({"other"}, earlier),
            "newest newer": ListedJobs({"other"}, (created or NOW) + HOUR),
        }[list_]
        found = may_be_created(
            job, is_own=is_own, posted_at=NOW if has_date else None, listed=known
        )
        if is_own is not None:
            assert found == is_own
        elif list_ in {"had it", "newest newer"} or (created is None and list_ == "newest older"):
            assert not found
        elif has_date and isinstance(seconds, (int, float)):
            assert found == (seconds >= -60)
        else:
            assert found == (list_ != "unread")


@pytest.mark.parametrize(
    ("entity", "fields", "used"),
    [("accounts", ("id",), ""), ("campaigns", ("name",), ""), ("campaigns", ("id",), "job")],
)
def test_a_lost_request_did_not_create_the_job_of_another_one(
    entity: str, fields: tuple[str, ...], used: str
) -> None:
    api, request = FakeExports(FakeClock()), ExportRequest("campaigns", ("id",))
    reuse = ExportReuse(api, 6, api.clock, ExportJournal())
    assert reuse.find_reusable(request, None, (), NO_DEADLINE) is None
    posted_at = api.server_time()
    api.put("job", entity=entity, fields=fields)
    assert reuse.find_created(request, posted_at, None, [used], NO_DEADLINE) is None
    created = api.put("created", entity="campaigns", fields=("id",))
    assert reuse.find_created(request, posted_at, None, [used], NO_DEADLINE) == created


def test_the_list_notes_what_was_read_of_it() -> None:
    listed_jobs = ListedJobs()
    assert (
        len(list(recent(listed_jobs.recorded(listed(100, oldest_first=False, read=[])), NOW - AGE)))
        == 7
    )
    assert listed_jobs.ids == {str(number) for number in range(8)}
    assert (listed_jobs.newest, listed_jobs.is_complete) == (NOW, False)
    assert listed_jobs.is_newer(ExportJob("new", JobStatus.PENDING, created_at=NOW))
    assert not listed_jobs.is_newer(
        ExportJob("99", JobStatus.PENDING, created_at=NOW - timedelta(hours=99))
    )
    assert not listed_jobs.is_newer(ExportJob("x", JobStatus.PENDING))
    list(listed_jobs.recorded(iter(())))
    assert listed_jobs.is_newer(ExportJob("x", JobStatus.PENDING))
