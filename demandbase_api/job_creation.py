"""Creates a job once, even where the server's reply is lost."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from demandbase_api.errors import DemandbaseError, TransientError, UnreachableError
from demandbase_api.status import JobStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from demandbase_api.models import ExportJob, ExportRequest
    from demandbase_api.ports import ExportApi
    from demandbase_api.retry import RetryPolicy

logger = logging.getLogger(__name__)


class JobCreation:
    """Creates export jobs.

    A creation without an answer is looked up in the job list before it is repeated.

    Args:
        api: Where to.
        retry: How often to try.
        jobs: Lists the newest jobs as they are now.
    """

    def __init__(
        self, api: ExportApi, retry: RetryPolicy, jobs: Callable[[], Iterable[ExportJob]]
    ) -> None:
        self._api = api
        self._retry = retry
        self._jobs = jobs
        self._unanswered: ExportRequest | None = None
        self._used: Collection[str] = ()
        self.known: set[str] = set()
        """Ids of the jobs that were there before."""

    def create(self, request: ExportRequest, used: Collection[str]) -> ExportJob:
        """Create a job.

        Args:
            request: What to ask for.
            used: Ids of the jobs that this run uses already.

        Raises:
            ApiError: It was refused, or there was no answer however often it was tried.
        """
        self._used = used

        def attempt() -> ExportJob:
            if self._unanswered is not None and (job := self._find(request)) is not None:
                logger.info(
                    "The reply to a creation was lost: it is the export job %s for %s",
                    job.id,
                    request.entity,
                )
                return job
            self._unanswered = request
            try:
                job = self._api.submit(request)
            except DemandbaseError as error:
                if not _may_have_happened(error):
                    self._unanswered = None
                raise
            return job

        try:
            return self._retry.retrying(attempt)()
        except TransientError:
            if self._unanswered is not None and (job := self._find(request)) is not None:
                return job
            raise

    def settled(self) -> None:
        """Note that the job that was created last is known to the caller."""
        self._unanswered = None

    def unanswered(self) -> ExportJob | None:
        """Return the job of a creation that was interrupted, where there is one."""
        if self._unanswered is None:
            return None
        try:
            return self._find(self._unanswered)
        except DemandbaseError as error:
            logger.warning("An export job may have been created and still run: %s", error)
            return None

    def _find(self, request: ExportRequest) -> ExportJob | None:
        for job in self._jobs():
            if (
                job.id not in self.known
                and job.id not in self._used
                and job.status not in {JobStatus.CANCELLED, JobStatus.FAILED}
                and self._api.is_for(job, request)
            ):
                return job
        return None


def _may_have_happened(error: DemandbaseError) -> bool:
    match error:
        case UnreachableError():
            return not error.nothing_sent
        case _:
            # A 5xx may come from a proxy in front of a server that did its work.
            return isinstance(error, TransientError)
