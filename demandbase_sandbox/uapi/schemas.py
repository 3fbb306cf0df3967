"""Request and response models of ``uapi``, and its check of query parameters."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import AliasGenerator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from demandbase_sandbox.exceptions import bad_request
from demandbase_sandbox.models import ABSENT, Body, Document, Text, Timestamp
from demandbase_sandbox.operations import EXPORT_PREFIX
from demandbase_sandbox.uapi.entities import ENTITY_TYPES, IMPORT_ENTITIES
from demandbase_sandbox.uapi.errors import coded_error

JobName = Annotated[Text, Field(min_length=1, max_length=50)]

Ids = list[Annotated[int, Field(ge=0, le=2**63 - 1)]]


class CamelBody(Body):
    """A request's object, with the published spelling of its members."""

    model_config = ConfigDict(alias_generator=to_camel)


class CamelDocument(Document):
    """A response's object, with the published spelling of its members."""

    model_config = ConfigDict(alias_generator=AliasGenerator(serialization_alias=to_camel))


class Filter(CamelBody):
    """One of ``filters``."""

    field: Text = ABSENT
    operator: Text = ABSENT
    values: list[Text] = ABSENT


class JobRequestBody(CamelBody):
    """Request of a job for the rows of an entity type.

    ``accountIds`` is in the published error codes, but not in the published body.
    """

    entity_type: Annotated[Text, Field(json_schema_extra={"enum": [*ENTITY_TYPES]})]
    job_name: JobName
    from_date: Text = ABSENT
    to_date: Text = ABSENT
    fields: list[Text] = ABSENT
    filters: list[Filter] = ABSENT
    source: list[Text] = ABSENT
    ad_report_type: Text = ABSENT
    account_list_ids: Ids = ABSENT
    person_list_ids: Ids = ABSENT
    account_ids: Ids = ABSENT
    format: Text = "CSV"


class AccountListJobBody(CamelBody):
    """Request of a job for the members of account lists."""

    job_name: JobName
    account_list_id: Annotated[int, Field(ge=0, le=2**63 - 1)] = ABSENT
    account_list_ids: Ids = ABSENT


class PersonListJobBody(CamelBody):
    """Request of a job for the members of person lists."""

    job_name: JobName
    person_list_ids: Ids = ABSENT


class FieldDocument(CamelDocument):
    """A field of the fields endpoint."""

    name: str
    data_type: str
    label: str
    description: str


class JobDetails(CamelDocument):
    """A job in the response of its creation."""

    job_id: str = Field(validation_alias="id")
    job_name: str = Field(validation_alias="name")
    entity_type: str = Field(validation_alias="published_type")
    job_status: str = Field(validation_alias="status")
    created_at: Timestamp


class ListedJob(JobDetails):
    """A job in the list."""

    updated_at: Timestamp


class JobDetailsList(CamelDocument):
    """A page of jobs."""

    page_no: int
    page_size: int
    data: list[ListedJob]
    total_count: int


class JobStatus(ListedJob):
    """A job in the response of its status; ``resultsUrl`` is empty until it has finished."""

    results_url: str
    results_urls: list[str] | None = None
    message: str | None


class ErrorDto(CamelDocument):
    """Error of the export API."""

    error_code: str
    error_message: str
    diagnostic_code: str


class ReferenceObject(CamelDocument):
    """A reference object."""

    name: str
    description: str
    href: str


class References(CamelDocument):
    """The reference objects."""

    ref_objects_available: list[ReferenceObject]


class ReferenceData(CamelDocument):
    """The rows of a reference object."""

    object_type: str
    data: list[dict[str, Any]]


class CreateDataImportJob(CamelBody):
    """Request of an import job."""

    data_import_name: Annotated[Text, Field(min_length=1)]
    entity_type: Annotated[Text, Field(json_schema_extra={"enum": [*IMPORT_ENTITIES]})]
    source: Text = "CSV"
    activity_type_id: Annotated[int, Field(ge=0, le=2**31 - 1)] = ABSENT


class DataImportJob(CamelDocument):
    """An import job; only those of activities have an activityTypeId."""

    id: int
    data_import_name: str = Field(validation_alias="name")
    entity_type: str = Field(validation_alias="published_type")
    state: str = Field(validation_alias="status")
    created_at: Timestamp
    updated_at: Timestamp
    source: str
    activity_type_id: int | None = None


class DataImportJobs(CamelDocument):
    """A page of import jobs."""

    total_count: int
    data: list[DataImportJob]


class Sources(CamelDocument):
    """Sources that an import can name."""

    data: list[str]


class SourceItem(CamelDocument):
    """A source."""

    id: int
    name: str
    description: str
    source_group: str
    priority: int


class GetSourcesResponse(CamelDocument):
    """A page of sources."""

    total_count: int
    data: list[SourceItem]


class FieldMappingDTO(CamelDocument):
    """The field of Demandbase that a label of a source fills."""

    source_field_label: str
    demandbase_field_name: str
    data_type: str


class FieldMappingsResponse(CamelDocument):
    """The field mappings of a source and object type."""

    field_mappings: list[FieldMappingDTO]


class StructuredProblem(CamelDocument):
    """What is wrong with a call of the Custom Sources API."""

    code: str
    message: str
    diagnostic_code: str


class StructuredError(CamelDocument):
    """Error of the Custom Sources API."""

    error: StructuredProblem


class Message(CamelDocument):
    """Error of the import API, other than 401 and 403."""

    message: str


class StatusMessage(CamelDocument):
    """Error of the import API: 401 or 403."""

    status: str


class ActivityBody(CamelBody):
    """An activity type in a request."""

    label: Annotated[Text, Field(min_length=1)]
    name: Text = ABSENT
    description: Text = ABSENT


class ActivityFieldBody(CamelBody):
    """A field of an activity type in a request."""

    field_name: Annotated[Text, Field(min_length=1)]
    field_data_type: Text = "string"
    default_field: bool = False
    is_required_for_csv_import: bool = False


class ActivityTypeBody(CamelBody):
    """Request to create or replace an activity type."""

    activity_type: ActivityBody
    fields: list[ActivityFieldBody] = Field(default_factory=list)


class ActivityType(CamelDocument):
    """An activity type in the response of its creation."""

    id: int
    label: str


class CustomActivityType(CamelDocument):
    """An activity type in the list."""

    id: int
    name: str
    description: str
    activity_source: str


class CustomActivity(CamelDocument):
    """An activity type in the response with its fields."""

    name: str
    label: str
    description: str


class CustomActivityField(CamelDocument):
    """A field in the response of an activity type."""

    field_name: str
    field_data_type: str
    default_field: bool
    is_required_for_csv_import: bool


class CustomActivityData(CamelDocument):
    """An activity type with its fields."""

    activity_type: CustomActivity
    fields: list[CustomActivityField]


async def _check_query(request: Request) -> None:
    known = {parameter.alias for parameter in request.scope["route"].dependant.query_params}
    if unknown := [name for name in request.query_params if name not in known]:
        names = ", ".join(unknown)
        if request.url.path.startswith(f"{EXPORT_PREFIX}/"):
            raise coded_error("400-147", names)
        raise bad_request(f"unknown parameter {names}")


published_query = Depends(_check_query)
"""Rejects query parameters that the operation does not publish; names are case-sensitive.

The documentation says so only for members of a body, and only for exports; this is the stricter
reading. A misspelt ``listAction`` would otherwise be the default, which empties a list.
"""
