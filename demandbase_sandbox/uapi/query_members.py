"""Query parameters that an operation does not know."""

from __future__ import annotations

from fastapi import Request  # noqa: TC002 - FastAPI resolves annotations

from demandbase_sandbox.refusal import bad_request
from demandbase_sandbox.uapi.error_codes import coded
from demandbase_sandbox.uapi.operations import EXPORT_PREFIX


def known_query(request: Request) -> None:
    """Refuse parameters that the operation at a path does not publish, compared with their case.

    Published is that only for members of a body, and only for exports; this is the stricter
    reading. A misspelt ``listAction`` would do what the default does, which empties a list.

    Raises:
        RefusalError: 400-147, without a code elsewhere than in exports.
    """
    known = {parameter.alias for parameter in request.scope["route"].dependant.query_params}
    if unknown := [name for name in request.query_params if name not in known]:
        names = ", ".join(unknown)
        is_export = request.url.path.startswith(f"{EXPORT_PREFIX}/")
        raise coded("400-147", names) if is_export else bad_request(f"unknown parameter {names}")
