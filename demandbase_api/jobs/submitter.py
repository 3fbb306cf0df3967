"""Creates a job once, even where the server's reply is lost."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Generic, TypeVar

import backoff

from demandbase_api.errors import (
    BusyError,
    DemandbaseError,
    QuotaExceededError,
    RateLimitedError,
    TransientError,
    UnexpectedAnswerError,
    UnreachableError,
)
from demandbase_api.jobs.poller import recent
from demandbase_api.ports import Job

if TYPE_CHECKING:
    from collections.abc import Callable

    from demandbase_api.clock import Clock
    from demandbase_api.http.retry import RetryPolicy
    from demandbase_api.jobs.poller import PollPolicy
    from demandbase_api.ports import ExportApi


logger = logging.getLogger(__name__)

_LOOKS = 3

R = TypeVar("R")

J = TypeVar("J", bound=Job)


class JobSubmitter(Generic[R, J]):
    """Creates jobs.

    A creation without an answer is looked up before it is repeated.

    Args:
        submit: Creates a job.
        find: Returns the job that was created for a request without an answer, where there is
            one; ``None`` where nothing tells such a job from others'.
        retry: How often to try.
    """

    def __init__(
        self, submit: Callable[[R], J], find: Callable[[R], J | None] | None, retry: RetryPolicy
    ) -> None:
        self._submit = submit
        self._look_up = find
        self._retry = retry
        self._unanswered: R | None = None

    def create(self, request: R) -> J:
        """Create a job; ``settled`` must follow once the caller knows it.

        Raises:
            ApiError: It was refused, or there was no answer however often it was tried.
        """

        def attempt() -> J:
            if self._unanswered is not None and (job := self._find(request)) is not None:
                return job
            self._unanswered = request
            try:
                return self._submit(request)
            except DemandbaseError as error:
                if not may_have_happened(error):
                    self._unanswered = None
                raise

        try:
            return self._retry.retrying(attempt)()
        except TransientError:
            if self._unanswered is not None and (job := self._find(request)) is not None:
                return job
            raise

    def settled(self) -> None:
        """Note that the job that was created last is known to the caller."""
        self._unanswered = None

    @property
    def is_unanswered(self) -> bool:
        """Whether a creation was begun whose job is not known."""
        return self._unanswered is not None

    def unanswered(self) -> J | None:
        """Return the job of a creation that was interrupted, where there is one."""
        if self._unanswered is None or self._look_up is None:
            return None
        try:
            return self._look_up(self._unanswered)
        except DemandbaseError as error:
            logger.warning("A job may have been created and still run: %s", error)
            return None

    def _find(self, request: R) -> J | None:
        """Look for a job, more than once: a list may lag behind."""
        if self._look_up is None:
            return None
        look = backoff.on_predicate(
            backoff.constant,
            lambda job: job is None,
            max_tries=_LOOKS,
            jitter=None,
            logger=None,
            interval=self._retry.base_seconds,
        )(self._look_up)
        job: J | None = look(request)
        if job is not None:
            logger.info("The reply to a creation was lost: it is the job %s", job.id)
        return job


def may_have_happened(error: DemandbaseError) -> bool:
    """Return whether a request may have been carried out though it ended in an error."""
    match error:
        case UnreachableError():
            return not error.nothing_sent
        case RateLimitedError() if error.operation.creates_a_job:
            return False
        case UnexpectedAnswerError():
            # It was done, and the answer cannot be read.
            return error.status is None or error.status < HTTPStatus.BAD_REQUEST
        case _:
            # A 5xx may come from a proxy in front of a server that did its work.
            return isinstance(error, TransientError)


T = TypeVar("T")

_SLOT_LOG_SECONDS = 10.0

_OLDEST = timedelta(days=1)

_UNSEEN_SECONDS, _UNSEEN_SECONDS_MAX = 60.0, 900.0

"""How long to wait where the list does not show the job that is in the way: each try is a call of
which a day has few."""


@dataclass(slots=True)
class _Wait:
    """How often the list was looked at, and how long the next look has to wait at least."""

    looks: int = 1
    unseen_seconds: float = 0.0

    def ended(self, *, is_seen: bool) -> None:
        """Note that no job runs any more; whether one was seen to."""
        longer = max(_UNSEEN_SECONDS, 2 * self.unseen_seconds)
        self.unseen_seconds = 0.0 if is_seen else min(longer, _UNSEEN_SECONDS_MAX)


@dataclass(frozen=True, slots=True)
class JobSlot:
    """The place that a job needs to be created.

    Args:
        api: Where the jobs are.
        poll: How often to look and for how long.
        clock: Time.
    """

    api: ExportApi
    poll: PollPolicy
    clock: Clock

    def waiting(self, create: Callable[[], T]) -> Callable[[], T]:
        """Return a function that creates a job once there is a place for it.

        Raises:
            BusyError: From the function: there is none in time.
        """

        def patient() -> T:
            until = self.clock.now() + self.poll.timeout_seconds
            wait = _Wait()
            while True:
                try:
                    return create()
                except BusyError as error:
                    logger.warning("%s It is waited for.", error)
                    self._await_free(wait, until, error)

        return patient

    def _await_free(self, wait: _Wait, until: float, error: BusyError) -> None:
        """Return once no job runs, having looked at the list, which costs less than to try."""
        is_seen = False
        while True:
            if self.clock.now() >= until:
                raise error
            seconds = max(
                self.poll.wait_before(wait.looks), self.api.poll_pause(), wait.unseen_seconds
            )
            self._sleep(min(seconds, until - self.clock.now()))
            wait.looks += 1
            try:
                since = self.clock.utc() - _OLDEST
                if all(job.status.is_terminal for job in recent(self.api.jobs(), since)):
                    wait.ended(is_seen=is_seen)
                    return
                is_seen, wait.unseen_seconds = True, 0.0
            except TransientError as trouble:
                logger.warning("Whether the job still runs is not known: %s", trouble)

    def _sleep(self, seconds: float) -> None:
        end = self.clock.now() + seconds
        while (left := end - self.clock.now()) > 0:
            logger.info("Waiting for somebody else's export job: next look in %.0f s", left)
            self.clock.sleep(min(left, _SLOT_LOG_SECONDS))


_QUOTA_LOG_SECONDS = 60.0

_GROWTH = 2


@dataclass(frozen=True, slots=True)
class QuotaPatience:
    """How long to wait for a new quota.

    Args:
        hours: How long in all; 0 for not at all.
        first_seconds: The first wait between two tries; doubled at each further one.
        max_seconds: The longest wait, where the server names none.
    """

    hours: float
    first_seconds: float = 60.0
    max_seconds: float = 900.0

    def waiting(self, create: Callable[[], T], clock: Clock) -> Callable[[], T]:
        """Return a function that creates a job, however often the quota refuses it meanwhile."""

        def patient() -> T:
            until = clock.now() + self.hours * 3600
            pause = self.first_seconds
            while True:
                try:
                    return create()
                except QuotaExceededError as error:
                    left = until - clock.now()
                    if left <= 0:
                        raise
                    logger.warning("%s", error)
                    _sleep(min(error.retry_after or pause, left), until, clock)
                    pause = min(pause * _GROWTH, self.max_seconds)

        return patient


def _sleep(seconds: float, until: float, clock: Clock) -> None:
    end = clock.now() + seconds
    while (left := end - clock.now()) > 0:
        logger.info(
            "Waiting for a new quota: next try in %.0f s, for up to %.1f h more "
            "(setting quota_wait_hours)",
            left,
            (until - clock.now()) / 3600,
        )
        clock.sleep(min(left, _QUOTA_LOG_SECONDS))
