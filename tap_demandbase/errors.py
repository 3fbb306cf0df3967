"""Errors of the tap's streams. No message quotes a record value.

StreamError
├── SelectionError
├── FileFormatError
├── CellError
├── RecordCountError
├── DateRangeError
├── FileSizeError
├── StateError
└── QuotaStopError
BatchStorageError
"""

from __future__ import annotations

from demandbase_api.errors import EXIT_TRY_LATER, DemandbaseError


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


class FileSizeError(StreamError):
    """The files have another size than the server says."""


class StateError(StreamError):
    """The state of a stream cannot be read."""


class QuotaStopError(StreamError):
    """The daily quota is used up before all streams are done."""

    exit_code = EXIT_TRY_LATER


class BatchStorageError(DemandbaseError):
    """A batch file cannot be written to its storage."""
