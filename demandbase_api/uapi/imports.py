"""The Data Import API that Demandbase documents publicly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from typing_extensions import override

from demandbase_api.deadline import NO_DEADLINE
from demandbase_api.errors import ApiOperation, ConfigurationError, DemandbaseError
from demandbase_api.http.lists import ListReader
from demandbase_api.jobs.job_reader import recent
from demandbase_api.models import (
    ACTIVITIES,
    FieldMapping,
    ImportEntity,
    ImportOperation,
    JobStatus,
    ListAction,
)
from demandbase_api.ports import ImportApi, ImportCapabilities
from demandbase_api.uapi import schemas
from demandbase_api.uapi.schemas import IMPORT_ID, pages
from demandbase_api.uapi.sources import source_fields, source_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from demandbase_api.deadline import Deadline
    from demandbase_api.http.client import HttpClient
    from demandbase_api.models import (
        ActivityType,
        EntityField,
        ImportJob,
        ImportRequest,
        RowError,
        SourceField,
    )
    from demandbase_api.uapi.call_budget import CallBudget
    from demandbase_api.uapi.discovery import FieldDiscovery

T = TypeVar("T")


def _headers(entity: str, required: tuple[str, ...], *others: str) -> tuple[FieldMapping, ...]:
    return (
        *(FieldMapping(entity, name, required=True) for name in required),
        *(FieldMapping(entity, name) for name in others),
    )


HEADERS = {
    "accounts": _headers(
        "accounts",
        ("Account Name", "Account Domain"),
        "Owner",
        "Phone Number",
        "Employees",
        "Annual Revenue",
        "Industry",
        "External Account ID",
    ),
    "people": _headers(
        "people",
        ("First Name", "Last Name", "Email", "External Person Id"),
        "Account Name",
        "Account Domain",
        "External Account Id",
        "Person Type",
        "Postal Code",
        "Role",
        "Title",
        "State",
    ),
    "opportunities": _headers(
        "opportunities",
        ("External Opportunity ID", "Opportunity Name", "Account Name", "Account Domain"),
        "Close Date",
        "External Account ID",
        "Opportunity Stage",
        "Opportunity Type",
        "Revenue",
    ),
    "activities": (),
}
"""Documented fields by entity, as they are spelt: another spelling is another field. Those of
activities depend on their type."""

IDENTITIES = {
    "accounts": ("External Account ID", "Account Domain", "Account Name"),
    "people": ("External Person Id", "Email"),
    "opportunities": ("External Opportunity ID",),
}
"""Fields by which rows are matched, by entity: accounts by id, or else by domain and name."""

ACCOUNT_FIELDS = {
    "people": ("External Account Id", "Account Domain", "Account Name"),
    "opportunities": ("External Account ID", "Account Domain", "Account Name"),
}
"""Fields by which rows find their account, by entity."""

FACTS = {
    "accounts": "Demandbase matches accounts by External Account ID, else by Account Domain and "
    "Account Name together; an account that it does not have is neither added nor changed.",
    "people": "Imported people serve advertising audiences only, unless a CRM or marketing "
    "automation system is connected to Demandbase.",
    "activities": "Demandbase finds the person of an activity, and so its account, by External "
    "Person Id.",
}
"""What to know before rows are sent, by entity."""

JOB = "/import/v1/job"

JOBS = "/import/v1/jobs"

ACTIVITY_TYPES = "/import/v1/activity_type"

_MAX_FILE_BYTES = 5_000_000_000

_TYPES = {
    "accounts": "Account",
    "people": "Person",
    "opportunities": "Opportunity",
    "activities": "Activity",
}


class UapiImportApi(ImportApi):
    """The uapi adapter of the import port.

    Args:
        http: Sends the requests.
        fields: Discovers the fields that the tenant exports.
        budget: Counts the day's calls.
    """

    capabilities = ImportCapabilities(
        entities=frozenset(_TYPES),
        operations=frozenset({ImportOperation.UPSERT}),
        max_file_bytes=_MAX_FILE_BYTES,
        match_key=False,
        mappings=False,
        row_errors=False,
        activity_types=True,
        list_actions=True,
        sources=True,
        find_created=True,
    )

    def __init__(self, http: HttpClient, fields: FieldDiscovery, budget: CallBudget) -> None:
        self._http = http
        self._fields = fields
        self._lists = ListReader("import", http.scrub, http.clock)
        self._budget = budget
        self._answers: dict[tuple[object, ...], object] = {}

    @override
    def entity(self, name: str, activity_type: int | None = None) -> ImportEntity:
        kind, fields = "", HEADERS[name]
        if activity_type is not None:
            kind, fields = self._activity_type(activity_type)
        return ImportEntity(
            name,
            fields,
            kind=kind,
            is_complete=False,
            fixed_operation=_operation(name),
            matched_on=IDENTITIES.get(name, ()),
            headed_by_label=True,
            must_fill=True,
            takes_list_action=name == "accounts",
            account_fields=ACCOUNT_FIELDS.get(name, ()),
            fact=FACTS.get(name, ""),
        )

    @override
    def mappings(self, entity: str | None = None) -> tuple[FieldMapping, ...]:
        wanted = HEADERS if entity is None else {entity: HEADERS.get(entity, ())}
        return tuple(mapping for mappings in wanted.values() for mapping in mappings)

    @override
    def tenant_fields(self, entity: str) -> tuple[EntityField, ...]:
        return self._fields.own_fields(entity)

    @override
    def sources(self, entity: str) -> tuple[str, ...]:
        return self._once(("sources", entity), lambda: source_names(self._http, _TYPES[entity]))

    @override
    def source_fields(self, entity: str, source: str) -> tuple[SourceField, ...]:
        return self._once(
            ("source fields", entity, source), lambda: source_fields(self._http, entity, source)
        )

    @override
    def activity_types(self) -> tuple[ActivityType, ...]:
        def request() -> tuple[ActivityType, ...]:
            operation = ApiOperation.LIST_ACTIVITY_TYPES
            listed = self._http.read_list(operation, ACTIVITY_TYPES)
            return tuple(schemas.activity_type(operation, item) for item in listed)

        return self._once(("activity types",), request)

    def _activity_type(self, number: int) -> tuple[str, tuple[FieldMapping, ...]]:
        def request() -> tuple[str, tuple[FieldMapping, ...]]:
            operation = ApiOperation.GET_ACTIVITY_TYPE
            response = self._http.read(operation, f"{ACTIVITY_TYPES}/{number}")
            return schemas.activity_fields(operation, response)

        return self._once(("activity type", number), request)

    def _once(self, key: tuple[object, ...], request: Callable[[], T]) -> T:
        """Return the response to a request, or raise its error, that is sent once in a run.

        A tap may repeat the SCHEMA of a stream often, and all of a tenant share 3,600 calls a day.
        """
        if key not in self._answers:
            try:
                self._answers[key] = request()
            except DemandbaseError as error:
                self._answers[key] = error
        answer = self._answers[key]
        if isinstance(answer, DemandbaseError):
            raise answer
        return cast("T", answer)

    @override
    def submit(self, request: ImportRequest, file_name: str) -> ImportJob:
        operation = ApiOperation.CREATE_IMPORT
        body = request_body(request, file_name)
        self._budget.check_import()
        return self._job(operation, self._http.create(operation, JOB, body))

    @override
    def find_created(self, file_name: str, since: datetime) -> ImportJob | None:
        jobs = recent(self.jobs(), since)
        return next((job for job in jobs if job.file_name == file_name), None)

    @override
    def possibly_created(self, request: ImportRequest, since: datetime) -> Iterator[ImportJob]:
        return iter(())  # a job has its name from the start

    @override
    def waits_for_file(self, job: ImportJob) -> bool:
        return job.status is JobStatus.PENDING

    @override
    def upload(
        self,
        job_id: str,
        file: BinaryIO,
        file_name: str,
        list_action: ListAction = ListAction.NOOP,
    ) -> ImportJob:
        operation = ApiOperation.UPLOAD_FILE
        # The API's own default is “replace”, which empties the job's account list first.
        params = {"listAction": list_action.value}
        response = self._http.put_stream(
            operation, f"{_path(job_id)}/data", file, "application/octet-stream", params
        )
        return self._job(operation, response)

    @override
    def get(self, job_id: str, deadline: Deadline = NO_DEADLINE) -> ImportJob:
        operation = ApiOperation.GET_IMPORT
        return self._job(operation, self._http.read(operation, _path(job_id), deadline=deadline))

    @override
    def with_details(self, job: ImportJob, deadline: Deadline = NO_DEADLINE) -> ImportJob:
        return job  # the list has all that there is

    def _job(self, operation: ApiOperation, response: object) -> ImportJob:
        return self._lists.checked(schemas.import_job(operation, response))

    @override
    def jobs(
        self, deadline: Deadline = NO_DEADLINE, *, complete: bool = False
    ) -> Iterator[ImportJob]:
        operation = ApiOperation.LIST_IMPORTS
        fetch = pages(self._http, operation, JOBS, deadline)
        return self._lists.jobs(operation, fetch, IMPORT_ID, schemas.import_job, complete=complete)

    @override
    def server_time(self) -> datetime | None:
        return self._http.server_clock.utc()

    @override
    def poll_pause(self) -> float:
        return self._budget.pause(ApiOperation.LIST_IMPORTS)

    @override
    def cancel(self, job_id: str, deadline: Deadline = NO_DEADLINE) -> bool:
        return False

    @override
    def row_errors(self, job_id: str, *, complete: bool = False) -> Iterator[RowError]:
        raise ConfigurationError(
            "This API does not report the outcome of rows: see the import audit in Demandbase."
        )


def request_body(request: ImportRequest, file_name: str) -> dict[str, Any]:
    """Return the ``CreateDataImportJob`` for a request.

    Raises:
        ConfigurationError: The API does not support the request.
    """
    if request.operation is not _operation(request.entity) or request.match_key is not None:
        raise ConfigurationError(
            "This API matches rows by fixed rules: leave the settings operation and match_keys out."
        )
    body: dict[str, Any] = {
        "dataImportName": file_name,
        "entityType": _TYPES[request.entity],
        "source": request.source,
    }
    if request.activity_type is not None:
        body["activityTypeId"] = request.activity_type
    return body


def _operation(entity: str) -> ImportOperation:
    """Return the operation of all imports into an entity: activities are always added."""
    return ImportOperation.INSERT if entity == ACTIVITIES else ImportOperation.UPSERT


def _path(job_id: str) -> str:
    if not (job_id.isascii() and job_id.isdigit()):
        raise ConfigurationError(f"The import job {job_id[:40]} is of another API.")
    return f"{JOB}/{job_id}"
