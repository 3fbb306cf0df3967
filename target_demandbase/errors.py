"""Errors of the target. Messages contain no record values."""

from __future__ import annotations

from singer_sdk.exceptions import (
    InvalidRecord,
    MissingKeyPropertiesError,
    RecordsWithoutSchemaException,
)
from singer_sdk.exceptions import MappingError as StreamMapError

from demandbase_api.errors import EXIT_TRY_LATER, DemandbaseError
from demandbase_api.process import STREAM_MAP_SENTENCE


def sdk_sentence(error: BaseException | None) -> str | None:
    """Return why a run failed, if the SDK says that in words without record values."""
    match error:
        case DemandbaseError():  # some are also errors of the SDK
            return None
        case InvalidRecord():
            return str(error.error_message)
        case MissingKeyPropertiesError() | RecordsWithoutSchemaException():
            # Their sentences name properties only.
            return " ".join(str(error.args[0]).split())
        case StreamMapError():
            return STREAM_MAP_SENTENCE
        case _:
            return None


class TargetError(DemandbaseError):
    """Base of the target's errors.

    Args:
        sentence: What happened and what to do.
        stream: Name of the stream.
    """

    def __init__(self, sentence: str, *, stream: str | None = None) -> None:
        self.stream = stream
        super().__init__(sentence)


class RoutingError(TargetError):
    """A stream has no entity."""


class MappingError(TargetError):
    """A stream's columns or settings do not fit the entity."""


class PlanError(TargetError):
    """What Demandbase or the settings say of a stream's entity cannot be used."""


class InputError(TargetError):
    """The input contains something other than valid Singer messages."""


class RejectedRowsError(TargetError):
    """More rows were rejected than the settings allow."""


class StillRunningError(TargetError):
    """An import job did not end in time; the next run resumes it."""

    exit_code = EXIT_TRY_LATER


class OutputError(TargetError):
    """A state cannot be written to standard output."""


class ReconciliationError(TargetError):
    """The counts of an import job differ from what was sent."""
