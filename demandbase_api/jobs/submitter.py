"""Creation of jobs: each request creates one job, even if the server's response is lost.

Export jobs also wait for what a creation needs: quota, and a free slot in the tenant.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Generic, TypeVar

import backoff

from demandbase_api.clock import sleep_in_pieces
from demandbase_api.errors import (
    ApiError,
    ApiOperation,
    BusyError,
    DemandbaseError,
    QuotaExceededError,
    RateLimitedError,
    TransientError,
    UnexpectedResponseError,
    UnreachableError,
)
from demandbase_api.jobs.poller import recent
from demandbase_api.models import ExportJob, ExportRequest
from demandbase_api.ports import Job

if TYPE_CHECKING:
    from collections.abc import Callable

    from demandbase_api.clock import Clock
    from demandbase_api.http.retry import RetryPolicy
    from demandbase_api.jobs.poller import PollPolicy
    from demandbase_api.ports import ExportApi

logger = logging.getLogger(__name__)

R = TypeVar("R")
J = TypeVar("J", bound=Job)

_LOOKUPS = 3
"""How often a lost job is looked up: the list of jobs may lag behind."""

_SLOT_LOG_SECONDS = 10.0
_RUNNING_JOB_AGE = timedelta(days=1)
"""Maximum age of a job that may still run."""
_UNLISTED_SECONDS = 60.0
_UNLISTED_SECONDS_MAX = 900.0
"""Waits while the list does not show the running job: each try is one of the few calls a day."""

_QUOTA_LOG_SECONDS = 60.0
_QUOTA_SECONDS = 60.0
_QUOTA_SECONDS_MAX = 900.0
"""Waits between two tries if the server names none."""


class JobSubmitter(Generic[R, J]):
    """Creates jobs. A request whose response was lost is looked up before it is sent again.

    Args:
        send: Sends a request.
        find: Returns the job that a request created. ``None`` if the API has no means to tell it
            from the jobs of others.
        retry: How often to try.
    """

    def __init__(
        self, send: Callable[[R], J], find: Callable[[R], J | None] | None, retry: RetryPolicy
    ) -> None:
        self._send = send
        self._find = find
        self._retry = retry
        self._unconfirmed: R | None = None

    def submit(self, request: R) -> J:
        """Create a job. The caller confirms once it has recorded the job.

        Raises:
            ApiError: The server rejected the request, or no try got a response.
        """
        try:
            return self._retry.call(self._submit_once, request)
        except TransientError:
            job = self._find_lost(request)
            if job is None:
                raise
            return job

    def confirm(self) -> None:
        """Forget the last request: the caller has recorded its job, or gives it up."""
        self._unconfirmed = None

    @property
    def is_unconfirmed(self) -> bool:
        """Whether a request may have created a job that the caller does not know."""
        return self._unconfirmed is not None

    def find_unconfirmed(self) -> J | None:
        """Return the job of an interrupted submission, or ``None`` if it cannot be found."""
        if self._unconfirmed is None or self._find is None:
            return None
        try:
            return self._find(self._unconfirmed)
        except DemandbaseError as error:
            logger.warning("A job may have been created and may still run: %s", error)
            return None

    def _submit_once(self, request: R) -> J:
        job = self._find_lost(request)
        if job is not None:
            return job
        self._unconfirmed = request
        try:
            return self._send(request)
        except DemandbaseError as error:
            if not may_have_succeeded(error):
                self._unconfirmed = None
            raise

    def _find_lost(self, request: R) -> J | None:
        """Return the job that an earlier try created, if its response was lost."""
        if self._unconfirmed is None or self._find is None:
            return None
        find = backoff.on_predicate(
            backoff.constant,
            lambda job: job is None,
            max_tries=_LOOKUPS,
            jitter=None,
            logger=None,
            interval=self._retry.base_seconds,
        )(self._find)
        job = find(request)
        if job is not None:
            logger.info("The response to a creation was lost; it created the job %s", job.id)
        return job


def may_have_succeeded(error: DemandbaseError) -> bool:
    """Return whether the server may have done what was requested, in spite of the error."""
    match error:
        case ApiError() if error.operation is ApiOperation.ISSUE_TOKEN:
            return False  # the request itself was not sent
        case UnreachableError():
            return not error.nothing_sent
        case RateLimitedError() if error.operation.creates_a_job:
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
        find: Callable[[ExportRequest], ExportJob | None],
        *,
        retry: RetryPolicy,
        poll: PollPolicy,
        quota_wait_hours: float,
        clock: Clock,
    ) -> None:
        super().__init__(api.submit, find, retry)
        self._api = api
        self._poll = poll
        self._quota_wait_hours = quota_wait_hours
        self._clock = clock

    def submit_when_possible(self, request: ExportRequest) -> ExportJob:
        """Create a job; wait while the quota is used up or other jobs take all slots.

        Raises:
            QuotaExceededError: There was no new quota in time.
            BusyError: No slot became free in time.
            ApiError: The server rejected the request, or no try got a response.
        """
        quota = _QuotaWait(self._quota_wait_hours, self._clock)
        while True:
            try:
                return self._submit_when_free(request)
            except QuotaExceededError as error:
                quota.wait(error)

    def _submit_when_free(self, request: ExportRequest) -> ExportJob:
        slot = _SlotWait(self._api, self._poll, self._clock)
        while True:
            try:
                return self.submit(request)
            except BusyError as error:
                slot.wait(error)

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
        seconds = min(error.retry_after or self._seconds, left)
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

    def __init__(self, api: ExportApi, poll: PollPolicy, clock: Clock) -> None:
        self._api = api
        self._poll = poll
        self._clock = clock
        self._until = clock.now() + poll.timeout_seconds
        self._polls = 1
        self._unlisted_seconds = 0.0

    def wait(self, error: BusyError) -> None:
        """Return once the list shows no running job; raise the error if the time is up."""
        logger.warning("%s Waiting until it has ended.", error)
        was_listed = False
        while self._clock.now() < self._until:
            self._sleep()
            self._polls += 1
            try:
                is_listed = self._is_job_running()
            except TransientError as trouble:
                logger.warning("Cannot tell whether the job still runs: %s", trouble)
                continue
            if is_listed:
                was_listed, self._unlisted_seconds = True, 0.0
                continue
            if not was_listed:
                longer = max(_UNLISTED_SECONDS, 2 * self._unlisted_seconds)
                self._unlisted_seconds = min(longer, _UNLISTED_SECONDS_MAX)
            return
        raise error

    def _is_job_running(self) -> bool:
        jobs = recent(self._api.jobs(), self._clock.utc() - _RUNNING_JOB_AGE)
        return any(job.status.is_running for job in jobs)

    def _sleep(self) -> None:
        seconds = max(
            self._poll.seconds_before(self._polls), self._api.poll_pause(), self._unlisted_seconds
        )
        seconds = min(seconds, self._until - self._clock.now())
        for left in sleep_in_pieces(self._clock, seconds, _SLOT_LOG_SECONDS):
            logger.info("Waiting for the export job of another client: next poll in %.0f s", left)
