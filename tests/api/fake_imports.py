"""An import API in memory for tests of the code that sends files and resumes imports."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

from typing_extensions import override

from demandbase_api.deadline import NO_DEADLINE, Deadline
from demandbase_api.errors import (
    ApiOperation,
    ConflictError,
    NotFoundError,
    UnreachableError,
)
from demandbase_api.models import (
    ActivityType,
    FieldMapping,
    ImportEntity,
    ImportJob,
    ImportOperation,
    ImportRequest,
    JobStatus,
    ListAction,
    RowError,
)
from demandbase_api.ports import ImportApi, ImportCapabilities
from tests.api.fake_exports import FakeClock

V1 = ImportCapabilities(
    entities=frozenset({"accounts"}), operations=frozenset(ImportOperation),
    match_key=True, mappings=True, row_errors=True,
)  # fmt: skip
"""An API whose jobs have no name before their file, and can be cancelled until then."""

UAPI = replace(
    V1, operations=frozenset({ImportOperation.UPSERT}), match_key=False, row_errors=False,
    find_created=True,
)  # fmt: skip
"""An API whose jobs have their name from the start, and cannot be cancelled."""

Key = tuple[ApiOperation, str | None]


@dataclass
class FakeImports(ImportApi):
    """Import jobs in memory, newest first in the list; each row of a file succeeds.

    A failure that is ``late`` comes after the server has done what was requested. A call waits for
    the event of its operation in ``gates``. Failures and gates may be for one entity or job.
    """

    clock: FakeClock
    capabilities: ImportCapabilities = V1
    seconds: float | None = 100.0
    """How long a job takes from its file on; ``None``: for ever."""
    shown_after: float = 0.0
    """Seconds after its file from which a job shows that it has one."""
    unknown_for: float = 0.0
    """Seconds after its creation in which a job is unknown to all calls but the list."""
    listed_after: float = 0.0
    """Seconds after its creation from which the list has a job."""
    order: list[str] | None = None
    """Ids in the order of the list, in place of newest first; others come behind them."""
    created_as: dict[str, Any] = field(default_factory=dict)
    """Members of a job that has no file, such as its status."""
    skew: timedelta | None = timedelta(0)
    """How far the server's clock is ahead; ``None`` if responses have no date."""
    pause: float = 0.0
    found: dict[str, ImportJob] = field(default_factory=dict)
    files: dict[str, list[bytes]] = field(default_factory=dict)
    """All files that each job was given."""
    failures: dict[Key, Iterator[BaseException]] = field(default_factory=dict)
    late_failures: dict[Key, Iterator[BaseException]] = field(default_factory=dict)
    gates: dict[Key, threading.Event] = field(default_factory=dict)
    calls: list[tuple[ApiOperation, str]] = field(default_factory=list)
    deadlines: list[Deadline] = field(default_factory=list)
    _given: dict[str, float] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def fail(
        self,
        operation: ApiOperation,
        error: BaseException,
        what: str | None = None,
        *,
        times: int = 10**9,
        late: bool = False,
    ) -> None:
        failures = self.late_failures if late else self.failures
        failures[operation, what] = itertools.repeat(error, times)

    def gate(self, operation: ApiOperation, what: str | None = None) -> threading.Event:
        return self.gates.setdefault((operation, what), threading.Event())

    def count(self, operation: ApiOperation, what: str | None = None) -> int:
        return sum(each[0] is operation and what in {None, each[1]} for each in self.calls)

    def put(self, job_id: str, age: float = 0.0, **members: Any) -> ImportJob:  # noqa: ANN401
        """Add a job that was created some seconds ago; it stays as it is until it gets a file."""
        created = datetime.fromtimestamp(self.clock.time - age, UTC) + (self.skew or timedelta(0))
        job = ImportJob(job_id, JobStatus.PENDING, entity="accounts", created_at=created)
        self.found[job_id] = replace(job, **members)
        return self.found[job_id]

    def _call(self, operation: ApiOperation, what: str, deadline: Deadline = NO_DEADLINE) -> None:
        self.calls.append((operation, what))
        self.deadlines.append(deadline)
        for key in ((operation, what), (operation, None)):
            if key in self.gates:
                assert self.gates[key].wait(30)
        if deadline.has_passed:
            raise UnreachableError(operation, "did not respond in time", nothing_sent=True)
        self._raise(self.failures, operation, what)

    @staticmethod
    def _raise(
        failures: dict[Key, Iterator[BaseException]], operation: ApiOperation, what: str
    ) -> None:
        for key in ((operation, what), (operation, None)):
            if (error := next(failures.get(key, iter(())), None)) is not None:
                raise error

    def _age(self, job: ImportJob) -> float:
        if job.created_at is None:
            return 0.0
        return self.clock.time - (job.created_at - (self.skew or timedelta(0))).timestamp()

    def _known(self, operation: ApiOperation, job_id: str) -> ImportJob:
        job = self.found.get(job_id)
        if job is None or self._age(job) < self.unknown_for:
            raise NotFoundError(operation, "could not find it", status=404)
        return job

    def _now(self, job: ImportJob) -> ImportJob:
        given = self._given.get(job.id)
        if given is None or job.status.is_terminal or self.clock.time - given < self.shown_after:
            return job
        name = job.file_name or self._names[job.id]
        if self.seconds is None or self.clock.time - given < self.seconds:
            return replace(job, status=JobStatus.PROCESSING, file_name=name)
        rows = self.files[job.id][-1].count(b"\n") - 1
        return replace(
            job, status=JobStatus.COMPLETED, file_name=name, total_rows=rows, processed_rows=rows,
            success_count=rows, error_count=0,
        )  # fmt: skip

    @override
    def submit(self, request: ImportRequest, file_name: str) -> ImportJob:
        operation = ApiOperation.CREATE_IMPORT
        self._call(operation, request.entity)
        name: dict[str, Any] = {"file_name": file_name} if self.capabilities.find_created else {}
        job = self.put(
            f"job-{next(self._numbers)}", entity=request.entity,
            operation=request.operation.value, **name,
        )  # fmt: skip
        self.found[job.id] = job = replace(job, **self.created_as)
        self._raise(self.late_failures, operation, request.entity)
        return job

    @override
    def find_created(self, file_name: str, since: datetime) -> ImportJob | None:
        if not self.capabilities.find_created:
            return None
        listed = self._created_since(since)
        return next((job for job in listed if job.file_name == file_name), None)

    @override
    def possibly_created(self, request: ImportRequest, since: datetime) -> Iterator[ImportJob]:
        if not self.capabilities.find_created:
            yield from filter(self.waits_for_file, self._created_since(since))

    def _created_since(self, since: datetime) -> list[ImportJob]:
        return [job for job in self.jobs() if job.created_at is None or job.created_at >= since]

    @override
    def waits_for_file(self, job: ImportJob) -> bool:
        is_named = job.file_name and not self.capabilities.find_created
        return job.status is JobStatus.PENDING and not is_named

    @override
    def upload(
        self,
        job_id: str,
        file: BinaryIO,
        file_name: str,
        list_action: ListAction = ListAction.NOOP,
    ) -> ImportJob:
        operation = ApiOperation.UPLOAD_FILE
        self._call(operation, job_id)
        job = self._known(operation, job_id)
        if job.status.is_terminal:
            raise ConflictError(operation, "declined", status=409)
        self.files.setdefault(job_id, []).append(file.read())
        self._given.setdefault(job_id, self.clock.time)
        self._names[job_id] = file_name
        self._raise(self.late_failures, operation, job_id)
        return self._now(self.found[job_id])

    @override
    def get(self, job_id: str, deadline: Deadline = NO_DEADLINE) -> ImportJob:
        self._call(ApiOperation.GET_IMPORT, job_id, deadline)
        return self._now(self._known(ApiOperation.GET_IMPORT, job_id))

    @override
    def with_details(self, job: ImportJob, deadline: Deadline = NO_DEADLINE) -> ImportJob:
        return self.get(job.id, deadline)

    @override
    def jobs(
        self, deadline: Deadline = NO_DEADLINE, *, complete: bool = False
    ) -> Iterator[ImportJob]:
        self._call(ApiOperation.LIST_IMPORTS, "", deadline)
        places = {job_id: place for place, job_id in enumerate(self.order or ())}
        first = sorted(self.found.values(), key=self._age)
        for job in sorted(first, key=lambda each: places.get(each.id, len(places))):
            if self._age(job) >= self.listed_after:
                yield self._now(job)

    @override
    def server_time(self) -> datetime | None:
        return None if self.skew is None else self.clock.utc() + self.skew

    @override
    def poll_pause(self) -> float:
        return self.pause

    @override
    def cancel(self, job_id: str, deadline: Deadline = NO_DEADLINE) -> bool:
        operation = ApiOperation.CANCEL_IMPORT
        self._call(operation, job_id, deadline)
        job = self._known(operation, job_id)
        if self.capabilities.find_created:
            return False
        if job_id in self._given or job.status.is_terminal:
            raise ConflictError(operation, "declined", status=409)
        self.found[job_id] = replace(job, status=JobStatus.CANCELLED)
        self._raise(self.late_failures, operation, job_id)
        return True

    @override
    def row_errors(self, job_id: str, *, complete: bool = False) -> Iterator[RowError]:
        self._call(ApiOperation.LIST_ROW_ERRORS, job_id)
        return iter(())

    @override
    def entity(self, name: str, activity_type: int | None = None) -> ImportEntity:
        raise AssertionError("jobs need no entity")

    @override
    def mappings(self, entity: str | None = None) -> tuple[FieldMapping, ...]:
        raise AssertionError("jobs need no mappings")

    @override
    def activity_types(self) -> tuple[ActivityType, ...]:
        raise AssertionError("jobs need no activity types")
