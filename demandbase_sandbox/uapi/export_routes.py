"""The operations under ``/data/export/v1``."""

from __future__ import annotations

from typing import Any

from demandbase_sandbox.faults import Effect
from demandbase_sandbox.operations import EXPORT_PREFIX
from demandbase_sandbox.routing import Call, CurrentCall, SandboxRouter
from demandbase_sandbox.tenant.tenant import Tenant
from demandbase_sandbox.uapi.entities import (
    ACCOUNT_LIST,
    ENTITY_TYPES,
    PERSON_LIST,
    published_fields,
)
from demandbase_sandbox.uapi.errors import coded_error
from demandbase_sandbox.uapi.export_query import (
    ExportQuery,
    check_ids,
    export_query,
    members_query,
)
from demandbase_sandbox.uapi.exports import job_page
from demandbase_sandbox.uapi.schemas import (
    AccountListJobBody,
    ErrorDto,
    FieldDocument,
    JobDetails,
    JobDetailsList,
    JobRequestBody,
    JobStatus,
    PersonListJobBody,
    ReferenceData,
    ReferenceObject,
    References,
    published_query,
)

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorDto} for status in (400, 401, 403, 429, 500)
}

JOB_ERRORS: dict[int | str, dict[str, Any]] = {**ERRORS, 404: {"model": ErrorDto}}


def _named(*names: str) -> list[dict[str, Any]]:
    return [{"id": number, "name": name} for number, name in enumerate(names, 1)]


REFERENCE_OBJECTS: dict[str, list[dict[str, Any]]] = {
    "persona": _named("Economic buyer", "Technical buyer"),
    "buyerRole": _named("Champion", "Decision maker", "Influencer"),
    "idealBuyingGroup": _named("Platform team"),
    "idealBuyingGroupPersonaRole": [
        {"idealBuyingGroupId": 1, "personaId": persona, "buyerRoleId": role}
        for persona, role in ((1, 2), (2, 1), (2, 3))
    ],
    "keywordSet": _named("Competitors", "Own brand"),
    "keywordSetMember": [
        {"id": number, "keyword": keyword}
        for number, keyword in ((1, "globex"), (1, "initech"), (2, "acme"))
    ],
    "JobFunction": _named("Engineering", "Marketing", "Sales"),
    "JobLevel": _named("Director", "Manager", "Staff"),
}
"""The values of each object, the same for all tenants.

Their members are not published, and depend on the object: some have no id, and some the id of
another object.
"""

router = SandboxRouter(prefix=EXPORT_PREFIX, dependencies=[published_query])


@router.get(
    "/fields",
    operation_id="fetchFields",
    responses=ERRORS,
)
def fields(
    call: CurrentCall,
    entityType: str | None = None,  # noqa: N803 - the published name, here and below
    adReportType: str | None = None,  # noqa: N803
) -> list[FieldDocument]:
    """Return the fields of an entity type."""
    options = call.tenant.options
    if not entityType:
        raise coded_error("400-104", "entityType")
    known = ENTITY_TYPES.get(entityType)
    if known is None:
        raise coded_error("400-125", entityType)
    if known.ad_report_types and not adReportType:
        raise coded_error("400-104", "adReportType")
    if adReportType and adReportType not in known.ad_report_types:
        raise coded_error("400-139", adReportType)
    _check_permission(call.tenant)
    if entityType in options.withheld_entities:
        raise coded_error("403-101", entityType)
    return [
        FieldDocument.model_validate(field)
        for field in published_fields(known, call.tenant.store.entities).values()
        if field.name not in options.withheld_fields
    ]


@router.post(
    "/job",
    operation_id="createExportJob",
    status_code=202,
    responses=ERRORS,
)
def create_job(call: CurrentCall, body: JobRequestBody) -> JobDetails:
    """Create an export job for the rows of an entity type."""
    _check_permission(call.tenant)
    members = body.members()
    query = export_query(members, call.tenant.store, call.tenant.options)
    return _create(call, body.entity_type, members, query)


@router.post(
    "/accountList/job",
    operation_id="fetchAccountListJob",
    status_code=202,
    responses=ERRORS,
)
def create_account_list_job(call: CurrentCall, body: AccountListJobBody) -> JobDetails:
    """Create an export job for the members of account lists."""
    _check_permission(call.tenant)
    members = body.members()
    if {"accountListId", "accountListIds"} <= members.keys():
        raise coded_error("400-144")
    one = [members["accountListId"]] if "accountListId" in members else None
    ids = check_ids(one or members.get("accountListIds"), "400-145")
    query = members_query(call.tenant.store, "account", ids)
    return _create(call, ACCOUNT_LIST, members, query)


@router.post(
    "/personList/job",
    operation_id="fetchPersonListJob",
    status_code=202,
    responses=ERRORS,
)
def create_person_list_job(call: CurrentCall, body: PersonListJobBody) -> JobDetails:
    """Create an export job for the members of person lists."""
    _check_permission(call.tenant)
    members = body.members()
    if "personListIds" not in members and call.tenant.options.person_lists_need_ids:
        raise coded_error("400-104", "personListIds")
    ids = check_ids(members.get("personListIds"), "400-146")
    query = members_query(call.tenant.store, "person", ids)
    return _create(call, PERSON_LIST, members, query)


@router.get(
    "/jobs",
    operation_id="fetchExportJobsInfo",
    responses=ERRORS,
)
def list_jobs(  # noqa: PLR0913, PLR0917 - the published parameters
    call: CurrentCall,
    entityType: str = "All",  # noqa: N803
    page: str = "1",
    perPage: str = "10",  # noqa: N803
    sort: str = "descending",
    jobStatus: str = "All",  # noqa: N803
) -> JobDetailsList:
    """Return a page of the export jobs."""
    parameters = {
        "entityType": entityType,
        "page": page,
        "perPage": perPage,
        "sort": sort,
        "jobStatus": jobStatus,
    }
    jobs = call.visible(call.tenant.uapi_exports)
    return job_page(jobs, parameters, call.tenant.options.max_page_size, call.shifted)


@router.get(
    "/job/{jobId}",
    operation_id="checkExportJobStatus",
    responses=JOB_ERRORS,
)
def job_status(call: CurrentCall, jobId: str) -> JobStatus:  # noqa: N803
    """Return an export job, with links to its results once it has finished."""
    options, jobs = call.tenant.options, call.tenant.uapi_exports
    life = -1 if call.fault(Effect.EXPIRED_LINK) else options.results_url_seconds
    found = jobs.get(jobId)
    urls = [call.tenant.link(name, life) for name in jobs.results(found)]
    results = {
        "results_url": next(iter(urls), ""),
        "results_urls": urls if options.results_urls else None,
    }
    return JobStatus.model_validate({**vars(found), **results})


@router.get("/references", operation_id="get-reference", responses=ERRORS)
def references(call: CurrentCall) -> References:  # noqa: ARG001 - all operations take it
    """Return the reference objects."""
    return References(
        ref_objects_available=[
            ReferenceObject(name=name, description="", href=f"{EXPORT_PREFIX}/reference/{name}")
            for name in REFERENCE_OBJECTS
        ]
    )


@router.get(
    "/reference/{object}",
    operation_id="get-support-object",
    responses=ERRORS,
)
def reference(
    call: CurrentCall,  # noqa: ARG001
    object: str,  # noqa: A002 - the published name
) -> ReferenceData:
    """Return the rows of a reference object."""
    if object not in REFERENCE_OBJECTS:
        raise coded_error("400-154", object)
    return ReferenceData(object_type=object, data=REFERENCE_OBJECTS[object])


def _create(
    call: Call, entity_type: str, members: dict[str, Any], query: ExportQuery
) -> JobDetails:
    faults = call.job_faults()
    if faults.foreign and (name := members.get("jobName")):
        # Each client names its jobs itself, and two runs of one client differ, too.
        members = {**members, "jobName": name[:-1] + ("1" if name.endswith("0") else "0")}
    job = call.tenant.uapi_exports.create(entity_type, members, query, faults)
    return JobDetails.model_validate(job)


def _check_permission(tenant: Tenant) -> None:
    if not tenant.options.export_collection:
        raise coded_error("403-103")
