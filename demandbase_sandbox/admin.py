"""Routes under ``/_sandbox`` for tests in another process: faults, clock, rows, requests.

They need the token like all others.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request

from demandbase_sandbox.exceptions import bad_request, not_found
from demandbase_sandbox.faults import faults_from_json
from demandbase_sandbox.tenant.tenant import Tenant

ADMIN_PREFIX = "/_sandbox"

router = APIRouter(prefix=ADMIN_PREFIX, include_in_schema=False)


async def _current_tenant(request: Request) -> Tenant:
    tenant: Tenant = request.state.tenant
    return tenant


async def _known_entity(entity: str, request: Request) -> str:
    if entity not in request.state.tenant.store.entities:
        raise not_found(f"unknown entity: {entity}")
    return entity


CurrentTenant = Annotated[Tenant, Depends(_current_tenant)]

Entity = Annotated[str, Depends(_known_entity)]

Seconds = Annotated[float, Body(embed=True, ge=0, le=10**9)]


@router.post("/faults")
async def add_faults(tenant: CurrentTenant, request: Request) -> dict[str, int]:
    """Add rules: see ``Fault``."""
    try:
        faults = faults_from_json(await request.body())
    except ValueError as error:
        raise bad_request(str(error)) from None
    for fault in faults:
        tenant.faults.add(fault)
    return {"added": len(faults)}


@router.delete("/faults")
def clear_faults(tenant: CurrentTenant) -> dict[str, bool]:
    """Remove all rules."""
    tenant.faults.clear()
    return {"cleared": True}


@router.get("/requests")
def requests(tenant: CurrentTenant) -> dict[str, Any]:
    """Return the recorded requests."""
    return {"requests": [dataclasses.asdict(item) for item in tenant.recorder.all()]}


@router.delete("/requests")
def clear_requests(tenant: CurrentTenant) -> dict[str, bool]:
    """Clear the record."""
    tenant.recorder.clear()
    return {"cleared": True}


@router.get("/calls")
def calls(tenant: CurrentTenant) -> dict[str, dict[str, int]]:
    """Return the calls of ``uapi`` by UTC day."""
    return tenant.calls.by_day()


@router.post("/clock/advance")
def advance_clock(tenant: CurrentTenant, seconds: Seconds) -> dict[str, str]:
    """Advance the clock."""
    tenant.clock.advance(seconds)
    return {"now": tenant.clock.now().isoformat()}


@router.post("/reset")
def reset(tenant: CurrentTenant) -> dict[str, bool]:
    """Return to the sample tenant."""
    tenant.reset()
    return {"reset": True}


@router.get("/rows/{entity}")
def rows(tenant: CurrentTenant, entity: Entity) -> dict[str, Any]:
    """Return an entity's rows."""
    return {"rows": tenant.rows(entity)}


@router.put("/rows/{entity}")
def put_rows(
    tenant: CurrentTenant,
    entity: Entity,
    rows: Annotated[list[dict[str, str | None]], Body(embed=True)],
) -> dict[str, int]:
    """Replace an entity's rows."""
    try:
        tenant.put_rows(entity, rows)
    except ValueError as error:
        raise bad_request(str(error)) from None
    return {"rows": len(rows)}
