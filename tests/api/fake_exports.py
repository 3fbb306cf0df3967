"""A clock and an export API for tests of the code that waits for jobs."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from typing_extensions import override

from demandbase_api.clock import Clock
from demandbase_api.deadline import NO_DEADLINE, Deadline
from demandbase_api.errors import (
    ApiError,
    ApiOperation,
    NotFoundError,
    ServerError,
    UnreachableError,
)
from demandbase_api.models import Entity, ExportJob, ExportRequest, JobStatus, ReferenceObject
from demandbase_api.ports import (
    EVERYTHING,
    DiscoveryScope,
    ExportApi,
    ExportCapabilities,
    OnEntityError,
    PartBody,
    Resume,
    raise_error,
)


@dataclass
class FakeClock(Clock):
    """A clock that only ``sleep`` moves."""

    time: float = 1_000_000.0
    sleeps: list[float] = field(default_factory=list)

    @override
    def now(self) -> float:
        return self.time

    @override
    def utc(self) -> datetime:
        return datetime.fromtimestamp(self.time, UTC)

    @override
    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.time += seconds


Key = tuple[ApiOperation, str | None]

CAPABILITIES = ExportCapabilities(concurrent_jobs=2, daily_calls=False, filters=frozenset())


@dataclass
class FakeExports(ExportApi):
    """Export jobs in memory, newest first in the list.

    A call of an operation in ``silent`` takes up its deadline, or 300 seconds. A call waits for the
    event of its operation in ``gates``. Failures and gates may be for one entity or job.
    """

    clock: FakeClock
    capabilities: ExportCapabilities = CAPABILITIES
    can_cancel: bool = True
    pause: float = 0.0
    seconds: float | None = 100.0
    """How long a job takes; ``None``: for ever."""
    found: dict[str, ExportJob] = field(default_factory=dict)
    failures: dict[Key, Iterator[ApiError | None]] = field(default_factory=dict)
    silent: set[ApiOperation] = field(default_factory=set)
    gates: dict[Key, threading.Event] = field(default_factory=dict)
    lost_responses: int = 0
    """How many creations are answered with an error though they succeed."""
    listed_after: float = 0.0
    """Seconds after its creation from which the list has a job."""
    unlisted: set[str] = field(default_factory=set)
    unknown_until: dict[str, float] = field(default_factory=dict)
    calls: list[tuple[ApiOperation, str]] = field(default_factory=list)
    items_read: int = 0
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def fail(
        self, operation: ApiOperation, error: ApiError, what: str | None = None, times: int = 10**9
    ) -> None:
        self.failures[operation, what] = itertools.repeat(error, times)

    def gate(self, operation: ApiOperation, what: str | None = None) -> threading.Event:
        return self.gates.setdefault((operation, what), threading.Event())

    def count(self, operation: ApiOperation, what: str | None = None) -> int:
        return sum(each[0] is operation and what in {None, each[1]} for each in self.calls)

    def put(self, job_id: str, age: float = 0.0, **members: Any) -> ExportJob:  # noqa: ANN401
        created = datetime.fromtimestamp(self.clock.time - age, UTC)
        job = ExportJob(job_id, JobStatus.PROCESSING, created_at=created)
        self.found[job_id] = replace(job, **members)
        return self.found[job_id]

    def _call(self, operation: ApiOperation, what: str, deadline: Deadline) -> None:
        self.calls.append((operation, what))
        for key in ((operation, what), (operation, None)):
            if key in self.gates:
                assert self.gates[key].wait(30)
        if deadline.has_passed:
            raise UnreachableError(operation, "did not respond in time", nothing_sent=True)
        if operation in self.silent:
            self.clock.time += min(300.0, deadline.left())
        for key in ((operation, what), (operation, None)):
            if (error := next(self.failures.get(key, iter(())), None)) is not None:
                raise error

    def _age(self, job: ExportJob) -> float:
        assert job.created_at is not None
        return self.clock.time - job.created_at.timestamp()

    def _now(self, job: ExportJob) -> ExportJob:
        age = self._age(job)
        if job.status.is_terminal or self.seconds is None or age < self.seconds:
            return job
        return replace(job, status=JobStatus.COMPLETED)

    @override
    def submit(self, request: ExportRequest, deadline: Deadline = NO_DEADLINE) -> ExportJob:
        self._call(ApiOperation.CREATE_EXPORT, request.entity, deadline)
        job_id = f"job-{next(self._numbers)}"
        job = self.put(job_id, entity=request.entity, fields=request.fields)
        if self.lost_responses:
            self.lost_responses -= 1
            raise ServerError(ApiOperation.CREATE_EXPORT, "had an internal error", status=500)
        return job

    @override
    def get(self, job_id: str, deadline: Deadline = NO_DEADLINE) -> ExportJob:
        self._call(ApiOperation.GET_EXPORT, job_id, deadline)
        if job_id not in self.found or self.clock.time < self.unknown_until.get(job_id, 0):
            raise NotFoundError(ApiOperation.GET_EXPORT, "could not find it", status=404)
        return self._now(self.found[job_id])

    @override
    def with_details(self, job: ExportJob, deadline: Deadline = NO_DEADLINE) -> ExportJob:
        return job

    @override
    def jobs(
        self, deadline: Deadline = NO_DEADLINE, *, complete: bool = False
    ) -> Iterator[ExportJob]:
        self._call(ApiOperation.LIST_EXPORTS, "", deadline)
        newest_first: Callable[[ExportJob], Any] = lambda job: job.created_at  # noqa: E731
        for job in sorted(self.found.values(), key=newest_first, reverse=True):
            self.items_read += 1
            if job.id not in self.unlisted and self._age(job) >= self.listed_after:
                yield self._now(job)

    @override
    def poll_pause(self) -> float:
        return self.pause

    @override
    def check_budget(self, jobs: int) -> None:
        pass

    @override
    def cancel(self, job_id: str, deadline: Deadline = NO_DEADLINE) -> bool:
        self._call(ApiOperation.CANCEL_EXPORT, job_id, deadline)
        if self.can_cancel:
            self.found[job_id] = replace(self.found[job_id], status=JobStatus.CANCELLED)
        return self.can_cancel

    @override
    def is_for(self, job: ExportJob, request: ExportRequest) -> bool:
        return (job.entity, job.fields) == (request.entity, request.fields)

    @override
    def is_own(self, job: ExportJob) -> bool | None:
        return None

    @override
    def server_time(self) -> datetime | None:
        return self.clock.utc()

    @override
    def entities(
        self, scope: DiscoveryScope = EVERYTHING, on_error: OnEntityError = raise_error
    ) -> tuple[Entity, ...]:
        raise AssertionError("jobs need no discovery")

    @override
    def references(self, deadline: Deadline = NO_DEADLINE) -> tuple[ReferenceObject, ...]:
        return ()

    @override
    def reference_values(self, name: str) -> tuple[dict[str, Any], ...]:
        raise AssertionError("there is no reference object")

    @override
    def open_part(
        self, job_id: str, part: int, resume: Resume | None = None
    ) -> AbstractContextManager[PartBody]:
        raise AssertionError("the scheduler downloads no file")
