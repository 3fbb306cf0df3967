"""The rows that Demandbase did not take, kept as Singer messages that can be replayed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from target_demandbase.rejects_folder import RejectsError, file_name_part, rejects_error
from target_demandbase.singer_file import SingerFile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

REJECT_PREFIX = "_reject_"
REJECT_TYPE = f"{REJECT_PREFIX}type"

_NULLABLE_STRING = {"type": ["null", "string"]}


@dataclass(frozen=True)
class Reject:
    """Why a row was not taken.

    Args:
        reason: In words.
        field: The Demandbase field that it is about.
        type: Demandbase's word for the kind of error, or the target's own.
        job_id: The import job; None where the row was never sent.
    """

    reason: str
    field: str | None = None
    type: str | None = None
    job_id: str | None = None

    def columns(self) -> dict[str, str | None]:
        """Return the columns that a rejected record gets beside its own."""
        return {
            f"{REJECT_PREFIX}reason": self.reason,
            f"{REJECT_PREFIX}field": self.field,
            REJECT_TYPE: self.type,
            f"{REJECT_PREFIX}job_id": self.job_id,
        }


class DeadLetters:
    """One file of rejected records for each stream that has some.

    Args:
        folder: Where the files lie; created when it is needed.
        run: What tells this run's files from others'; it becomes part of their names as it is.
    """

    def __init__(self, folder: Path, run: str) -> None:
        self._folder = folder
        self._run = run
        self._files: dict[str, SingerFile] = {}

    @property
    def paths(self) -> dict[str, Path]:
        """The files, by stream."""
        return {stream: file.path for stream, file in self._files.items()}

    def reject(
        self,
        stream: str,
        schema: Mapping[str, Any],
        key_properties: Sequence[str],
        record: Mapping[str, Any],
        reason: Reject,
    ) -> None:
        """Keep a record; it is safe on disk only after ``flush``.

        Args:
            stream: Name of the stream.
            schema: Its JSON schema.
            key_properties: Its key columns.
            record: The record as it came.
            reason: Why it was not taken.

        Raises:
            RejectsError: The folder does not take it, or it cannot be written as JSON.
        """
        file = self._files.get(stream)
        if file is None:
            name = f"rejects-{self._run}-{file_name_part(stream)}.jsonl"
            file = self._files[stream] = SingerFile(self._folder / name, stream)
        try:
            file.add(_with_reasons(schema), key_properties, {**record, **reason.columns()})
        except OSError as error:
            raise rejects_error(error) from error
        except RecursionError:
            raise RejectsError(
                f"A rejected record of stream {stream} has too many arrays in each other to be "
                "kept under rejects_path; correct it at the source."
            ) from None

    def flush(self) -> None:
        """Bring all rejected records to the disk for good.

        Raises:
            RejectsError: The folder does not take them.
        """
        try:
            for file in self._files.values():
                file.flush()
        except OSError as error:
            raise rejects_error(error) from error


def _with_reasons(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reasons = dict.fromkeys(Reject("").columns(), _NULLABLE_STRING)
    return {**schema, "properties": {**schema.get("properties", {}), **reasons}}
