"""The rows that Demandbase did not take, kept as Singer messages that can be replayed."""

from __future__ import annotations

import errno
import hashlib
import logging
import math
import os
import tempfile
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import simplejson

from demandbase_api.errors import DemandbaseError, SpoolError
from demandbase_api.files import make_private_folder, open_private, sync_folder
from target_demandbase.schema import REJECT_PREFIX, REJECT_TYPE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from target_demandbase.plan import StreamPlan
    from target_demandbase.staging import StagedFile


_MAX_NAME = 100


class RejectsError(DemandbaseError):
    """The folder for rejected rows and the report cannot be used."""


def rejects_error(error: OSError) -> RejectsError:
    """Return the error for a folder that does not take a file."""
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    reason = "it has no room left" if full else (error.strerror or "it failed")
    return RejectsError(
        f"The folder for rejected rows cannot be written: {reason}; free some room, or point the "
        "setting rejects_path at another writable folder."
    )


def file_name_part(name: str) -> str:
    """Return a name as a part of a file name; different names stay different."""
    safe = quote(name, safe="", errors="surrogatepass")
    if len(safe) <= _MAX_NAME:
        return safe
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
    return f"{safe[:_MAX_NAME]}-{digest[:16]}"


def check_folder(folder: Path) -> None:
    """Create a folder and see whether it takes files, before it is needed.

    Raises:
        RejectsError: It does not.
    """
    try:
        make_private_folder(folder)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise rejects_error(error) from error


_MAX_PENDING_BYTES = 1 << 20


class SingerFile:
    """The records of one stream; every method but the constructor raises ``OSError``.

    The file is open only while it is written: however many there are, none counts towards the
    system's limit, and there is nothing to close.

    Args:
        path: Where it lies; created with its first record, for its owner only.
        stream: Name of the stream.
    """

    def __init__(self, path: Path, stream: str) -> None:
        self.path = path
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
    ) -> None:
        """Add a record under a schema; it is safe on disk only after ``flush``."""
        message = {"type": "RECORD", "stream": self._stream, "record": record}
        self.add_messages(schema, keys, _line(message))

    def add_messages(self, schema: Mapping[str, Any], keys: Sequence[str], lines: bytes) -> None:
        """Add lines that are RECORD messages of the stream already."""
        same = self._schema is schema or self._schema == schema
        if not same or list(keys) != self._keys:
            self._pending += _line(
                {
                    "type": "SCHEMA",
                    "stream": self._stream,
                    "schema": schema,
                    "key_properties": list(keys),
                }
            )
            self._schema, self._keys = schema, list(keys)
        self._pending += lines
        # The first at once: a folder that cannot be written should show before the run is over.
        if not self._exists or len(self._pending) >= _MAX_PENDING_BYTES:
            self._write(durably=False)

    def flush(self) -> None:
        """Bring all records to the disk for good."""
        if self._pending or not self._durable:
            self._write(durably=True)
        if not self._named:
            sync_folder(self.path.parent)
            self._named = True

    def _write(self, *, durably: bool) -> None:
        make_private_folder(self.path.parent)
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


def record_message(stream: str, record: Mapping[str, Any]) -> bytes:
    """Return a RECORD message as one line of JSON; decimals keep their digits."""
    text: str = simplejson.dumps(
        {"type": "RECORD", "stream": stream, "record": record},
        use_decimal=True,
        # Not JSON, but Python's readers take it: a dead letter then tells of it as a text.
        allow_nan=True,
        separators=(",", ":"),
        default=_other,
    )
    # Only ASCII: halves of characters, which UTF-8 cannot hold, stay as they came.
    return text.encode("ascii") + b"\n"


def _other(value: object) -> str:
    """Return the text of what only a stream map can have put into a record."""
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    return str(value)


logger = logging.getLogger("target-demandbase")


class Undelivered:
    """The rows that a run did not send.

    Args:
        folder: The spool folder; the system's temporary folder where absent.
        run: What tells this run from others.
    """

    def __init__(self, folder: Path | None, run: str) -> None:
        self._folder = (folder or Path(tempfile.gettempdir())) / f"undelivered-{run}"
        self._files: dict[str, SingerFile] = {}

    def add(self, plan: StreamPlan, files: Sequence[StagedFile]) -> None:
        """Keep the records of staged files, and say where they are."""
        records = 0
        if not any(file.rows for file in files):
            return
        source = plan.source
        kept = self._files.setdefault(
            source.stream,
            SingerFile(self._folder / f"{file_name_part(source.stream)}.jsonl", source.stream),
        )
        try:
            for file in files:
                for lines, count in file.messages():
                    records += count
                    kept.add_messages(source.schema, source.key_properties, lines)
            kept.flush()
        except (OSError, SpoolError) as error:
            cause = error if isinstance(error, OSError) else error.__cause__
            logger.warning(
                "%d records of stream %s were not sent and could not be kept in spool_dir (%s); "
                "no state covers them, so the next run gets them from the tap.",
                sum(file.rows for file in files),
                plan.stream,
                getattr(cause, "strerror", None) or "it failed",
            )
            return
        logger.warning(
            "%d records of stream %s were not sent; they are in %s. No state covers them, so the "
            "next run gets them from the tap; without one, send them with “cat FILE | "
            "target-demandbase”. The file holds your data: remove it once you do not need it.",
            records,
            plan.stream,
            kept.path,
        )
