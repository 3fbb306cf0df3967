"""One import job, as the life of a job runs it: create, upload, wait, read the row errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import override

from demandbase_api.job_life import JobTask, job_failed
from demandbase_api.models import ImportJob, ImportRequest
from demandbase_api.status import JobStatus
from target_demandbase.digest import RejectDigest
from target_demandbase.errors import ReconciliationError, RejectedRowsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from demandbase_api.ports import ImportApi
    from target_demandbase.staging import StagedFile


@dataclass(frozen=True)
class ImportTask(JobTask[ImportJob, ImportJob]):
    """Brings one staged file to Demandbase."""

    api: ImportApi
    request: ImportRequest
    file: StagedFile
    file_name: str
    stream: str

    kind = "import"

    @property
    @override
    def entity(self) -> str:
        return self.request.entity

    @override
    def submit(self, created: Callable[[ImportJob], None]) -> ImportJob:
        job = self.api.submit(self.request)
        created(job)
        return self.api.upload(job.id, self.file.open(), self.file_name)

    @property
    @override
    def source(self) -> ImportApi:
        return self.api

    @override
    def progress(self, job: ImportJob) -> str:
        if job.processed_rows is None or job.total_rows is None:
            return ""
        return f"{job.processed_rows} of {job.total_rows} rows"

    @override
    def outcome(self, job: ImportJob) -> ImportJob:
        """Return a job that took every row.

        Raises:
            RejectedRowsError: It did not take some.
            ReconciliationError: Its counts do not add up to what was sent.
            JobFailedError: It failed.
        """
        digest = RejectDigest()
        if job.error_count != 0:
            for error in self.api.row_errors(job.id):
                digest.add(error)
        if job.error_count or digest.errors:
            count = max(job.error_count or 0, len(digest.rows))
            details = "; ".join(digest.lines()) or "Demandbase lists no row errors"
            raise RejectedRowsError(
                f"Demandbase rejected {count} of {self.file.rows} rows of stream {self.stream} "
                f"in the import job {job.id}: {details}. Correct these rows at the source and "
                "run again; the other rows of the job have landed.",
                stream=self.stream,
            )
        if job.status is not JobStatus.COMPLETED:
            raise job_failed(self.kind, self.entity, job, may_quote_rows=True)
        for figure, counted in (
            ("total_rows", job.total_rows),
            ("success_count", job.success_count),
        ):
            if counted is not None and counted != self.file.rows:
                raise ReconciliationError(
                    f"The import job {job.id} of stream {self.stream} says {figure} = {counted}, "
                    f"but {self.file.rows} rows were sent. Look at the job in Demandbase "
                    "before you run again.",
                    stream=self.stream,
                )
        return job
