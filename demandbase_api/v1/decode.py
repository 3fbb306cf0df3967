"""From the v1 API's JSON to models. Unknown members are tolerated, unknown statuses are not.

Source of the shapes: the schemas of the OpenAPI documents of the Data Export and the Data
Import API, version 1.0. No member is required there; only those without which a job cannot
be followed are required here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from demandbase_api.errors import UnexpectedAnswerError
from demandbase_api.models import (
    Entity,
    EntityField,
    ExportJob,
    FieldMapping,
    ImportJob,
    RowError,
)
from demandbase_api.status import JobStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demandbase_api.operations import ApiOperation

T = TypeVar("T")


class Reader:
    """Reads the members of one JSON object of an answer.

    Args:
        operation: The call that was answered, for errors.
        data: The object.

    Raises:
        UnexpectedAnswerError: From every method, where a member is missing or of another type;
            it names the member and never shows its value.
    """

    def __init__(self, operation: ApiOperation, data: object) -> None:
        self._operation = operation
        if not isinstance(data, dict):
            raise self._unexpected("gave something other than an object in a list of objects")
        self._data: Mapping[str, Any] = data

    def _unexpected(self, problem: str) -> UnexpectedAnswerError:
        return UnexpectedAnswerError(self._operation, problem)

    def optional(self, name: str, kind: type[T]) -> T | None:
        """Return a member, or ``None`` where it is absent or null."""
        value = self._data.get(name)
        if value is None:
            return None
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self._unexpected(f"gave a member “{name}” that is no {kind.__name__}")
        return value

    def required(self, name: str, kind: type[T]) -> T:
        """Return a member that must be there."""
        value = self.optional(name, kind)
        if value is None:
            raise self._unexpected(f"left out the member “{name}”")
        return value

    def moment(self, name: str) -> datetime | None:
        """Return a date-time member as UTC; one without an offset is taken for UTC."""
        text = self.optional(name, str)
        if text is None:
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise self._unexpected(f"gave a member “{name}” that is no date-time") from None
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)

    def status(self) -> JobStatus:
        """Return the job's state; a word that the contract lacks is shown in the error."""
        word = self.required("status", str)
        try:
            return JobStatus(word)
        except ValueError:
            known = ", ".join(JobStatus)
            raise self._unexpected(
                f"gave a job the unknown status “{word[:40]}” (known: {known})"
            ) from None

    def objects(self, name: str) -> list[Reader]:
        """Return a list member's objects; an absent one is empty."""
        return [Reader(self._operation, item) for item in self.optional(name, list) or ()]


def entity(reader: Reader) -> Entity:
    """Read an ``ExportableEntity``."""
    return Entity(
        name=reader.required("name", str),
        description=reader.optional("description", str) or "",
        fields=tuple(
            EntityField(
                name=item.required("name", str),
                type=item.optional("type", str) or "",
                description=item.optional("description", str) or "",
            )
            for item in reader.objects("fields")
        ),
    )


def export_job(reader: Reader) -> ExportJob:
    """Read an ``ExportJob``."""
    fields = reader.optional("fields", list)
    return ExportJob(
        id=reader.required("id", str),
        status=reader.status(),
        entity=reader.optional("entity_type", str),
        fields=None if fields is None else tuple(str(name) for name in fields),
        filters=reader.optional("filters", dict),
        record_count=reader.optional("record_count", int),
        file_size_bytes=reader.optional("file_size_bytes", int),
        file_parts=reader.optional("file_parts", int),
        download_url=reader.optional("download_url", str),
        created_at=reader.moment("created_at"),
        completed_at=reader.moment("completed_at"),
        expires_at=reader.moment("expires_at"),
        error_message=reader.optional("error_message", str),
    )


def import_job(reader: Reader) -> ImportJob:
    """Read an ``ImportJob``."""
    return ImportJob(
        id=reader.required("id", str),
        status=reader.status(),
        entity=reader.optional("entity_type", str),
        operation=reader.optional("operation", str),
        total_rows=reader.optional("total_rows", int),
        processed_rows=reader.optional("processed_rows", int),
        success_count=reader.optional("success_count", int),
        error_count=reader.optional("error_count", int),
        file_name=reader.optional("file_name", str),
        file_size_bytes=reader.optional("file_size_bytes", int),
        created_at=reader.moment("created_at"),
        started_at=reader.moment("started_at"),
        completed_at=reader.moment("completed_at"),
        error_message=reader.optional("error_message", str),
    )


def row_error(reader: Reader) -> RowError:
    """Read an ``ImportError``."""
    return RowError(
        row_number=reader.optional("row_number", int),
        field=reader.optional("field", str),
        error_type=reader.optional("error_type", str),
        value=reader.optional("value", str),
        message=reader.optional("message", str),
    )


def field_mapping(reader: Reader) -> FieldMapping:
    """Read a ``FieldMapping``."""
    return FieldMapping(
        entity=reader.required("entity_type", str),
        name=reader.required("field_name", str),
        type=reader.optional("field_type", str) or "string",
        required=bool(reader.optional("required", bool)),
        description=reader.optional("description", str) or "",
    )
