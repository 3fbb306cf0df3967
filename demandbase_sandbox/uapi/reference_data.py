"""Reference data: small tables that the fields of other records refer to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response  # noqa: TC002 - FastAPI resolves annotations

from demandbase_sandbox.uapi.error_codes import coded
from demandbase_sandbox.uapi.export_documents import ErrorDto, ReferenceData, References
from demandbase_sandbox.uapi.operations import EXPORT_PREFIX

if TYPE_CHECKING:
    from demandbase_sandbox.answering import Answering

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
