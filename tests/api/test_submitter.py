"""Requests whose response is lost: each creates one job."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from demandbase_api.deadline import Deadline
from demandbase_api.errors import (
    ApiError,
    ApiOperation,
    InvalidRequestError,
    ServerError,
    UnreachableError,
)
from demandbase_api.http.retry import RetryPolicy
from demandbase_api.jobs.submitter import JobSubmitter
from demandbase_api.models import ExportJob, JobStatus

CREATE = ApiOperation.CREATE_EXPORT
LOST = ServerError(CREATE, "failed", status=502)
REFUSED = UnreachableError(CREATE, "could not be reached", nothing_sent=True)
QUICK = RetryPolicy(tries=4, base_seconds=0.0001, max_seconds=0.0001)
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@dataclass
class Server:
    """Responds to creations with errors or, at their end, with a job."""

    errors: list[ApiError]
    creates: list[str] = field(default_factory=list)
    looks: list[tuple[str, datetime | None]] = field(default_factory=list)
    found: ExportJob | None = None
    times: Iterator[datetime] = field(
        default_factory=lambda: iter([NOON + timedelta(minutes=n) for n in range(9)])
    )

    def create(self, request: str, _deadline: Deadline) -> ExportJob:
        self.creates.append(request)
        if self.errors:
            raise self.errors.pop(0)
        return ExportJob("new", JobStatus.PENDING)

    def find(
        self, request: str, posted_at: datetime | None, _deadline: Deadline
    ) -> ExportJob | None:
        self.looks.append((request, posted_at))
        return self.found

    def submitter(self) -> JobSubmitter[str, ExportJob]:
        return JobSubmitter(self.create, self.find, QUICK, lambda: next(self.times))


def test_an_answered_creation_is_not_looked_up() -> None:
    server = Server([])
    submitter = server.submitter()
    submitted = submitter.submit("a")
    assert (submitted.job.id, submitted.is_answered, server.looks) == ("new", True, [])
    assert submitter.unconfirmed == ("a",)
    submitter.confirm("a")
    assert not submitter.unconfirmed


def test_a_job_that_is_found_is_no_answer() -> None:
    server = Server([LOST], found=ExportJob("found", JobStatus.PENDING))
    submitted = server.submitter().submit("a")
    assert (submitted.job.id, submitted.is_answered) == ("found", False)
    assert server.creates == ["a"]


def test_each_look_has_the_time_of_the_first_request() -> None:
    server = Server([LOST, LOST])
    assert server.submitter().submit("a").is_answered
    assert set(server.looks) == {("a", NOON)}
    assert server.creates == ["a"] * 3


def test_a_try_that_surely_failed_does_not_clear_one_that_was_lost() -> None:
    server = Server([LOST, REFUSED])
    submitter = server.submitter()
    assert submitter.submit("a").is_answered
    assert server.creates == ["a"] * 3
    assert len(server.looks) % 2 == 0  # as many before the third try as before the second
    assert server.looks


def test_what_surely_was_not_created_is_not_looked_up() -> None:
    server = Server([REFUSED, InvalidRequestError(CREATE, "rejected it", status=400)])
    submitter = server.submitter()
    with pytest.raises(InvalidRequestError):
        submitter.submit("a")
    assert (server.looks, submitter.unconfirmed) == ([], ())


def test_each_lost_request_stays_unconfirmed() -> None:
    server = Server([LOST] * 8)
    submitter = server.submitter()
    for request in ("a", "b"):
        with pytest.raises(ServerError):
            submitter.submit(request)
    assert submitter.unconfirmed == ("a", "b")
    server.found = ExportJob("found", JobStatus.PENDING)
    assert submitter.find_unconfirmed("a") == server.found
    assert submitter.find_unconfirmed("c") is None
