"""The shapes of the published export API's requests and answers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from demandbase_sandbox.documents import Strict, Text
from demandbase_sandbox.uapi.entity_types import ENTITY_TYPES

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
