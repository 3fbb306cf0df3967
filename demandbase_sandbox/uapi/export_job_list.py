"""The list of export jobs: what may be asked of it, and the page that is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from demandbase_sandbox.uapi.entity_types import ENTITY_TYPES, LIST_ENTITIES
from demandbase_sandbox.uapi.error_codes import coded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ALL = "All"
STATUSES = frozenset({"accepted", "processing", "finished", "failed"})
_ENTITIES = frozenset({*ENTITY_TYPES, *LIST_ENTITIES})
_DIGITS = 9
"""More digits than any page can have, few enough to count with."""


def job_page(
    jobs: Sequence[dict[str, Any]], asked: Mapping[str, str], largest: int, shift: int
) -> dict[str, Any]:
    """Return a page of the list.

    Args:
        jobs: All jobs, newest first.
        asked: ``entityType``, ``jobStatus``, ``sort``, ``page`` and ``perPage`` as texts.
        largest: Jobs on one page at most, whatever ``perPage`` says.
        shift: By how many jobs the page is moved.

    Raises:
        RefusalError: 400-120 to 400-124.
    """
    if asked["sort"] not in {"ascending", "descending"}:
        raise coded("400-120", asked["sort"])
    page = _positive(asked["page"], "400-121")
    size = min(_positive(asked["perPage"], "400-122"), largest)
    entity, status = asked["entityType"], asked["jobStatus"]
    if entity != ALL and entity not in _ENTITIES:
        raise coded("400-123", entity)
    if status != ALL and status not in STATUSES:
        raise coded("400-124", status)
    found = [
        job for job in jobs if entity in {ALL, job["entityType"]} and status in {ALL, job["status"]}
    ]
    if asked["sort"] == "ascending":
        found.reverse()
    start = max(0, (page - 1) * size + shift)
    return {
        "pageNo": page,
        "pageSize": size,
        "data": [listed(job) for job in found[start : start + size]],
        "totalCount": len(found),
    }


def listed(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job as the list shows it."""
    return {**created(job), "updatedAt": job["updatedAt"]}


def created(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job as its creation answers it."""
    names = ("jobName", "entityType", "createdAt")
    return {"jobId": job["id"], "jobStatus": job["status"], **{name: job[name] for name in names}}


def _positive(text: str, code: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS and int(text)):
        raise coded(code, text)
    return int(text)
