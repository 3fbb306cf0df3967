"""Errors of the tap's streams. No message quotes a record value.

StreamError
├── SelectionError
├── FileFormatError
├── CellError
├── RecordCountError
├── DateRangeError
├── EmptyStreamError
├── FileSizeError
├── StateError
└── QuotaStopError
StreamsFailedError
StateFormatError
OutputError
BatchStorageError
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from singer_sdk.exceptions import MappingError

from demandbase_api.errors import EXIT_TRY_LATER, DemandbaseError
from demandbase_api.process import STREAM_MAP_SENTENCE

if TYPE_CHECKING:
    from collections.abc import Mapping


def sdk_sentence(error: BaseException | None) -> str | None:
    """Return why a run failed, if an error of the SDK says it."""
    return STREAM_MAP_SENTENCE if isinstance(error, MappingError) else None


class StreamError(DemandbaseError):
    """A stream could not be read to its end.

    Args:
        sentence: What happened and what to do.
        stream: Name of the stream.
        job_id: Id of the export job.
        part: Part of the job's file, counted from 1.
        line: Line in that part, counted from 1.
    """

    def __init__(
        self,
        sentence: str,
        *,
        stream: str,
        job_id: str | None = None,
        part: int | None = None,
        line: int | None = None,
    ) -> None:
        self.stream = stream
        self.job_id = job_id
        self.part = part
        self.line = line
        super().__init__(sentence)


class SelectionError(StreamError):
    """The catalog selects something that cannot be exported."""


class FileFormatError(StreamError):
    """A part is no CSV file with the requested columns."""


class CellError(StreamError):
    """A cell does not fit its type."""


class RecordCountError(StreamError):
    """The server counted another number of records than the file has."""


class DateRangeError(StreamError):
    """No row of a job has a date that was requested."""


class EmptyStreamError(StreamError):
    """A run sent no row of a stream that must not be empty."""


class FileSizeError(StreamError):
    """The files have another size than the server says."""


class StateError(StreamError):
    """The state of a stream cannot be read."""


class QuotaStopError(StreamError):
    """The daily quota is used up before all streams are done."""

    exit_code = EXIT_TRY_LATER


class StreamsFailedError(DemandbaseError):
    """Streams failed, and the others were delivered as far as possible.

    Args:
        failures: Error of each stream that failed.
        total: Number of selected streams.
        ended_by: Error that ended the run before all streams were tried.
    """

    def __init__(
        self,
        failures: Mapping[str, DemandbaseError],
        total: int,
        ended_by: DemandbaseError | None = None,
    ) -> None:
        self.failures = dict(failures)
        self.total = total
        self.ended_by = ended_by
        super().__init__(_failures_sentence(self.failures, total, ended_by))


class StateFormatError(DemandbaseError):
    """What was passed as the state of the tap is no state."""


class OutputError(DemandbaseError):
    """Nothing can be written to standard output any more."""

    ends_run = True


class BatchStorageError(DemandbaseError):
    """A batch file cannot be written to its storage."""

    ends_run = True


def _failures_sentence(
    failures: Mapping[str, DemandbaseError], total: int, ended_by: DemandbaseError | None
) -> str:
    streams_by_text: dict[str, list[str]] = {}
    for stream, error in failures.items():
        streams_by_text.setdefault(str(error), []).append(stream)
    parts = [_named(streams, text) for text, streams in streams_by_text.items()]
    if ended_by is not None:
        parts.insert(0, f"{ended_by} Before that, {len(failures)} of {total} streams failed.")
    elif len(failures) < total:
        parts.insert(0, f"{len(failures)} of {total} streams failed, the others were delivered.")
    return " ".join(parts)


def _named(streams: list[str], text: str) -> str:
    if len(streams) == 1 and text.startswith(f"Stream {streams[0]}"):
        return text
    return f"Stream{'s' if len(streams) > 1 else ''} {' and '.join(streams)}: {text}"
