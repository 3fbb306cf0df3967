"""The shapes of the published import API's requests and answers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from demandbase_sandbox.documents import Strict, Text
from demandbase_sandbox.uapi.entity_types import IMPORT_ENTITIES

_ABSENT: Any = None


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
