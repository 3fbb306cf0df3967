"""The operations under ``/import/v1/activity_type``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response  # noqa: TC002 - FastAPI resolves annotations

from demandbase_sandbox.uapi.import_documents import (
    ActivityType,
    ActivityTypeBody,
    CustomActivityData,
    CustomActivityType,
    Message,
    StatusMessage,
)
from demandbase_sandbox.uapi.operations import IMPORT_PREFIX
from demandbase_sandbox.uapi.permission import may_import

if TYPE_CHECKING:
    from demandbase_sandbox.answering import Answering
    from demandbase_sandbox.tenant import Tenant

REFUSED: dict[int | str, dict[str, Any]] = {
    400: {"model": Message},
    401: {"model": StatusMessage},
    403: {"model": StatusMessage},
    404: {"model": Message},
    429: {"model": Message},
    500: {"model": Message},
}


def activity_routes(tenant: Tenant, answering: Answering) -> APIRouter:
    """Return the routes of a tenant's activity types."""
    router = APIRouter(prefix=f"{IMPORT_PREFIX}/activity_type")
    types = tenant.activity_types

    @router.get(
        "",
        operation_id="listActivityTypes",
        response_model=list[CustomActivityType],
        responses=REFUSED,
    )
    def list_types(request: Request) -> Response:
        def work() -> list[Any]:
            may_import(tenant)
            return types.all()

        return answering.answer(request, work)

    @router.post(
        "", operation_id="createActivityType", response_model=ActivityType, responses=REFUSED
    )
    def create(request: Request, body: ActivityTypeBody) -> Response:
        def work() -> dict[str, Any]:
            may_import(tenant)
            return types.create(body)

        return answering.answer(request, work, body=body.model_dump())

    @router.get(
        "/{identifier}",
        operation_id="getActivityType",
        response_model=CustomActivityData,
        responses=REFUSED,
    )
    def look_up(request: Request, identifier: str) -> Response:
        def work() -> dict[str, Any]:
            may_import(tenant)
            return types.get(identifier)

        return answering.answer(request, work)

    @router.put(
        "/{activityTypeId}",
        operation_id="updateActivityType",
        response_model=ActivityType,
        responses=REFUSED,
    )
    def update(request: Request, activityTypeId: str, body: ActivityTypeBody) -> Response:  # noqa: N803
        def work() -> dict[str, Any]:
            may_import(tenant)
            return types.update(activityTypeId, body)

        return answering.answer(request, work, body=body.model_dump())

    return router
