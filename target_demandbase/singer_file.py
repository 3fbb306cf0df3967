"""A file of Singer messages of one stream, durable and for its owner only."""

from __future__ import annotations

import math
import os
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import simplejson

from target_demandbase.rejects_folder import make_folder, open_private, sync_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

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
