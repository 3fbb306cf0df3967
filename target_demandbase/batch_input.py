"""Reads the files of a BATCH message, record by record."""

from __future__ import annotations

import gzip
import zlib
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Any, cast

from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchFileFormat, StorageTarget
from singer_sdk.singerlib.json import deserialize_json

from target_demandbase.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def batch_records(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the records of all files of a BATCH message.

    Raises:
        InputError: The message or a file is not what it should be.
    """
    stream = message["stream"]
    try:
        encoding = BaseBatchFileEncoding.from_dict(message["encoding"])
        files = list(message["manifest"])
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"A BATCH message of stream {stream} has no valid encoding or manifest. Check the tap.",
            stream=stream,
        ) from None
    if encoding.format != BatchFileFormat.JSONL or encoding.compression not in {None, "gzip"}:
        raise InputError(
            f"A BATCH message of stream {stream} has files that are neither jsonl nor jsonl with "
            "gzip. Set the tap's batch_config.encoding.format to jsonl.",
            stream=stream,
        )
    for number, path in enumerate(files, 1):
        yield from _file(stream, number, str(path), packed=encoding.compression == "gzip")


def _file(stream: str, number: int, path: str, *, packed: bool) -> Iterator[dict[str, Any]]:
    line = 0
    try:
        head, tail = StorageTarget.split_url(path)
        with ExitStack() as stack:
            file: IO[bytes] = stack.enter_context(
                StorageTarget.from_url(head).open(tail, mode="rb")
            )
            if packed:
                file = cast("IO[bytes]", stack.enter_context(gzip.GzipFile(fileobj=file)))
            for text in file:
                line += 1
                if text.strip():
                    yield _record(text)
    except ValueError:
        raise InputError(
            f"File {number} of a BATCH message of stream {stream}, line {line}, is no JSON object. "
            "Check the tap.",
            stream=stream,
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"File {number} of a BATCH message of stream {stream} cannot be read to its end "
            f"({type(error).__name__} after line {line}). Check where the tap puts its files.",
            stream=stream,
        ) from None


def _record(text: bytes) -> dict[str, Any]:
    """Return a record; ``ValueError`` where a line is none."""
    record = deserialize_json(text)
    if not isinstance(record, dict):
        raise ValueError  # noqa: TRY004 - one error for all that is no JSON object
    return record
