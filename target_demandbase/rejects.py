"""Dead letters and undelivered rows: Singer messages in files that can be sent again."""

from __future__ import annotations

import errno
import hashlib
import logging
import math
import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import simplejson

from demandbase_api.errors import DemandbaseError, SpoolError, StateError
from demandbase_api.files import make_private_folder, open_private, sync_folder
from demandbase_api.process import signals_deferred
from demandbase_api.run_files import RowsKind
from target_demandbase.invocation import sending_command
from target_demandbase.schema import REJECT_PREFIX, REJECT_TYPE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from demandbase_api.state.ports import StateStore
    from target_demandbase.plan import StreamPlan
    from target_demandbase.staging import StagedFile


logger = logging.getLogger("target-demandbase")

INVALID = "invalid_record"

MISSING_KEY = "missing_key"

TOO_LARGE = "too_large"

_MAX_NAME = 100

_MAX_PENDING_BYTES = 1 << 20

_NULLABLE_STRING = {"type": ["null", "string"]}


class RejectsError(DemandbaseError):
    """The folder for rejected rows and reports cannot be written."""


def rejects_error(error: OSError) -> RejectsError:
    """Return the error for a folder that cannot be written."""
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    reason = "it has no room left" if full else (error.strerror or "it failed")
    return RejectsError(
        f"The folder for rejected rows cannot be written: {reason}; free some room, or point the "
        "setting rejects_path at another writable folder."
    )


def check_folder(folder: Path) -> None:
    """Create the folder and check that it can be written, before it is needed.

    Raises:
        RejectsError: The folder is not writable.
    """
    try:
        make_private_folder(folder)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise rejects_error(error) from error


def file_name_part(name: str) -> str:
    """Return a name as a part of a file name; different names stay different."""
    safe = quote(name, safe="", errors="surrogatepass")
    if len(safe) <= _MAX_NAME:
        return safe
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
    return f"{safe[:_MAX_NAME]}-{digest[:16]}"


@dataclass(frozen=True)
class Reject:
    """Why a row was rejected.

    Args:
        reason: The reason in words.
        field: The Demandbase field.
        type: Kind of error, in Demandbase's words or the target's.
        job_id: Id of the import job. ``None`` if the row was not sent.
    """

    reason: str
    field: str | None = None
    type: str | None = None
    job_id: str | None = None

    def columns(self) -> dict[str, str | None]:
        """Return the columns that are added to the rejected record."""
        return {
            f"{REJECT_PREFIX}reason": self.reason,
            f"{REJECT_PREFIX}field": self.field,
            REJECT_TYPE: self.type,
            f"{REJECT_PREFIX}job_id": self.job_id,
        }


class DeadLetters:
    """A file of rejected records for each stream that has any.

    If there is a store for copies, each flush ends the files and moves them there.

    Args:
        folder: Folder of the files; created when needed.
        run: Unique name of the run, a part of the files' names.
        copies: Gets the files.
    """

    def __init__(self, folder: Path, run: str, copies: StateStore | None = None) -> None:
        self._folder = folder
        self._run = run
        self._copies = copies
        self._files: dict[str, SingerFile] = {}
        self._moved: Counter[str] = Counter()

    @property
    def paths(self) -> dict[str, Path]:
        """The files on this machine, by stream."""
        return {stream: file.path for stream, file in self._files.items()}

    @property
    def places(self) -> list[str]:
        """Where the records are, for a person."""
        if self._copies is None:
            return list(map(str, self.paths.values()))
        streams = {**self._moved, **self._files}
        return [self._copies.location(self._name(stream, "*")) for stream in streams]

    def _name(self, stream: str, number: str = "") -> str:
        ending = f".{number}" if number else ""
        return f"{RowsKind.REJECTED}-{self._run}-{file_name_part(stream)}{ending}.jsonl"

    def reject(
        self,
        stream: str,
        schema: Mapping[str, Any],
        key_properties: Sequence[str],
        record: Mapping[str, Any],
        reason: Reject,
    ) -> None:
        """Write a record; it is durable only after ``flush``.

        Args:
            stream: Name of the stream.
            schema: Its JSON schema.
            key_properties: Its key columns.
            record: The record as the tap sent it.
            reason: Why it was rejected.

        Raises:
            RejectsError: The file cannot be written, or the record is no valid JSON.
        """
        file = self._files.get(stream)
        if file is None:
            number = "" if self._copies is None else f"{self._moved[stream] + 1:04d}"
            path = self._folder / self._name(stream, number)
            file = self._files[stream] = SingerFile(path, stream)
        try:
            file.add(_with_reasons(schema), key_properties, {**record, **reason.columns()})
        except OSError as error:
            raise rejects_error(error) from error
        except RecursionError:
            raise RejectsError(
                f"A rejected record of stream {stream} has too many nested arrays to be "
                "kept under rejects_path; correct it at the source."
            ) from None

    def flush(self) -> None:
        """Make all rejected records durable.

        Raises:
            RejectsError: A file cannot be written.
        """
        try:
            for file in self._files.values():
                file.flush()
            if self._copies is not None:
                self._move(self._copies)
        except OSError as error:
            raise rejects_error(error) from error

    def _move(self, copies: StateStore) -> None:
        for stream in list(self._files):
            file = self._files[stream].path
            move(file, copies, file.name)
            self._moved[stream] += 1
            del self._files[stream]


def move(file: Path, store: StateStore, name: str) -> str:
    """Move a file that has all of its records into a store; return where it is.

    Raises:
        RejectsError: It cannot be stored. It stays where it is.
    """
    try:
        store.copy_in(file, name)
    except StateError as error:
        raise RejectsError(
            f"Rows that only this run has cannot be kept in {store.location()}: {error.reason}. "
            f"They are in {file}."
        ) from error
    with suppress(OSError):  # it is there twice
        file.unlink()
    return store.location(name)


def _with_reasons(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reasons = dict.fromkeys(Reject("").columns(), _NULLABLE_STRING)
    return {**schema, "properties": {**schema.get("properties", {}), **reasons}}


class Undelivered:
    """Files of the rows that a run did not send.

    Args:
        folder: The state folder.
        run: Unique name of the run.
        copies: Gets the files, if there is one.
    """

    def __init__(self, folder: Path, run: str, copies: StateStore | None = None) -> None:
        self._folder = folder / f"{RowsKind.UNDELIVERED}-{run}"
        self._copies = copies
        self._number = 0
        self._files: dict[str, SingerFile] = {}

    def add(self, plan: StreamPlan, staged: Sequence[StagedFile]) -> None:
        """Write the records of staged files, and log where they are."""
        if not any(file.rows for file in staged):
            return
        source = plan.source
        written = self._file(source.stream)
        records = 0
        try:
            for file in staged:
                for lines, count in file.messages():
                    records += count
                    written.add_messages(source.schema, source.key_properties, lines)
            written.flush()
            place = self._place(written)
        except (OSError, SpoolError) as error:
            cause = error if isinstance(error, OSError) else error.__cause__
            logger.warning(
                "%d records of stream %s were not sent and could not be kept in state_dir (%s); "
                "no state covers them, so the next run gets them from the tap.",
                sum(file.rows for file in staged),
                plan.stream,
                getattr(cause, "strerror", None) or "it failed",
            )
            return
        logger.warning(
            "%d records of stream %s were not sent; they are in %s. No state covers them, so the "
            "next run gets them from the tap; without one, send them with “%s”. The file contains "
            "your data: remove it when you no longer need it.",
            records,
            plan.stream,
            place,
            sending_command(),
        )

    def _file(self, stream: str) -> SingerFile:
        """Return the file of a stream's records; with copies, a new one each time."""
        name = file_name_part(stream)
        if self._copies is not None:
            self._number += 1
            return SingerFile(self._folder / f"{name}.{self._number:04d}.jsonl", stream)
        path = self._folder / f"{name}.jsonl"
        return self._files.setdefault(stream, SingerFile(path, stream))

    def _place(self, file: SingerFile) -> str:
        """Return where a file is for good."""
        if self._copies is None:
            return str(file.path)
        try:
            place = move(file.path, self._copies, f"{self._folder.name}-{file.path.name}")
        except RejectsError as error:
            logger.warning("%s", error)
            self._copies = None  # a system that ends the run does not wait for long
            return str(file.path)
        with suppress(OSError):  # another file is there
            self._folder.rmdir()
        return place


class SingerFile:
    """A file of one stream's records; every method raises ``OSError``.

    The file is open only while it is written: it does not count towards the system's limit of open
    files, and need not be closed.

    Args:
        path: The file; created with the first record, for its owner only.
        stream: Name of the stream.
    """

    def __init__(self, path: Path, stream: str) -> None:
        self.path = path
        self._stream = stream
        self._pending = bytearray()
        self._exists = False
        self._is_durable = True
        self._is_name_durable = False
        self._schema: Mapping[str, Any] | None = None
        self._keys: Sequence[str] = ()

    def add(
        self,
        schema: Mapping[str, Any],
        keys: Sequence[str],
        record: Mapping[str, Any],
    ) -> None:
        """Add a record; it is durable only after ``flush``."""
        message = {"type": "RECORD", "stream": self._stream, "record": record}
        self.add_messages(schema, keys, _line(message))

    def add_messages(self, schema: Mapping[str, Any], keys: Sequence[str], lines: bytes) -> None:
        """Add lines that are RECORD messages of the stream, after a SCHEMA message if needed."""
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
        # The first record at once: a folder that cannot be written should show early.
        if not self._exists or len(self._pending) >= _MAX_PENDING_BYTES:
            self._write(durably=False)

    def flush(self) -> None:
        """Make all records durable."""
        if self._pending or not self._is_durable:
            self._write(durably=True)
        if not self._is_name_durable:
            sync_folder(self.path.parent)
            self._is_name_durable = True

    def _write(self, *, durably: bool) -> None:
        make_private_folder(self.path.parent)
        descriptor = open_private(self.path, os.O_APPEND)
        self._exists = True
        try:
            self._is_durable = False
            with signals_deferred():
                self._append_pending(descriptor)
            if durably:
                os.fsync(descriptor)
                self._is_durable = True
        finally:
            os.close(descriptor)

    def _append_pending(self, descriptor: int) -> None:
        """Append what is pending; of a disk that fills up, only whole lines are kept."""
        size, written = os.fstat(descriptor).st_size, 0
        pending = bytes(self._pending)
        try:
            while written < len(pending):
                written += os.write(descriptor, pending[written:])
        except OSError:
            written = pending.rfind(b"\n", 0, written) + 1
            os.ftruncate(descriptor, size + written)
            raise
        finally:
            del self._pending[:written]


def record_message(stream: str, record: Mapping[str, Any]) -> bytes:
    """Return a RECORD message as one line of JSON; decimals keep their digits."""
    text: str = simplejson.dumps(
        {"type": "RECORD", "stream": stream, "record": record},
        use_decimal=True,
        # Not JSON, but Python's readers accept it, and a dead letter then has it as a text.
        allow_nan=True,
        separators=(",", ":"),
        default=_other,
    )
    # ASCII: lone surrogates, which UTF-8 cannot hold, stay as they came.
    return text.encode("ascii") + b"\n"


def _other(value: object) -> str:
    """Return the text of a value that only a stream map can have put into a record."""
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    return str(value)


def _line(message: Mapping[str, Any]) -> bytes:
    try:
        text = _dumps(message)
    except ValueError:
        text = _dumps(_finite(message))
    # ASCII: lone surrogates, which UTF-8 cannot hold, stay as they came.
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
    """Return a value whose NaN and infinite floats are texts.

    JSON libraries write them as null, which would blank the field in a replay.
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
