"""Routes under ``/_sandbox`` for tests in another process: faults, clock, what was seen."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body

from demandbase_sandbox.faults import faults_from_rules
from demandbase_sandbox.refusal import bad_request

if TYPE_CHECKING:
    from demandbase_sandbox.tenant import Tenant


def admin_routes(tenant: Tenant) -> APIRouter:
    """Return the admin routes of a tenant; they need the token like all others."""
    router = APIRouter(prefix="/_sandbox", include_in_schema=False)

    @router.post("/faults")
    def add_faults(rules: Annotated[Any, Body()]) -> dict[str, int]:  # noqa: ANN401
        try:
            faults = faults_from_rules(rules)
        except (TypeError, ValueError) as error:
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

    @router.post("/clock/advance")
    def advance(seconds: Annotated[float, Body(embed=True)]) -> dict[str, str]:
        tenant.clock.advance(seconds)
        return {"now": tenant.clock.now().isoformat()}

    return router
