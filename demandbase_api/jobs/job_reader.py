"""Reads the status of several jobs: from the list if it can be read, else one by one."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from demandbase_api.errors import (
    ApiError,
    ApiOperation,
    AuthenticationError,
    QuotaExceededError,
    UnexpectedResponseError,
)
from demandbase_api.ports import Job

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from demandbase_api.clock import Clock
    from demandbase_api.deadline import Deadline
    from demandbase_api.ports import JobSource

logger = logging.getLogger(__name__)

J = TypeVar("J", bound=Job)

_LIST_SHARE = 0.5
"""Share of the time that reading the list may take; the rest is for reading jobs one by one."""
_LIST_MARGIN = timedelta(hours=1)
"""How far beyond the oldest job the list is read, in case creation times are inexact."""
_FOR_EVERY_CALL = AuthenticationError, QuotaExceededError
"""Errors that another call would get as well."""


@dataclass(frozen=True, slots=True)
class JobReading(Generic[J]):
    """What one reading found.

    Args:
        jobs: Jobs by id.
        errors: Errors by id, of jobs that could not be read.
        pause: Minimum number of seconds until the next reading.
    """

    jobs: Mapping[str, J]
    errors: Mapping[str, ApiError]
    pause: float


class JobReader(Generic[J]):
    """Reads the status of several jobs, with one try for each call: the next reading is the retry.

    Args:
        kind: "export" or "import", for messages.
        source: API of the jobs.
        clock: Time.
    """

    def __init__(self, kind: str, source: JobSource[J], clock: Clock) -> None:
        self._kind = kind
        self._source = source
        self._clock = clock
        self._list_from = 0.0
        """When the list may be read again."""
        self._is_listed = True

    def read(self, jobs: Sequence[J], deadline: Deadline) -> JobReading[J]:
        """Read some jobs.

        Args:
            jobs: The jobs as they are known, the most urgent first.
            deadline: Moment until which the calls must end.

        Raises:
            QuotaExceededError: The daily calls are used up.
        """
        if not jobs:  # the run ends
            return JobReading({}, {}, 0.0)
        deadline = deadline.without_retries()
        found: dict[str, J] = {}
        errors: dict[str, ApiError] = {}
        calls = 0
        try:
            if self._clock.now() >= self._list_from:
                self._read_list(jobs, found, deadline.within(_LIST_SHARE * deadline.left()))
            for job_id in [job.id for job in jobs if job.id not in found]:
                # It is not in the list yet, or no longer.
                calls += 1
                self._read_alone(job_id, found, errors, deadline)
        except AuthenticationError as error:
            errors |= {job.id: error for job in jobs if job.id not in found | errors}
        # The pause is for one call of each kind.
        pause = self._source.poll_pause() * max(1, calls)
        asked = max((error.retry_after or 0.0 for error in errors.values()), default=0.0)
        return JobReading(found, errors, max(pause, asked))

    def _read_alone(
        self, job_id: str, found: dict[str, J], errors: dict[str, ApiError], deadline: Deadline
    ) -> None:
        try:
            job = self._source.get(job_id, deadline)
        except _FOR_EVERY_CALL:
            raise
        except ApiError as error:
            errors[job_id] = error
        else:
            if job.id == job_id:
                found[job_id] = job
            else:
                errors[job_id] = _other_job(self._kind)

    def _read_list(self, jobs: Sequence[J], found: dict[str, J], deadline: Deadline) -> None:
        """Find the jobs in the list. If it cannot be read, it is left alone for a while."""
        wanted = {job.id for job in jobs}
        began = self._clock.now()
        try:
            for job in self._listed(jobs, deadline):
                if job.id in wanted:
                    found[job.id] = job
                    if len(found) == len(wanted):
                        break
        except _FOR_EVERY_CALL:
            raise
        except ApiError as error:
            # A list that does not respond takes at most half of the time.
            now = self._clock.now()
            self._list_from = now + max(now - began, error.retry_after or 0.0)
            log = logger.warning if self._is_listed else logger.debug
            log("The list of %s jobs cannot be read, so each is read alone: %s", self._kind, error)
            self._is_listed = False
        else:
            self._is_listed = True

    def _listed(self, jobs: Sequence[J], deadline: Deadline) -> Iterator[J]:
        """Yield the jobs of the list, back to the oldest of the given ones."""
        created = [job.created_at for job in jobs if job.created_at is not None]
        if len(created) < len(jobs):
            return self._source.jobs(deadline)
        return recent(self._source.jobs(deadline), min(created) - _LIST_MARGIN)


def _other_job(kind: str) -> UnexpectedResponseError:
    operation = ApiOperation.GET_IMPORT if kind == "import" else ApiOperation.GET_EXPORT
    return UnexpectedResponseError(operation, "gave another job than was asked for")


class _Created(Protocol):
    @property
    def created_at(self) -> datetime | None: ...


CreatedJob = TypeVar("CreatedJob", bound=_Created)


def recent(jobs: Iterable[CreatedJob], since: datetime, *, older: int = 1) -> Iterator[CreatedJob]:
    """Yield the jobs that were created at or after ``since``, or whose creation time is unknown.

    The v1 contract does not say how the list is sorted. Once two creation times show that the
    newest jobs come first, reading stops at the next older ones; a list in another order is read to
    its end.

    Args:
        jobs: The list.
        since: Creation time of the oldest job to yield.
        older: Number of older jobs in a row at which reading stops.
    """
    in_a_row = 0
    last: datetime | None = None
    is_descending: bool | None = None
    for job in jobs:
        created = job.created_at
        if created is not None:
            if last is not None and created != last:
                is_descending = created < last and is_descending is not False
            last = created
            if created < since:
                in_a_row += 1
                if is_descending and in_a_row >= older:
                    return
                continue
            in_a_row = 0
        yield job
