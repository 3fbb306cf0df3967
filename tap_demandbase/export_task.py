"""One stream's export job, as the life of a job runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import override

from demandbase_api.job_life import JobTask, job_failed
from demandbase_api.models import ExportJob, ExportRequest
from demandbase_api.status import JobStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from demandbase_api.ports import ExportApi


@dataclass(frozen=True)
class ExportTask(JobTask[ExportJob, ExportJob]):
    """Runs an export job to a completed one."""

    api: ExportApi
    request: ExportRequest

    kind = "export"

    @property
    @override
    def entity(self) -> str:
        return self.request.entity

    @override
    def submit(self, created: Callable[[ExportJob], None]) -> ExportJob:
        job = self.api.submit(self.request)
        created(job)
        return job

    @override
    def get(self, job_id: str) -> ExportJob:
        return self.api.get(job_id)

    @override
    def cancel(self, job_id: str) -> None:
        self.api.cancel(job_id)

    @override
    def outcome(self, job: ExportJob) -> ExportJob:
        if job.status is not JobStatus.COMPLETED:
            raise job_failed(self.kind, self.entity, job, may_quote_rows=False)
        return job

    @override
    def progress(self, job: ExportJob) -> str:
        return ""
