"""Creates a job once, even where the server's reply is lost."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Generic, TypeVar

import backoff

from demandbase_api.errors import (
    DemandbaseError,
    RateLimitedError,
    TransientError,
    UnexpectedAnswerError,
    UnreachableError,
)
from demandbase_api.job_source import Job

if TYPE_CHECKING:
    from collections.abc import Callable

    from demandbase_api.retry import RetryPolicy

logger = logging.getLogger(__name__)

_LOOKS = 3

R = TypeVar("R")
J = TypeVar("J", bound=Job)


class JobCreation(Generic[R, J]):
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
