"""What can go wrong with a stream; no message holds a record value."""

from __future__ import annotations

from demandbase_api.errors import EXIT_TRY_LATER, DemandbaseError


class StreamError(DemandbaseError):
    """A stream that could not be read to its end.

    Args:
        sentence: What happened and what to do.
        stream: The stream.
        job_id: The export job.
        part: The part of the job's file, counted from 1.
        line: The line in that part, counted from 1.
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
    """The catalog selects what cannot be exported."""


class FileFormatError(StreamError):
    """A part is no CSV file with the columns that were asked for."""


class CellError(StreamError):
    """A cell does not fit its type."""


class RecordCountError(StreamError):
    """The server counted other records than the file holds."""


class FileSizeError(StreamError):
    """The server says another size than its files have."""


class StateError(StreamError):
    """A stream's state cannot be read."""


class QuotaStopError(StreamError):
    """The day's quota is used up before all streams are done."""

    exit_code = EXIT_TRY_LATER


class BatchStorageError(DemandbaseError):
    """A batch file cannot be put where it should be."""
