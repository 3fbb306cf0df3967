"""The shapes of the published export API's requests and answers."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import BaseModel, Field

from demandbase_sandbox.exceptions import bad_request
from demandbase_sandbox.operations import EXPORT_PREFIX
from demandbase_sandbox.uapi.entities import ENTITY_TYPES, IMPORT_ENTITIES
from demandbase_sandbox.uapi.errors import coded
from demandbase_sandbox.v1.schemas import Strict, Text

_ABSENT: Any = None

JobName = Annotated[Text, Field(min_length=1, max_length=50)]

Ids = list[Annotated[int, Field(ge=0, le=2**63 - 1)]]


class Filter(Strict):
    """One of ``filters``."""

    field: Text = Field(default=_ABSENT)
    operator: Text = Field(default=_ABSENT)
    values: list[Text] = Field(default=_ABSENT)


class JobRequestBody(Strict):
    """What a job for rows of an entity type asks for.

    ``accountIds`` stands in the published error codes, but not in the published body.
    """

    entityType: Annotated[Text, Field(json_schema_extra={"enum": [*ENTITY_TYPES]})]  # noqa: N815 - the published name, here and below
    jobName: JobName  # noqa: N815
    fromDate: Text = Field(default=_ABSENT)  # noqa: N815
    toDate: Text = Field(default=_ABSENT)  # noqa: N815
    fields: list[Text] = Field(default=_ABSENT)
    filters: list[Filter] = Field(default=_ABSENT)
    source: list[Text] = Field(default=_ABSENT)
    adReportType: Text = Field(default=_ABSENT)  # noqa: N815
    accountListIds: Ids = Field(default=_ABSENT)  # noqa: N815
    personListIds: Ids = Field(default=_ABSENT)  # noqa: N815
    accountIds: Ids = Field(default=_ABSENT)  # noqa: N815
    format: Text = "CSV"


class AccountListJobBody(Strict):
    """What a job for the members of account lists asks for."""

    jobName: JobName  # noqa: N815
    accountListId: Annotated[int, Field(ge=0, le=2**63 - 1)] = Field(default=_ABSENT)  # noqa: N815
    accountListIds: Ids = Field(default=_ABSENT)  # noqa: N815


class PersonListJobBody(Strict):
    """What a job for the members of person lists asks for."""

    jobName: JobName  # noqa: N815
    personListIds: Ids = Field(default=_ABSENT)  # noqa: N815


class FieldDocument(BaseModel):
    """A field of the fields endpoint."""

    name: str
    dataType: str  # noqa: N815
    label: str
    description: str


class JobDetails(BaseModel):
    """A job as its creation answers it."""

    jobId: str  # noqa: N815
    jobName: str  # noqa: N815
    entityType: str  # noqa: N815
    jobStatus: str  # noqa: N815
    createdAt: str  # noqa: N815


class ListedJob(JobDetails):
    """A job as the list shows it."""

    updatedAt: str  # noqa: N815


class JobDetailsList(BaseModel):
    """A page of jobs."""

    pageNo: int  # noqa: N815
    pageSize: int  # noqa: N815
    data: list[ListedJob]
    totalCount: int  # noqa: N815


class JobStatus(ListedJob):
    """A job as its status shows it; ``resultsUrl`` is empty until it has finished."""

    resultsUrl: str  # noqa: N815
    resultsUrls: list[str] | None = None  # noqa: N815
    message: str | None


class ErrorDto(BaseModel):
    """A refusal."""

    errorCode: str  # noqa: N815
    errorMessage: str  # noqa: N815
    diagnosticCode: str  # noqa: N815


class ReferenceObject(BaseModel):
    """A reference object that is there."""

    name: str
    description: str
    href: str


class References(BaseModel):
    """The reference objects."""

    refObjectsAvailable: list[ReferenceObject]  # noqa: N815


class ReferenceData(BaseModel):
    """The rows of a reference object."""

    objectType: str  # noqa: N815
    data: list[dict[str, Any]]


class CreateDataImportJob(Strict):
    """What an import job asks for."""

    dataImportName: Annotated[Text, Field(min_length=1)]  # noqa: N815 - published names
    entityType: Annotated[Text, Field(json_schema_extra={"enum": [*IMPORT_ENTITIES]})]  # noqa: N815
    source: Text = "CSV"
    activityTypeId: Annotated[int, Field(ge=0, le=2**31 - 1)] = Field(default=_ABSENT)  # noqa: N815


class DataImportJob(BaseModel):
    """An import job; only those of activities have an activityTypeId."""

    id: int
    dataImportName: str  # noqa: N815
    entityType: str  # noqa: N815
    state: str
    createdAt: str  # noqa: N815
    updatedAt: str  # noqa: N815
    source: str
    activityTypeId: int | None = None  # noqa: N815


class DataImportJobs(BaseModel):
    """A page of import jobs."""

    totalCount: int  # noqa: N815
    data: list[DataImportJob]


class Sources(BaseModel):
    """Where an import can come from."""

    data: list[str]


class Message(BaseModel):
    """A refusal, other than of credentials or permissions."""

    message: str


class StatusMessage(BaseModel):
    """A refusal of credentials or permissions."""

    status: str


class ActivityBody(Strict):
    """An activity type as it is created or changed."""

    label: Annotated[Text, Field(min_length=1)]
    name: Text = Field(default=_ABSENT)
    description: Text = Field(default=_ABSENT)


class ActivityFieldBody(Strict):
    """A field of an activity type."""

    fieldName: Annotated[Text, Field(min_length=1)]  # noqa: N815
    fieldDataType: Text = "string"  # noqa: N815
    defaultField: bool = False  # noqa: N815
    isRequiredForCsvImport: bool = False  # noqa: N815


class ActivityTypeBody(Strict):
    """What an activity type is created or changed with."""

    activityType: ActivityBody  # noqa: N815
    fields: list[ActivityFieldBody] = Field(default_factory=list)


class ActivityType(BaseModel):
    """An activity type as its creation answers it."""

    id: int
    label: str


class CustomActivityType(BaseModel):
    """An activity type as the list shows it."""

    id: int
    name: str
    description: str
    activitySource: str  # noqa: N815


class CustomActivity(BaseModel):
    """The activity type of a look-up."""

    name: str
    label: str
    description: str


class CustomActivityField(BaseModel):
    """A field of a look-up."""

    fieldName: str  # noqa: N815
    fieldDataType: str  # noqa: N815
    defaultField: bool  # noqa: N815
    isRequiredForCsvImport: bool  # noqa: N815


class CustomActivityData(BaseModel):
    """An activity type with its fields."""

    activityType: CustomActivity  # noqa: N815
    fields: list[CustomActivityField]


async def _check_query(request: Request) -> None:
    known = {parameter.alias for parameter in request.scope["route"].dependant.query_params}
    if unknown := [name for name in request.query_params if name not in known]:
        names = ", ".join(unknown)
        is_export = request.url.path.startswith(f"{EXPORT_PREFIX}/")
        raise coded("400-147", names) if is_export else bad_request(f"unknown parameter {names}")


published_query = Depends(_check_query)
"""Rejects query parameters that the operation does not publish, compared with their case.

Published is that only for members of a body, and only for exports; this is the stricter
reading. A misspelt ``listAction`` would do what the default does, which empties a list.
"""
