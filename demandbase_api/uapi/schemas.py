"""Models from the API's JSON. Unknown members are ignored; an unknown status is an error."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from demandbase_api.deadline import NO_DEADLINE
from demandbase_api.errors import ApiOperation, NotReadyError
from demandbase_api.http.json_reader import Reader
from demandbase_api.models import EntityField, ExportJob, ImportJob, JobStatus
from demandbase_api.ports import Job
from demandbase_api.uapi.entities import NAME_BY_TYPE, property_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from demandbase_api.deadline import Deadline
    from demandbase_api.http.client import HttpClient


J = TypeVar("J", bound=Job)

PAGE_SIZE = 100
_PASSES = 3

EXPORT_WORDS = {
    "accepted": JobStatus.PENDING,
    "processing": JobStatus.PROCESSING,
    "finished": JobStatus.COMPLETED,
    "failed": JobStatus.FAILED,
}

IMPORT_WORDS = {
    "new": JobStatus.PENDING,
    "processing": JobStatus.PROCESSING,
    "completed": JobStatus.COMPLETED,
    "failed": JobStatus.FAILED,
}


def fields(described: Sequence[Mapping[str, str]], entity_type: str) -> tuple[EntityField, ...]:
    """Return an entity's fields with the names of their properties.

    Args:
        described: Name, type, label and description of each, as in the response.
        entity_type: Entity type in the API's terms.
    """
    names = property_names((item["name"] for item in described), entity_type)
    found = {
        item["name"]: EntityField(
            name=names[item["name"]],
            type=item.get("dataType", ""),
            description=item.get("description", ""),
            api_name=item["name"],
            label=item.get("label") or None,
        )
        for item in described
    }
    return tuple(found.values())


def described_field(reader: Reader) -> dict[str, str]:
    """Read a ``Field``."""
    members = {"name": reader.required("name", str)}
    for member in ("dataType", "label", "description"):
        text = reader.optional(member, str)
        if text:
            members[member] = text
    return members


def export_job(reader: Reader) -> ExportJob:
    """Read a ``JobDetails``, a ``JobStatus`` or an item of a ``JobDetailsList``."""
    status = reader.status("jobStatus", EXPORT_WORDS)
    kind = reader.optional("entityType", str)
    return ExportJob(
        id=reader.required("jobId", str),
        status=status,
        name=reader.optional("jobName", str),
        entity=None if kind is None else NAME_BY_TYPE.get(kind.lower(), kind),
        created_at=reader.moment("createdAt"),
        completed_at=reader.moment("updatedAt") if status.is_terminal else None,
        error_message=reader.optional("message", str) if status is JobStatus.FAILED else None,
    )


def with_parts(job: ExportJob, parts: int) -> ExportJob:
    """Return a finished job with the number of its files."""
    return replace(job, file_parts=parts)


def links(reader: Reader) -> tuple[str, ...]:
    """Return the links to a finished job's files: one, or one for each part.

    Raises:
        NotReadyError: The response has none yet.
    """
    for member in ("resultsUrls", "resultsUrl"):
        found = reader.optional(member, object)
        several = found if isinstance(found, list) else [found]
        if several and all(isinstance(link, str) and link for link in several):
            return tuple(map(str, several))
    raise NotReadyError(
        ApiOperation.GET_EXPORT,
        "gave a finished job without a link",
        advice="Run again. If the error persists, export again with job_reuse_hours: 0.",
    )


def import_job(reader: Reader) -> ImportJob:
    """Read a ``DataImportJob``."""
    status = reader.status("state", IMPORT_WORDS)
    kind = reader.optional("entityType", str)
    return ImportJob(
        id=str(reader.required("id", int)),
        status=status,
        entity=None if kind is None else NAME_BY_TYPE.get(kind.lower(), kind),
        file_name=reader.optional("dataImportName", str),
        created_at=reader.moment("createdAt"),
        completed_at=reader.moment("updatedAt") if status.is_terminal else None,
    )


def pages(  # noqa: PLR0913, PLR0917
    http: HttpClient,
    operation: ApiOperation,
    path: str,
    params: Mapping[str, str],
    read: Callable[[Reader], J],
    deadline: Deadline = NO_DEADLINE,
) -> Iterator[J]:
    """Yield the jobs of all pages, newest first, each once.

    A job that is created meanwhile moves others to the next page, where they appear again. If the
    pages have fewer jobs than the total, because jobs moved or the list lags behind, they are read
    again, at most twice.
    """
    seen: set[str] = set()
    for _ in range(_PASSES):
        received = 0
        page = 1
        while True:
            query = {**params, "sort": "descending", "page": page, "perPage": PAGE_SIZE}
            response = Reader(operation, http.read(operation, path, query, deadline))
            readers = response.objects("data")
            for reader in readers:
                job = read(reader)
                if job.id not in seen:
                    seen.add(job.id)
                    yield job
            received += len(readers)
            page += 1
            total = response.optional("totalCount", int)
            if total is not None and received >= total:
                return
            if not readers:
                break
        if total is None:
            return
