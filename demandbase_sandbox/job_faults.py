"""What shall go wrong with a job that is being created."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from demandbase_sandbox.faults import Effect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demandbase_sandbox.fault_book import FaultBook


def job_secret(faults: FaultBook, operation: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the job keeps to itself until it is time."""
    hits = faults.hits(
        operation, asked, Effect.JOB_FAILS, Effect.JOB_GONE, Effect.NEVER_ENDS, Effect.MANGLE_CSV
    )
    secret: dict[str, Any] = {}
    if (fault := hits.get(Effect.JOB_FAILS)) is not None:
        secret |= {"job_fails": fault.message, "rows": fault.rows}
    if (fault := hits.get(Effect.JOB_GONE)) is not None:
        secret["job_gone"] = fault.seconds
    if Effect.NEVER_ENDS in hits:
        secret["never_ends"] = True
    if (fault := hits.get(Effect.MANGLE_CSV)) is not None:
        secret["mangle_csv"] = fault.how
    return secret
