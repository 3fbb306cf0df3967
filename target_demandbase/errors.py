"""What can go wrong while rows are brought to Demandbase; no message holds a value."""

from __future__ import annotations

from demandbase_api.errors import EXIT_TRY_LATER, DemandbaseError


class TargetError(DemandbaseError):
    """A failure of the target.

    Args:
        sentence: What happened and what to do.
        stream: The stream.
    """

    def __init__(self, sentence: str, *, stream: str | None = None) -> None:
        self.stream = stream
        super().__init__(sentence)


class RoutingError(TargetError):
    """A stream goes to no entity."""


class MappingError(TargetError):
    """A stream's columns do not fit the entity's fields."""


class InputError(TargetError):
    """The input is no Singer message, or a record that cannot be sent."""


class RejectedRowsError(TargetError):
    """Demandbase did not take every row."""


class StillRunningError(TargetError):
    """A job did not end in time, and may end well all the same."""

    exit_code = EXIT_TRY_LATER


class ReconciliationError(TargetError):
    """Demandbase's counts differ from what was sent."""
