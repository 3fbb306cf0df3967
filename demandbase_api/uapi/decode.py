"""From the API's JSON to models. Unknown members are tolerated, unknown statuses are not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from demandbase_api.errors import UnexpectedAnswerError
from demandbase_api.models import EntityField, ExportJob, ImportJob
from demandbase_api.operations import ApiOperation
from demandbase_api.status import JobStatus
from demandbase_api.uapi.entities import NAME_BY_TYPE
from demandbase_api.uapi.field_names import property_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from demandbase_api.json_reader import Reader

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
        described: Name, type, label and description of each, as the API gives them.
        entity_type: The API's word for the entity.
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
    """Return a finished job that says how many files it has."""
    return replace(job, file_parts=parts)


def links(reader: Reader) -> tuple[str, ...]:
    """Return where a finished job's files are: one link, or one for each part.

    Raises:
        UnexpectedAnswerError: There is none.
    """
    for member in ("resultsUrls", "resultsUrl"):
        found = reader.optional(member, object)
        several = found if isinstance(found, list) else [found]
        if several and all(isinstance(link, str) and link for link in several):
            return tuple(map(str, several))
    raise UnexpectedAnswerError(
        ApiOperation.GET_EXPORT,
        "gave a finished job without a link",
        advice="Run again; if it stays, export anew with job_reuse_hours: 0.",
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
