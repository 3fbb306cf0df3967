"""Query parameters that an operation does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demandbase_sandbox.uapi.error_codes import coded

if TYPE_CHECKING:
    from collections.abc import Container

    from fastapi import Request


def known_only(request: Request, known: Container[str]) -> None:
    """Refuse other parameters: published is that only for a body's, this is the stricter reading.

    Raises:
        RefusalError: 400-147.
    """
    if unknown := [name for name in request.query_params if name not in known]:
        raise coded("400-147", ", ".join(unknown))
