"""Request and response models of the v1 contract."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from demandbase_sandbox.models import ABSENT, Body, Document, Text, Timestamp


class DateRangeBody(Body):
    """``filters.date_range``."""

    field: Text
    start: Text = Field(default=ABSENT, json_schema_extra={"format": "date"})
    end: Text = Field(default=ABSENT, json_schema_extra={"format": "date"})


class FiltersBody(Body):
    """``filters`` of an export."""

    date_range: DateRangeBody = ABSENT
    account_list_id: Text = ABSENT


class CreateExport(Body):
    """``CreateExportJobRequest``."""

    entity_type: Text
    fields: list[Text] = ABSENT
    filters: FiltersBody = ABSENT
    format: Literal["csv"] = "csv"


class MappingBody(Body):
    """One of ``field_mappings``."""

    csv_column: Text
    demandbase_field: Text


class CreateImport(Body):
    """``CreateImportJobRequest``."""

    entity_type: Text
    operation: Literal["insert", "update", "upsert"]
    match_key: Text = ABSENT
    field_mappings: list[MappingBody] = ABSENT


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
