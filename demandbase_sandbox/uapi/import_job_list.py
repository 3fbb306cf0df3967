"""The list of import jobs: what may be asked of it, and the page that is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from demandbase_sandbox.refusal import bad_request
from demandbase_sandbox.uapi.entity_types import IMPORT_ENTITIES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STATES = frozenset({"new", "processing", "completed", "failed"})


def import_job_page(
    jobs: Sequence[dict[str, Any]],
    asked: Mapping[str, str | None],
    page: int,
    size: int,
    shift: int,
) -> dict[str, Any]:
    """Return a page of the list.

    Args:
        jobs: All jobs, newest first.
        asked: ``entityType`` (in any case), ``state`` and ``sort``, which may be absent. Which
            texts ``sort`` takes is not published; those of the export API are taken.
        page: Which page, from 1.
        size: Jobs on a page.
        shift: By how many jobs the page is moved.

    Raises:
        RefusalError: 400.
    """
    entities = {name.lower() for name in IMPORT_ENTITIES}
    entity = None if asked["entityType"] is None else asked["entityType"].lower()
    state = asked["state"]
    if entity is not None and entity not in entities:
        raise bad_request(f"entityType is one of {', '.join(IMPORT_ENTITIES)}")
    if state is not None and state not in STATES:
        raise bad_request(f"state is one of {', '.join(sorted(STATES))}")
    if asked["sort"] not in {"ascending", "descending"}:
        raise bad_request("sort is ascending or descending")
    if page < 1 or size < 1:
        raise bad_request("page and perPage are positive numbers")
    found = [
        job
        for job in jobs
        if entity in {None, job["entityType"].lower()} and state in {None, job["status"]}
    ]
    if asked["sort"] == "ascending":
        found.reverse()
    start = max(0, (page - 1) * size + shift)
    return {
        "totalCount": len(found),
        "data": [shown(job) for job in found[start : start + size]],
    }


def shown(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job as the API shows it."""
    names = ("dataImportName", "entityType", "createdAt", "updatedAt", "source")
    document = {"id": int(job["id"]), "state": job["status"], **{name: job[name] for name in names}}
    if "activityTypeId" in job:
        document["activityTypeId"] = job["activityTypeId"]
    return document
