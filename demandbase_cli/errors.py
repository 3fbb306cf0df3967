"""Errors of the command that are not those of an API."""

from __future__ import annotations

from demandbase_api.errors import DemandbaseError


class CommandError(DemandbaseError):
    """What the command was asked for is not there, or cannot be done."""
