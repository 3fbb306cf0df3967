"""The shapes of requests and answers, as the contract gives them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _encodable(text: str) -> str:
    # JSON can spell half of a surrogate pair, which is no text that could be stored or sent.
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it holds half of a surrogate pair") from None
    return text


Text = Annotated[str, AfterValidator(_encodable)]

# A member may be absent, but not null, so its type has no None beside the default.
_ABSENT: Any = None


class Strict(BaseModel):
    """A request's object: wrong types, nulls and unknown members are refused."""

    model_config = ConfigDict(strict=True, extra="forbid")

    def asked(self) -> dict[str, Any]:
        """Return the members that have a value, under their names in the API."""
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


class ExportJobDocument(BaseModel):
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
    created_at: str
    completed_at: str | None = None
    expires_at: str | None = None
    error_message: str | None = None


class ImportJobDocument(BaseModel):
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
    created_at: str
    started_at: str | None = None
    completed_at: str | None = None
    error_message: str | None = None


class RowErrorDocument(BaseModel):
    """``ImportError``."""

    row_number: int
    field: str
    value: str
    error_type: str
    message: str


class FieldDocument(BaseModel):
    """A field of an entity."""

    name: str
    type: str
    description: str


class EntityDocument(BaseModel):
    """``ExportableEntity``."""

    name: str
    description: str
    fields: list[FieldDocument]


class MappingDocument(BaseModel):
    """``FieldMapping``."""

    entity_type: str
    field_name: str
    field_type: str
    required: bool
    description: str


class EntityList(BaseModel):
    """Answer of the entities endpoint."""

    entities: list[EntityDocument]


class ExportJobList(BaseModel):
    """A page of export jobs."""

    jobs: list[ExportJobDocument]
    total: int


class ImportJobList(BaseModel):
    """A page of import jobs."""

    jobs: list[ImportJobDocument]
    total: int


class RowErrorList(BaseModel):
    """A page of row errors."""

    errors: list[RowErrorDocument]
    total: int


class MappingList(BaseModel):
    """Answer of the mappings endpoint."""

    mappings: list[MappingDocument]
