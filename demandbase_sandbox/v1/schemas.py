"""Request and response models of the v1 contract, and base classes for both APIs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from demandbase_sandbox.clock import rfc3339


def _encodable(text: str) -> str:
    # JSON can spell half of a surrogate pair, which cannot be encoded as UTF-8.
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it holds half of a surrogate pair") from None
    return text


Text = Annotated[str, AfterValidator(_encodable)]

# An optional member may be absent, but not null, so its type does not include None.
_ABSENT: Any = None


class Strict(BaseModel):
    """A request's object: wrong types, nulls and unknown members are rejected."""

    model_config = ConfigDict(strict=True, extra="forbid")

    def members(self) -> dict[str, Any]:
        """Return the members that have a value, by their names in the API."""
        return self.model_dump(exclude_none=True, by_alias=True)


class DateRangeBody(Strict):
    """``filters.date_range``."""

    field: Text
    start: Text = Field(default=_ABSENT, json_schema_extra={"format": "date"})
    end: Text = Field(default=_ABSENT, json_schema_extra={"format": "date"})


class FiltersBody(Strict):
    """``filters`` of an export."""

    date_range: DateRangeBody = Field(default=_ABSENT)
    account_list_id: Text = Field(default=_ABSENT)


class CreateExport(Strict):
    """``CreateExportJobRequest``."""

    entity_type: Text
    fields: list[Text] = Field(default=_ABSENT)
    filters: FiltersBody = Field(default=_ABSENT)
    format: Literal["csv"] = "csv"


class MappingBody(Strict):
    """One of ``field_mappings``."""

    csv_column: Text
    demandbase_field: Text


class CreateImport(Strict):
    """``CreateImportJobRequest``."""

    entity_type: Text
    operation: Literal["insert", "update", "upsert"]
    match_key: Text = Field(default=_ABSENT)
    field_mappings: list[MappingBody] = Field(default=_ABSENT)


Timestamp = Annotated[str, BeforeValidator(lambda value: rfc3339(value) if value else value)]
"""A time as the APIs write it."""


class Document(BaseModel):
    """A response's object, built from the attributes of another object."""

    model_config = ConfigDict(from_attributes=True)


class ExportJobDocument(Document):
    """``ExportJob``; members that do not apply yet are left out."""

    id: str
    entity_type: str
    status: str
    fields: list[str]
    filters: dict[str, Any]
    record_count: int | None = None
    file_size_bytes: int | None = None
    file_parts: int | None = None
    download_url: str | None = None
    created_at: Timestamp
    completed_at: Timestamp | None = None
    expires_at: Timestamp | None = None
    error_message: str | None = None


class ImportJobDocument(Document):
    """``ImportJob``; members that do not apply yet are left out."""

    id: str
    entity_type: str
    operation: str
    status: str
    total_rows: int | None = None
    processed_rows: int | None = None
    success_count: int | None = None
    error_count: int | None = None
    file_name: str | None = None
    file_size_bytes: int | None = None
    created_at: Timestamp
    started_at: Timestamp | None = None
    completed_at: Timestamp | None = None
    error_message: str | None = None


class RowErrorDocument(Document):
    """``ImportError``."""

    row_number: int
    field: str
    value: str
    error_type: str
    message: str


class FieldDocument(Document):
    """A field of an entity."""

    name: str
    type: str
    description: str


class EntityDocument(Document):
    """``ExportableEntity``."""

    name: str
    description: str
    fields: list[FieldDocument]


class MappingDocument(Document):
    """``FieldMapping``."""

    entity_type: str
    field_name: str
    field_type: str
    required: bool
    description: str


class EntityList(Document):
    """Response of the entities endpoint."""

    entities: list[EntityDocument]


class ExportJobList(Document):
    """A page of export jobs."""

    jobs: list[ExportJobDocument]
    total: int


class ImportJobList(Document):
    """A page of import jobs."""

    jobs: list[ImportJobDocument]
    total: int


class RowErrorList(Document):
    """A page of row errors."""

    errors: list[RowErrorDocument]
    total: int


class MappingList(Document):
    """Response of the mappings endpoint."""

    mappings: list[MappingDocument]
