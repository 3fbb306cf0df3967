"""Import jobs of the published API: created, given a file, and worked on by the clock."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from demandbase_sandbox.clock import SandboxClock, rfc3339
from demandbase_sandbox.exceptions import RefusalError, bad_request, not_found
from demandbase_sandbox.tenant.jobs import TERMINAL, JobBook, TenantJobs
from demandbase_sandbox.uapi.activity_types import ActivityTypes, missing_type
from demandbase_sandbox.uapi.entities import IMPORT_ENTITIES
from demandbase_sandbox.uapi.import_rows import REQUIRED, UapiRowImporter, apply_list_action
from demandbase_sandbox.v1.imports import read_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from demandbase_sandbox.options import SandboxOptions
    from demandbase_sandbox.tenant.store import Store
    from demandbase_sandbox.uapi.import_rows import ListAction


KIND = "uapi import"

FIRST_ID = 10_001

SOURCE = "CSV"


class UapiImportJobs(TenantJobs):
    """The import jobs of a tenant."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a tenant has
        self,
        store: Store,
        book: JobBook,
        folder: Path,
        clock: SandboxClock,
        options: SandboxOptions,
        activity_types: ActivityTypes,
    ) -> None:
        super().__init__(store, book, folder, clock, options)
        self._types = activity_types

    def create(self, asked: dict[str, Any], secret: dict[str, Any]) -> dict[str, Any]:
        """Create a job; ``secret`` says what shall go wrong with it.

        Raises:
            RefusalError: 400.
        """
        entity = IMPORT_ENTITIES.get(asked["entityType"])
        if entity is None:
            raise bad_request(f"entityType is one of {', '.join(IMPORT_ENTITIES)}")
        if asked["source"] != SOURCE:
            raise bad_request(f"source is {SOURCE}")
        type_id = asked.get("activityTypeId")
        if (entity == "activities") != (type_id is not None):
            raise bad_request("activityTypeId goes with the entityType Activity")
        if type_id is not None and self._types.name_of(type_id) is None:
            raise missing_type(type_id)
        now = rfc3339(self._clock.now())
        known = [int(job["id"]) for job in self._book.all(KIND)[:1]]
        job = {
            "id": str(max(known, default=FIRST_ID - 1) + 1),
            "entity_type": entity,
            "status": "new",
            **asked,
            "createdAt": now,
            "updatedAt": now,
            "_secret": secret,
        }
        # Ids start anew after a reset: a file of an earlier job of this id is none of it.
        self.file(job["id"]).unlink(missing_ok=True)
        self._book.save(KIND, job)
        return job

    def upload(
        self, job_id: str, file: Path, list_action: ListAction, too_large: int | None = None
    ) -> dict[str, Any]:
        """Take a job's file; ``too_large`` bytes are refused, whatever the options say.

        What is in the file is looked at later: one that is no CSV, or lacks a required header,
        makes the job fail.

        Raises:
            RefusalError: 400 or 404.
        """
        job = self.get(job_id)
        if job["status"] != "new":
            raise bad_request(f"the job takes no data: it is {job['status']}")
        size = file.stat().st_size
        limit = self._options.uapi_max_upload_bytes if too_large is None else too_large
        if size > limit:
            raise bad_request(f"the file is too large: {size} bytes, at most {limit}")
        if not size:
            raise bad_request("the file is empty")
        shutil.move(file, self.file(job_id))
        now = rfc3339(self._clock.now())
        job |= {
            "status": "processing",
            "updatedAt": now,
            "list_action": list_action,
            "_uploaded_at": now,
        }
        self._book.save(KIND, job)
        return job

    def due(self, job: dict[str, Any]) -> datetime:
        """Return when a job is done; one without a file never is."""
        if "_uploaded_at" not in job:
            return datetime.max.replace(tzinfo=UTC)
        seconds = self._options.pending_seconds + self._options.processing_seconds
        return datetime.fromisoformat(job["_uploaded_at"]) + timedelta(seconds=seconds)

    def settle(self, job: dict[str, Any]) -> None:
        """Bring a job to where the clock says it is."""
        now = self._clock.now()
        gone = job["_secret"].get("job_gone")
        created = datetime.fromisoformat(job["createdAt"])
        if gone is not None and now >= created + timedelta(seconds=gone):
            self._book.delete(job["id"])
            return
        if job["status"] in TERMINAL or now < self.due(job) or job["_secret"].get("never_ends"):
            return
        job["updatedAt"] = rfc3339(self.due(job))
        job["status"] = "completed" if self._complete(job) else "failed"
        self._book.save(KIND, job)

    def get(self, job_id: str) -> dict[str, Any]:
        """Return a job.

        Raises:
            RefusalError: 404.
        """
        job = self._book.get(KIND, job_id)
        if job is None:
            raise not_found("there is no such import job")
        return job

    def file(self, job_id: str) -> Path:
        """Return where a job's file is kept."""
        return self._folder / f"{job_id}-import.csv"

    def _complete(self, job: dict[str, Any]) -> bool:
        path, entity = self.file(job["id"]), job["entity_type"]
        if not _is_well_formed(path, REQUIRED[entity]):
            return False
        failed = "job_fails" in job["_secret"]
        type_id = job.get("activityTypeId")
        importer = UapiRowImporter(
            self._store,
            entity,
            None if type_id is None else self._types.name_of(type_id),
            job["updatedAt"],
        )
        outcome = importer.run(path, job["_secret"]["rows"] if failed else None)
        job["outcome"] = asdict(outcome)
        if entity == "accounts":
            apply_list_action(self._store, job["dataImportName"], job["list_action"], outcome.ids)
        return not failed


def _is_well_formed(path: Path, required: tuple[str, ...]) -> bool:
    try:
        rows = read_rows(path)
        header = next(rows, [])
        whole = all(len(row) == len(header) for row in rows)
    except RefusalError:
        return False
    named = len(set(header)) == len(header) and all(name.strip() for name in header)
    return whole and named and not set(required) - set(header)


STATES = frozenset({"new", "processing", "completed", "failed"})


def import_job_page(
    jobs: Sequence[dict[str, Any]],
    asked: Mapping[str, str | None],
    page: int,
    size: int,
    shift: int,
) -> dict[str, Any]:
    """Return a page of the list.

    Args:
        jobs: All jobs, newest first.
        asked: ``entityType`` (in any case), ``state`` and ``sort``, which may be absent. Which
            texts ``sort`` takes is not published; those of the export API are taken.
        page: Which page, from 1.
        size: Jobs on a page.
        shift: By how many jobs the page is moved.

    Raises:
        RefusalError: 400.
    """
    entities = {name.lower() for name in IMPORT_ENTITIES}
    entity = None if asked["entityType"] is None else asked["entityType"].lower()
    state = asked["state"]
    if entity is not None and entity not in entities:
        raise bad_request(f"entityType is one of {', '.join(IMPORT_ENTITIES)}")
    if state is not None and state not in STATES:
        raise bad_request(f"state is one of {', '.join(sorted(STATES))}")
    if asked["sort"] not in {"ascending", "descending"}:
        raise bad_request("sort is ascending or descending")
    if page < 1 or size < 1:
        raise bad_request("page and perPage are positive numbers")
    found = [
        job
        for job in jobs
        if entity in {None, job["entityType"].lower()} and state in {None, job["status"]}
    ]
    if asked["sort"] == "ascending":
        found.reverse()
    start = max(0, (page - 1) * size + shift)
    return {
        "totalCount": len(found),
        "data": [shown(job) for job in found[start : start + size]],
    }


def shown(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job as the API shows it."""
    names = ("dataImportName", "entityType", "createdAt", "updatedAt", "source")
    document = {"id": int(job["id"]), "state": job["status"], **{name: job[name] for name in names}}
    if "activityTypeId" in job:
        document["activityTypeId"] = job["activityTypeId"]
    return document
