"""Import jobs of ``uapi``."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from demandbase_sandbox.clock import rfc3339
from demandbase_sandbox.exceptions import ApiError, bad_request, not_found
from demandbase_sandbox.faults import NO_FAULTS, JobFaults
from demandbase_sandbox.tenant.files import read_rows
from demandbase_sandbox.tenant.jobs import Job, SimulatedJobs
from demandbase_sandbox.uapi.entities import IMPORT_ENTITIES
from demandbase_sandbox.uapi.import_rows import (
    REQUIRED,
    ImportRules,
    UapiRowImporter,
    apply_list_action,
)
from demandbase_sandbox.uapi.schemas import DataImportJob, DataImportJobs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from demandbase_sandbox.clock import SandboxClock
    from demandbase_sandbox.options import SandboxOptions
    from demandbase_sandbox.tenant.store import Store
    from demandbase_sandbox.uapi.activity_types import ActivityTypes
    from demandbase_sandbox.uapi.import_rows import ImportOutcome, ListAction
    from demandbase_sandbox.uapi.sources import TenantSources

FIRST_ID = 10_001

STATES = frozenset({"new", "processing", "completed", "failed"})


@dataclass(kw_only=True)
class UapiImportJob(Job):
    """An import job of ``uapi``.

    Args:
        published_type: Entity type of the API.
        request: Members of the request.
    """

    published_type: str
    name: str
    source: str
    activity_type_id: int | None
    updated_at: datetime
    request: dict[str, Any]
    uploaded_at: datetime | None = None
    list_action: ListAction = "noop"
    outcome: ImportOutcome | None = None

    @property
    @override
    def queued_at(self) -> datetime | None:
        return self.uploaded_at

    @property
    @override
    def ended_at(self) -> datetime | None:
        return self.updated_at if self.has_ended else None


class UapiImportJobs(SimulatedJobs[UapiImportJob]):
    """The import jobs of a tenant."""

    def __init__(  # noqa: PLR0913, PLR0917 - the tenant's parts
        self,
        store: Store,
        folder: Path,
        clock: SandboxClock,
        options: SandboxOptions,
        activity_types: ActivityTypes,
        sources: TenantSources,
    ) -> None:
        super().__init__(store, folder, clock, options)
        self._types = activity_types
        self._sources = sources
        self._last_id = FIRST_ID - 1

    @override
    def clear(self) -> None:
        super().clear()
        self._last_id = FIRST_ID - 1

    def create(self, members: dict[str, Any], faults: JobFaults = NO_FAULTS) -> UapiImportJob:
        """Create a job.

        Raises:
            ApiError: 400.
        """
        entity = IMPORT_ENTITIES.get(members["entityType"])
        if entity is None:
            raise bad_request(f"entityType is one of {', '.join(IMPORT_ENTITIES)}")
        sources = self._sources.names(members["entityType"])
        if members["source"] not in sources:
            raise bad_request(f"source is one of {', '.join(sources)}")
        type_id = members.get("activityTypeId")
        if (entity == "activities") != (type_id is not None):
            raise bad_request("activityTypeId goes with the entityType Activity")
        if type_id is not None and self._types.name_of(type_id) is None:
            raise bad_request(f"there is no activity type {type_id}")
        now = self._clock.now()
        self._last_id += 1
        job = UapiImportJob(
            id=str(self._last_id),
            entity_type=entity,
            status="new",
            created_at=now,
            updated_at=now,
            published_type=members["entityType"],
            name=members["dataImportName"],
            source=members["source"],
            activity_type_id=type_id,
            request=members,
            faults=faults,
        )
        if faults.foreign:
            job.name = job.name[:-1] + ("1" if job.name.endswith("0") else "0")
            if faults.never_ends:
                job.status, job.uploaded_at = "processing", now
        # Ids start again after a reset, so an earlier job of this id can have left a file.
        self.file(job.id).unlink(missing_ok=True)
        return self.add(job)

    def upload(
        self, job_id: str, file: Path, list_action: ListAction, too_large: int | None = None
    ) -> UapiImportJob:
        """Store a job's file; ``too_large`` is a maximum size in place of the option.

        The content is checked later: a file that is not CSV, or lacks a required header, makes
        the job fail.

        Raises:
            ApiError: 400 or 404.
        """
        job = self.get(job_id)
        if job.status != "new":
            raise bad_request(f"the job takes no data: it is {job.status}")
        size = file.stat().st_size
        limit = self._options.uapi_max_upload_bytes if too_large is None else too_large
        if size > limit:
            raise bad_request(f"the file is too large: {size} bytes, at most {limit}")
        if not size:
            raise bad_request("the file is empty")
        shutil.move(file, self.file(job_id))
        job.status = "processing"
        job.updated_at = job.uploaded_at = self._clock.now()
        job.list_action = list_action
        return job

    def file(self, job_id: str) -> Path:
        """Return the path of a job's file."""
        return self._folder / f"{job_id}-import.csv"

    @override
    def document(self, job: UapiImportJob) -> dict[str, Any]:
        return {
            "id": job.id,
            "entity_type": job.entity_type,
            "status": job.status,
            **job.request,
            "createdAt": rfc3339(job.created_at),
            "updatedAt": rfc3339(job.updated_at),
            **({"list_action": job.list_action} if job.uploaded_at else {}),
            **({"outcome": asdict(job.outcome)} if job.outcome else {}),
        }

    @override
    def _unknown(self) -> ApiError:
        return not_found("there is no such import job")

    @override
    def _process(self, job: UapiImportJob, now: datetime) -> None:
        """Do nothing: the status is ``processing`` from the upload on."""

    @override
    def _end(self, job: UapiImportJob, end: datetime) -> None:
        job.updated_at = end
        job.status = "failed"
        path, rules = self.file(job.id), self._rules(job)
        if not self._is_well_formed(path, job.entity_type, rules):
            return
        failed = job.faults.fails is not None
        importer = UapiRowImporter(self._store, job.entity_type, rules, rfc3339(end))
        job.outcome = importer.run(path, job.faults.rows if failed else None)
        if job.entity_type == "accounts":
            apply_list_action(self._store, job.name, job.list_action, job.outcome.ids)
        if not failed:
            job.status = "completed"

    def _rules(self, job: UapiImportJob) -> ImportRules:
        required = REQUIRED[job.entity_type]
        labels = self._sources.labels(job.source, job.entity_type)
        if job.activity_type_id is None:
            return ImportRules(required, labels=labels)
        fields = self._types.get(str(job.activity_type_id)).fields
        needed = (each.field_name for each in fields if each.is_required_for_csv_import)
        return ImportRules(
            tuple(dict.fromkeys([*required, *needed])),
            self._types.name_of(job.activity_type_id),
            tuple(each.field_name for each in fields),
            labels,
        )

    def _is_well_formed(self, path: Path, entity: str, rules: ImportRules) -> bool:
        try:
            rows = read_rows(path)
            header = rules.read(next(rows, []), self._store, entity)
            whole = all(len(row) == len(header) for row in rows)
        except ApiError:
            return False
        named = len(set(header)) == len(header) and all(name.strip() for name in header)
        return whole and named and not set(rules.required) - set(header)


def import_job_page(
    jobs: Sequence[UapiImportJob],
    parameters: Mapping[str, str | None],
    page: int,
    size: int,
    shifted: Callable[[int], int],
) -> DataImportJobs:
    """Return a page of the list.

    Args:
        jobs: All jobs, newest first.
        parameters: ``entityType`` (not case-sensitive), ``state`` and ``sort``, whose values are
            not published; they are those of the export API.
        page: Number of the page, from 1.
        size: Number of jobs on a page.
        shifted: Returns where the page starts that is requested at an offset.

    Raises:
        ApiError: 400.
    """
    entities = {name.lower() for name in IMPORT_ENTITIES}
    entity = None if parameters["entityType"] is None else parameters["entityType"].lower()
    state = parameters["state"]
    if entity is not None and entity not in entities:
        raise bad_request(f"entityType is one of {', '.join(IMPORT_ENTITIES)}")
    if state is not None and state not in STATES:
        raise bad_request(f"state is one of {', '.join(sorted(STATES))}")
    if parameters["sort"] not in {"ascending", "descending"}:
        raise bad_request("sort is ascending or descending")
    if page < 1 or size < 1:
        raise bad_request("page and perPage are positive numbers")
    found = [
        job
        for job in jobs
        if entity in {None, job.published_type.lower()} and state in {None, job.status}
    ]
    if parameters["sort"] == "ascending":
        found.reverse()
    start = shifted((page - 1) * size)
    page_jobs = found[start : start + size]
    return DataImportJobs(
        total_count=len(found), data=[DataImportJob.model_validate(job) for job in page_jobs]
    )
