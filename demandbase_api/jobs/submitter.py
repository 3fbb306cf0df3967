"""Creation of jobs: each request creates one job, even if the server's response is lost.

Export jobs also wait for what a creation needs: quota, and a free slot in the tenant.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Generic, TypeVar

from demandbase_api.clock import sleep_in_pieces
from demandbase_api.deadline import NO_DEADLINE, Deadline
from demandbase_api.errors import (
    ApiError,
    ApiOperation,
    AuthenticationError,
    BusyError,
    DemandbaseError,
    QuotaExceededError,
    RateLimitedError,
    StoppedError,
    TransientError,
    UnexpectedResponseError,
    UnreachableError,
)
from demandbase_api.jobs.job_reader import recent
from demandbase_api.jobs.poller import YOUNG_SECONDS
from demandbase_api.models import ExportJob, ExportRequest
from demandbase_api.ports import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from demandbase_api.clock import Clock
    from demandbase_api.http.retry import RetryPolicy
    from demandbase_api.jobs.poll_times import PollPolicy
    from demandbase_api.ports import ExportApi

logger = logging.getLogger(__name__)

R = TypeVar("R")
J = TypeVar("J", bound=Job)

_LOOKUP_WAITS = 0.0, 1.0, 3.0, 6.0
"""Waits before a lost job is looked up, as multiples of the base of the retries: the list of jobs
may lag some seconds behind."""

_SLOT_LOG_SECONDS = 10.0
_RUNNING_JOB_AGE = timedelta(days=1)
"""Maximum age of a job that may still run."""
_UNLISTED_SECONDS = 60.0
_UNLISTED_SECONDS_MAX = 900.0
"""Waits while the list does not show the running job: each try is one of the few calls a day."""

_QUOTA_LOG_SECONDS = 60.0
_QUOTA_SECONDS = 60.0
_QUOTA_SECONDS_MAX = 900.0
"""Shortest waits between two tries, of which the first and the longest are given."""


@dataclass(frozen=True, slots=True)
class Submitted(Generic[J]):
    """The job of a request.

    Args:
        job: The job.
        is_answered: Whether the server answered the creation. If not, the job was found in the
            list.
        deadline: Moment until which the run waits for the job.
    """

    job: J
    is_answered: bool
    deadline: Deadline


class JobSubmitter(Generic[R, J]):
    """Creates jobs. A request whose response was lost is looked up before it is sent again.

    Args:
        send: Sends a request.
        find: Returns the job that a request created, given the server's time before it was first
            sent. ``None`` if the API cannot distinguish the job from those of others.
        retry: How often to try.
        server_time: Returns the server's time, if it is known.
    """

    def __init__(
        self,
        send: Callable[[R, Deadline], J],
        find: Callable[[R, datetime | None, Deadline], J | None] | None,
        retry: RetryPolicy,
        server_time: Callable[[], datetime | None] = lambda: None,
    ) -> None:
        self._send = send
        self._find = find
        self._retry = retry
        self._server_time = server_time
        self._unconfirmed: dict[R, datetime | None] = {}
        self._repeated: dict[R, datetime | None] = {}
        self._repeated_at: dict[R, float] = {}
        self._is_stopped = False
        self.is_sending = False
        """Whether a request has been sent whose job the caller has not confirmed."""

    def submit(self, request: R, deadline: Deadline = NO_DEADLINE) -> Submitted[J]:
        """Create a job. The caller confirms once it has recorded the job.

        Args:
            request: The request.
            deadline: Moment until which the job must be created.

        Raises:
            QuotaExceededError: The server asked for fewer creations, also after a wait.
            ApiError: The server rejected the request, or no try got a response.
            StoppedError: The run is ending.
        """
        try:
            return self._retry.call_until(deadline, self._submit_once, request, deadline)
        except TransientError as error:
            if not deadline.retries:
                raise
            with suppress(ApiError):
                job = self._find_lost(request, deadline)
                if job is not None:
                    return Submitted(job, is_answered=False, deadline=deadline)
            if isinstance(error, RateLimitedError) and error.operation.creates_a_job:
                raise error.as_a(QuotaExceededError) from error
            raise error from None

    def confirm(self, request: R) -> None:
        """Forget a request: the caller has recorded its job, or gives it up."""
        self._unconfirmed.pop(request, None)
        self.is_sending = False

    def stop(self) -> None:
        """Send no further request, from any thread."""
        self._is_stopped = True

    @property
    def unconfirmed(self) -> tuple[R, ...]:
        """Requests that may have created a job that the caller does not know."""
        return tuple(self._unconfirmed)

    @property
    def repeated(self) -> tuple[R, ...]:
        """Confirmed requests that may have created another job before, which was not found."""
        return tuple(request for request in self._repeated if request not in self._unconfirmed)

    def may_be_unlisted(self, request: R) -> bool:
        """Return whether the other job of a repeated request may be too young for the list."""
        return self._retry.clock.now() - self._repeated_at[request] < YOUNG_SECONDS

    def find_unconfirmed(self, request: R, deadline: Deadline = NO_DEADLINE) -> J | None:
        """Return the job of an unconfirmed or repeated request; ``None`` if it cannot be found.

        Args:
            request: The request.
            deadline: Moment until which the list of jobs must be read.

        Raises:
            ApiError: The list of jobs cannot be read.
        """
        sent = self._repeated | self._unconfirmed
        if request not in sent or self._find is None:
            return None
        return self._find(request, sent[request], deadline)

    def _submit_once(self, request: R, deadline: Deadline) -> Submitted[J]:
        job = self._find_lost(request, deadline)
        if job is not None:
            return Submitted(job, is_answered=False, deadline=deadline)
        if self._is_stopped:
            raise StoppedError("The run ends.")
        may_exist = request in self._unconfirmed
        self._unconfirmed.setdefault(request, self._server_time())
        self.is_sending = True
        try:
            created = Submitted(self._send(request, deadline), is_answered=True, deadline=deadline)
        except DemandbaseError as error:
            self.is_sending = False
            # An earlier try may have created a job even if this one surely did not.
            if not may_exist and not may_have_succeeded(error):
                self.confirm(request)
            raise
        if may_exist:
            self._repeated[request] = self._unconfirmed[request]
            self._repeated_at[request] = self._retry.clock.now()
        return created

    def _find_lost(self, request: R, deadline: Deadline) -> J | None:
        """Return the job that an earlier try created, if its response was lost."""
        if request not in self._unconfirmed or self._find is None:
            return None
        once = deadline.without_retries()
        for wait in _LOOKUP_WAITS:
            seconds = wait * self._retry.base_seconds
            if self._is_stopped or (wait and seconds >= deadline.left()):
                break
            self._retry.clock.sleep(seconds)
            job = self._find(request, self._unconfirmed[request], once)
            if job is not None:
                logger.info(
                    "The response to a creation was lost, and the job %s was found in the list",
                    job.id,
                )
                return job
        return None


def may_have_succeeded(error: DemandbaseError) -> bool:
    """Return whether the server may have done what was requested, in spite of the error."""
    match error:
        case ApiError() if error.operation is ApiOperation.ISSUE_TOKEN:
            return False  # the request itself was not sent
        case UnreachableError():
            return not error.nothing_sent
        case RateLimitedError():
            return False
        case UnexpectedResponseError():
            # On success, the response is what cannot be read.
            return error.status is None or error.status < HTTPStatus.BAD_REQUEST
        case _:
            # A 5xx may come from a proxy in front of a server that succeeded.
            return isinstance(error, TransientError)


class ExportSubmitter(JobSubmitter[ExportRequest, ExportJob]):
    """Creates export jobs and waits for quota and for a free slot.

    Args:
        api: Creates and lists jobs.
        find: Finds the job that a request created.
        retry: How often to try.
        poll: How to wait for a free slot.
        quota_wait_hours: Maximum time to wait for a new quota; 0 to fail at once.
        clock: Time.
    """

    def __init__(  # noqa: PLR0913
        self,
        api: ExportApi,
        find: Callable[[ExportRequest, datetime | None, Deadline], ExportJob | None],
        *,
        retry: RetryPolicy,
        poll: PollPolicy,
        quota_wait_hours: float,
        clock: Clock,
    ) -> None:
        super().__init__(api.submit, find, retry, api.server_time)
        self._api = api
        self._poll = poll
        self._quota_wait_hours = quota_wait_hours
        self._clock = clock
        self.is_waiting = False
        """Whether it waits for quota or a slot, and logs that."""

    def submit_when_possible(
        self, request: ExportRequest, deadline: Deadline, *, may_wait_for_slot: bool = True
    ) -> Submitted[ExportJob]:
        """Create a job; wait while the quota is used up or other jobs take all slots.

        Args:
            request: The request.
            deadline: Moment until which the run waits for the job. A wait for quota restarts its
                time.
            may_wait_for_slot: Whether to wait for a free slot.

        Raises:
            QuotaExceededError: There was no new quota in time.
            BusyError: No slot became free in time.
            ApiError: The server rejected the request, or no try got a response.
        """
        quota = _QuotaWait(self._quota_wait_hours, self._clock)
        while True:
            slot = _SlotWait(self._api, self._poll, self._clock, deadline)
            try:
                return self._submit_when_free(
                    request, deadline, slot if may_wait_for_slot else None
                )
            except QuotaExceededError as error:
                with self._waiting():
                    quota.wait(error)
                deadline = Deadline.after(self._clock, self._poll.timeout_seconds)

    def _submit_when_free(
        self, request: ExportRequest, deadline: Deadline, slot: _SlotWait | None
    ) -> Submitted[ExportJob]:
        while True:
            try:
                return self.submit(request, deadline)
            except BusyError as error:
                if slot is None:
                    raise
                with self._waiting():
                    slot.wait(error)

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        self.is_waiting = True
        try:
            yield
        finally:
            self.is_waiting = False

    def check_budget(self, jobs: int) -> None:
        """Check that today's remaining calls are enough for a number of jobs, or wait for that.

        Raises:
            CallBudgetError: There were too few calls, and no new quota in time.
        """
        quota = _QuotaWait(self._quota_wait_hours, self._clock)
        while True:
            try:
                return self._api.check_budget(jobs)
            except QuotaExceededError as error:
                quota.wait(error)


class _QuotaWait:
    """Waits for a new quota, for a number of hours in all."""

    def __init__(self, hours: float, clock: Clock) -> None:
        self._clock = clock
        self._until = clock.now() + hours * 3600
        self._seconds = _QUOTA_SECONDS

    def wait(self, error: QuotaExceededError) -> None:
        """Sleep until the next try; raise the error if the time is up."""
        left = self._until - self._clock.now()
        if left <= 0:
            raise error
        logger.warning("%s", error)
        seconds = min(max(error.retry_after or 0.0, self._seconds), left)
        self._seconds = min(2 * self._seconds, _QUOTA_SECONDS_MAX)
        for rest in sleep_in_pieces(self._clock, seconds, _QUOTA_LOG_SECONDS):
            logger.info(
                "Waiting for a new quota: next try in %.0f s, for up to %.1f h more "
                "(setting quota_wait_hours)",
                rest,
                (self._until - self._clock.now()) / 3600,
            )


class _SlotWait:
    """Waits until no export job runs in the tenant, for the time-out of a job in all.

    It polls the list of jobs: the API allows more such calls a day than creations.
    """

    def __init__(self, api: ExportApi, poll: PollPolicy, clock: Clock, deadline: Deadline) -> None:
        self._api = api
        self._poll = poll
        self._clock = clock
        self._deadline = deadline
        self._polls = 1
        self._unlisted_seconds = 0.0
        self._retry_after = 0.0

    def wait(self, error: BusyError) -> None:
        """Return once the list does not show a running job; raise the error if the time is up."""
        logger.warning("%s Waiting until it has ended.", error)
        was_listed = was_unreadable = False
        while not self._deadline.has_passed:
            self._sleep()
            self._polls += 1
            is_listed = self._is_job_listed()
            if is_listed:
                was_listed, self._unlisted_seconds = True, 0.0
                continue
            if is_listed is None and not was_unreadable:
                was_unreadable = True
                continue
            if not was_listed or is_listed is None:
                longer = max(_UNLISTED_SECONDS, 2 * self._unlisted_seconds)
                self._unlisted_seconds = min(longer, _UNLISTED_SECONDS_MAX)
            return
        raise error

    def _is_job_listed(self) -> bool | None:
        """Return whether the list shows a running job; ``None`` if it cannot be read."""
        self._retry_after = 0.0
        deadline = self._deadline.without_retries()
        try:
            now = self._api.server_time() or self._clock.utc()
            jobs = recent(self._api.jobs(deadline), now - _RUNNING_JOB_AGE)
            return any(job.status.is_running for job in jobs)
        except (AuthenticationError, QuotaExceededError):
            raise
        except ApiError as trouble:
            logger.warning("It is unknown whether the job still runs: %s", trouble)
            self._retry_after = trouble.retry_after or 0.0
            return None

    def _sleep(self) -> None:
        seconds = max(
            self._poll.seconds_before(self._polls),
            self._api.poll_pause(),
            self._unlisted_seconds,
            self._retry_after,
        )
        seconds = min(seconds, self._deadline.left())
        for left in sleep_in_pieces(self._clock, seconds, _SLOT_LOG_SECONDS):
            logger.info("Waiting for the export job of another client: next poll in %.0f s", left)
