"""Errors of the command that are not those of an API."""

from __future__ import annotations

from demandbase_api.errors import EXIT_FAILURE, DemandbaseError


class CommandError(DemandbaseError):
    """What the command was asked for is not there, or cannot be done.

    Args:
        sentence: What happened and what to do.
        exit_code: Exit code of the command.
    """

    def __init__(self, sentence: str, exit_code: int = EXIT_FAILURE) -> None:
        self.exit_code = exit_code
        super().__init__(sentence)
