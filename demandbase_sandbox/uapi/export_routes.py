"""The operations under ``/data/export/v1``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from demandbase_sandbox.faults import Effect, job_secret
from demandbase_sandbox.operations import EXPORT_PREFIX
from demandbase_sandbox.uapi.entities import (
    ACCOUNT_LIST,
    ENTITY_TYPES,
    PERSON_LIST,
    published_fields,
)
from demandbase_sandbox.uapi.errors import coded
from demandbase_sandbox.uapi.export_query import check_ids, export_query, members_query
from demandbase_sandbox.uapi.exports import KIND, created, job_page, listed
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
    References,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from demandbase_sandbox.routing import Answering
    from demandbase_sandbox.tenant.tenant import Tenant
    from demandbase_sandbox.uapi.export_query import ExportQuery


REFUSED: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorDto} for status in (400, 401, 403, 429, 500)
}

UNKNOWN: dict[int | str, dict[str, Any]] = {**REFUSED, 404: {"model": ErrorDto}}


def export_routes(  # noqa: C901 - one inner function a route
    tenant: Tenant, answering: Answering, files_url: Callable[[], str]
) -> APIRouter:
    """Return the routes of a tenant's exports."""
    router = APIRouter(prefix=EXPORT_PREFIX)
    jobs, options = tenant.uapi_exports, tenant.options

    def create(
        request: Request,
        operation: str,
        entity_type: str,
        asked: dict[str, Any],
        query: Callable[[], ExportQuery],
    ) -> Response:
        known = ENTITY_TYPES.get(entity_type)
        facts = {**asked, "entityType": entity_type}
        facts["entity_type"] = known.entity if known else f"{entity_type}_members"

        def work() -> dict[str, Any]:
            _permitted(tenant)
            found = query()
            secret = job_secret(tenant.faults, operation, {**facts, "api": "uapi"})
            return created(jobs.create(entity_type, asked, found, secret))

        return answering.answer(request, work, status=202, facts=facts, body=asked)

    @router.get(
        "/fields",
        operation_id="fetchFields",
        response_model=list[FieldDocument],
        responses=REFUSED,
    )
    def fields(
        request: Request,
        entityType: str | None = None,  # noqa: N803 - the published name, here and below
        adReportType: str | None = None,  # noqa: N803
    ) -> Response:
        known = ENTITY_TYPES.get(entityType or "")
        facts = {"entityType": entityType, "entity_type": known.entity if known else None}

        def work() -> list[dict[str, Any]]:
            return _fields(tenant, entityType, adReportType)

        return answering.answer(request, work, facts=facts)

    @router.post(
        "/job",
        operation_id="createExportJob",
        status_code=202,
        response_model=JobDetails,
        responses=REFUSED,
    )
    def create_job(request: Request, body: JobRequestBody) -> Response:
        asked = body.model_dump(exclude_none=True)
        return create(
            request,
            "createExportJob",
            body.entityType,
            asked,
            lambda: export_query(asked, tenant.store, options),
        )

    @router.post(
        "/accountList/job",
        operation_id="fetchAccountListJob",
        status_code=202,
        response_model=JobDetails,
        responses=REFUSED,
    )
    def account_list_job(request: Request, body: AccountListJobBody) -> Response:
        def query() -> ExportQuery:
            if {"accountListId", "accountListIds"} <= asked.keys():
                raise coded("400-144")
            one = [asked["accountListId"]] if "accountListId" in asked else None
            ids = check_ids(one or asked.get("accountListIds"), "400-145")
            return members_query(tenant.store, "account", ids)

        asked = body.model_dump(exclude_none=True)
        return create(request, "fetchAccountListJob", ACCOUNT_LIST, asked, query)

    @router.post(
        "/personList/job",
        operation_id="fetchPersonListJob",
        status_code=202,
        response_model=JobDetails,
        responses=REFUSED,
    )
    def person_list_job(request: Request, body: PersonListJobBody) -> Response:
        def query() -> ExportQuery:
            if "personListIds" not in asked and options.person_lists_need_ids:
                raise coded("400-104", "personListIds")
            ids = check_ids(asked.get("personListIds"), "400-146")
            return members_query(tenant.store, "person", ids)

        asked = body.model_dump(exclude_none=True)
        return create(request, "fetchPersonListJob", PERSON_LIST, asked, query)

    @router.get(
        "/jobs",
        operation_id="fetchExportJobsInfo",
        response_model=JobDetailsList,
        responses=REFUSED,
    )
    def list_jobs(  # noqa: PLR0913, PLR0917 - the published parameters
        request: Request,
        entityType: str = "All",  # noqa: N803
        page: str = "1",
        perPage: str = "10",  # noqa: N803
        sort: str = "descending",
        jobStatus: str = "All",  # noqa: N803
    ) -> Response:
        asked = {
            "entityType": entityType,
            "page": page,
            "perPage": perPage,
            "sort": sort,
            "jobStatus": jobStatus,
        }

        def work() -> dict[str, Any]:
            hit = tenant.faults.hits("fetchExportJobsInfo", {"api": "uapi"}, Effect.SHIFT_PAGE)
            shift = hit[Effect.SHIFT_PAGE].rows if hit else 0
            return job_page(tenant.book.all(KIND), asked, options.max_page_size, shift)

        return answering.answer(request, work)

    @router.get(
        "/job/{jobId}",
        operation_id="checkExportJobStatus",
        response_model=JobStatus,
        responses=UNKNOWN,
    )
    def status(request: Request, jobId: str) -> Response:  # noqa: N803
        job = tenant.book.get(KIND, jobId) or {}
        facts = {"job_id": jobId, **{k: job.get(k) for k in ("entity_type", "entityType")}}

        def work() -> dict[str, Any]:
            expired = tenant.faults.hits(
                "checkExportJobStatus", {**facts, "api": "uapi"}, Effect.EXPIRED_LINK
            )
            life = -1 if expired else options.results_url_seconds
            expires = tenant.clock.now().timestamp() + life
            found = jobs.get(jobId)
            urls = [tenant.signer.link(files_url(), name, expires) for name in jobs.results(found)]
            document = {**listed(found), "resultsUrl": next(iter(urls), "")}
            if options.results_urls:
                document["resultsUrls"] = urls
            return {**document, "message": found["message"]}

        return answering.answer(request, work, facts=facts)

    return router


def _permitted(tenant: Tenant) -> None:
    if not tenant.options.export_collection:
        raise coded("403-103")


def _fields(
    tenant: Tenant, entity_type: str | None, ad_report_type: str | None
) -> list[dict[str, Any]]:
    if not entity_type:
        raise coded("400-104", "entityType")
    known = ENTITY_TYPES.get(entity_type)
    if known is None:
        raise coded("400-125", entity_type)
    if known.ad_report_types and not ad_report_type:
        raise coded("400-104", "adReportType")
    if ad_report_type and ad_report_type not in known.ad_report_types:
        raise coded("400-139", ad_report_type)
    _permitted(tenant)
    if entity_type in tenant.options.withheld_entities:
        raise coded("403-101", entity_type)
    return [
        {
            "name": field.name,
            "dataType": field.data_type,
            "label": field.label,
            "description": field.description,
        }
        for field in published_fields(known, tenant.store.entities).values()
        if field.name not in tenant.options.withheld_fields
    ]


OBJECTS: dict[str, tuple[str, ...]] = {
    "persona": ("Economic buyer", "Technical buyer"),
    "buyerRole": ("Champion", "Decision maker", "Influencer"),
    "idealBuyingGroup": ("Platform team",),
    "idealBuyingGroupPersonaRole": ("Champion in the platform team",),
    "keywordSet": ("Competitors", "Own brand"),
    "keywordSetMember": ("Globex", "Initech"),
    "JobFunction": ("Engineering", "Marketing", "Sales"),
    "JobLevel": ("Director", "Manager", "Staff"),
}
"""Names of the rows of each object."""

_REFUSED: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorDto} for status in (400, 401, 403, 429, 500)
}


def reference_routes(answering: Answering) -> APIRouter:
    """Return the routes of reference data, which is the same for all tenants."""
    router = APIRouter(prefix=EXPORT_PREFIX)

    @router.get(
        "/references", operation_id="get-reference", response_model=References, responses=_REFUSED
    )
    def references(request: Request) -> Response:
        objects = [
            {"name": name, "description": "", "href": f"{EXPORT_PREFIX}/reference/{name}"}
            for name in OBJECTS
        ]
        return answering.answer(request, lambda: {"refObjectsAvailable": objects})

    @router.get(
        "/reference/{object}",
        operation_id="get-support-object",
        response_model=ReferenceData,
        responses=_REFUSED,
    )
    def reference(request: Request, object: str) -> Response:  # noqa: A002 - the published name
        def work() -> dict[str, Any]:
            if object not in OBJECTS:
                raise coded("400-154", object)
            rows = [{"id": number, "name": name} for number, name in enumerate(OBJECTS[object], 1)]
            return {"objectType": object, "data": rows}

        return answering.answer(request, work)

    return router
