"""Routes under ``/_sandbox`` for tests in another process: faults, clock, rows, what was seen."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from fastapi import APIRouter, Body

from demandbase_sandbox.exceptions import bad_request, not_found
from demandbase_sandbox.faults import faults_from_rules
from demandbase_sandbox.tenant.tenant import Tenant

Seconds = Annotated[float, Body(embed=True, ge=0, le=10**9)]


def admin_routes(tenant: Tenant) -> APIRouter:  # noqa: C901 - one inner function a route
    """Return the admin routes of a tenant; they need the token like all others."""
    router = APIRouter(prefix="/_sandbox", include_in_schema=False)

    def known(entity: str) -> str:
        if entity not in tenant.store.entities:
            raise not_found(f"unknown entity: {entity}")
        return entity

    @router.post("/faults")
    def add_faults(rules: Annotated[Any, Body()]) -> dict[str, int]:  # noqa: ANN401
        try:
            faults = faults_from_rules(rules)
        except ValueError as error:
            raise bad_request(str(error)) from None
        for fault in faults:
            tenant.faults.add(fault)
        return {"added": len(faults)}

    @router.delete("/faults")
    def clear_faults() -> dict[str, bool]:
        tenant.faults.clear()
        return {"cleared": True}

    @router.get("/requests")
    def seen() -> dict[str, Any]:
        return {"requests": [dataclasses.asdict(item) for item in tenant.recorder.all()]}

    @router.delete("/requests")
    def clear_requests() -> dict[str, bool]:
        tenant.recorder.clear()
        return {"cleared": True}

    @router.get("/calls")
    def calls() -> dict[str, dict[str, int]]:
        return tenant.calls.by_day()

    @router.post("/clock/advance")
    def advance(seconds: Seconds) -> dict[str, str]:
        tenant.clock.advance(seconds)
        return {"now": tenant.clock.now().isoformat()}

    @router.post("/reset")
    def reset() -> dict[str, bool]:
        tenant.reset()
        return {"reset": True}

    @router.get("/rows/{entity}")
    def rows(entity: str) -> dict[str, Any]:
        return {"rows": tenant.rows(known(entity))}

    @router.put("/rows/{entity}")
    def put_rows(
        entity: str, rows: Annotated[list[dict[str, str | None]], Body(embed=True)]
    ) -> dict[str, int]:
        try:
            tenant.put_rows(known(entity), rows)
        except ValueError as error:
            raise bad_request(str(error)) from None
        return {"rows": len(rows)}

    return router
