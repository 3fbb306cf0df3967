"""The rows that Demandbase did not take, kept as Singer messages that can be replayed."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import simplejson

from target_demandbase.rejects_folder import (
    RejectsError,
    file_name_part,
    make_folder,
    open_private,
    rejects_error,
    sync_folder,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

REJECT_PREFIX = "_reject_"
REJECT_TYPE = f"{REJECT_PREFIX}type"

_MAX_PENDING_BYTES = 1 << 20
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

    Files are open only while they are written, so however many streams there are, none counts
    towards the system's limit, and there is nothing to close.

    Args:
        folder: Where the files lie; created when it is needed.
        run: What tells this run's files from others'; it becomes part of their names as it is.
    """

    def __init__(self, folder: Path, run: str) -> None:
        self._folder = folder
        self._run = run
        self._files: dict[str, _StreamFile] = {}

    @property
    def counts(self) -> dict[str, int]:
        """How many records were rejected, by stream."""
        return {stream: file.records for stream, file in self._files.items()}

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
            file = self._files[stream] = _StreamFile(self._folder / name, stream)
        try:
            file.add(schema, key_properties, record, reason)
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


class _StreamFile:
    """One stream's file; every method but the constructor raises ``OSError``."""

    def __init__(self, path: Path, stream: str) -> None:
        self.path = path
        self.records = 0
        self._stream = stream
        self._pending = bytearray()
        self._exists = False
        self._durable = True
        self._named = False
        self._schema: Mapping[str, Any] | None = None
        self._keys: Sequence[str] = ()

    def add(
        self,
        schema: Mapping[str, Any],
        keys: Sequence[str],
        record: Mapping[str, Any],
        reason: Reject,
    ) -> None:
        line = _line(
            {"type": "RECORD", "stream": self._stream, "record": {**record, **reason.columns()}}
        )
        same = self._schema is schema or self._schema == schema
        if not same or list(keys) != self._keys:
            self._pending += _schema_line(self._stream, schema, keys)
            self._schema, self._keys = schema, list(keys)
        self._pending += line
        self.records += 1
        # The first at once: a folder that cannot be written should show before the run is over.
        if not self._exists or len(self._pending) >= _MAX_PENDING_BYTES:
            self._write(durably=False)

    def flush(self) -> None:
        if self._pending or not self._durable:
            self._write(durably=True)
        if not self._named:
            sync_folder(self.path.parent)
            self._named = True

    def _write(self, *, durably: bool) -> None:
        make_folder(self.path.parent)
        descriptor = open_private(self.path, os.O_APPEND)
        self._exists = True
        try:
            # Byte by byte account: a disk that fills up half-way must not lead to doubled lines.
            while self._pending:
                self._durable = False
                del self._pending[: os.write(descriptor, self._pending)]
            if durably:
                os.fsync(descriptor)
                self._durable = True
        finally:
            os.close(descriptor)


def _schema_line(stream: str, schema: Mapping[str, Any], keys: Sequence[str]) -> bytes:
    reject_columns = dict.fromkeys(Reject("").columns(), _NULLABLE_STRING)
    properties = {**schema.get("properties", {}), **reject_columns}
    return _line(
        {
            "type": "SCHEMA",
            "stream": stream,
            "schema": {**schema, "properties": properties},
            "key_properties": list(keys),
        }
    )


def _line(message: Mapping[str, Any]) -> bytes:
    try:
        text = _dumps(message)
    except ValueError:
        text = _dumps(_finite(message))
    # Only ASCII: halves of characters, which UTF-8 cannot hold, stay as they came.
    return text.encode("ascii") + b"\n"


def _dumps(message: object) -> str:
    text: str = simplejson.dumps(
        message,
        allow_nan=False,
        separators=(",", ":"),
        # Decimals go to _default, since not all of them are JSON numbers.
        use_decimal=False,
        default=_default,
    )
    return text


def _default(value: object) -> object:
    match value:
        case Decimal() if value.is_finite():
            return simplejson.RawJSON(str(value))
        case datetime() | date() | time():
            return value.isoformat()
        case _:
            return str(value)


def _finite(value: object) -> object:
    """Return a value whose floats that are no number are texts.

    As null, which JSON libraries like to make of them, they would blank the field in a replay.
    """
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case dict():
            return {name: _finite(item) for name, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
        case _:
            return value
