"""Writes rows to batch files of a bounded number of rows, as JSON lines or Parquet."""

from __future__ import annotations

import gzip
import re
import shutil
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from typing import cast as typed_as
from uuid import uuid4

import pyarrow as pa
from fsspec.core import url_to_fs  # type: ignore[import-untyped]
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]
from pyarrow import parquet
from singer_sdk.singerlib.json import serialize_json
from typing_extensions import override

from demandbase_api.errors import spool_error
from demandbase_api.threads import OrderedWorkers
from tap_demandbase import cast
from tap_demandbase.arrow.json_lines import RecordLines, pieces
from tap_demandbase.arrow.values import read_float64
from tap_demandbase.config import announced_encoding
from tap_demandbase.errors import BatchStorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from singer_sdk.helpers._batch import BatchConfig

    from tap_demandbase.arrow.row_block import Rows
    from tap_demandbase.arrow.values import Column
    from tap_demandbase.cast import Value
    from tap_demandbase.spool import Spool

    Batch = tuple[int, str | dict[str, Value]]


_COPY_BYTES = 1024 * 1024

_BLOCKS_AHEAD = 4
"""Blocks that may wait in memory until they are written."""

_GZIP_LEVEL = 1
"""A third of the default level's time for a fifth more bytes."""

_GROUP_ROWS = 16 * 1024
"""Rows of a Parquet row group; they wait in memory until they are compressed together."""

_ARROW_TYPES: dict[Callable[[str], Value], pa.DataType] = {
    cast.to_string: pa.string(),
    cast.to_integer: pa.int64(),
    cast.to_number: pa.float64(),
    cast.to_boolean: pa.bool_(),
    cast.to_date: pa.date32(),
    cast.to_date_time: pa.timestamp("us", "UTC"),
}


class BatchFiles:
    """The batch files of one run of a stream.

    A file is written to the spool and copied to its storage when it is complete, so that a failed
    run leaves only announced files there.

    Args:
        name: Prefix of the files' names, after the prefix of the setting.
        config: Storage and size of the files.
        file_format: Format of the files.
        spool: Folder of incomplete files.
    """

    def __init__(
        self, name: str, config: BatchConfig, file_format: FileFormat, spool: Spool
    ) -> None:
        safe_name = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
        self._name = f"{config.storage.prefix or ''}{safe_name}-{uuid4()}"
        self._storage = config.storage
        self._max_rows = config.batch_size
        self._format = file_format
        self._spool = spool
        self._files = 0
        self._file: BinaryIO | None = None
        self._writer: FileWriter | None = None
        self._rows = 0

    def write(self, items: Iterable[Rows]) -> Iterator[Batch]:
        """Write the rows of a window to files.

        Args:
            items: Blocks that the format encoded, and records.

        Yields:
            The number of rows and the URL of each file; or 1 and a record that no file can hold,
            after the file with all rows before it.

        Raises:
            SpoolError: The folder for intermediate files cannot be used.
            BatchStorageError: A file cannot be written to its storage.
        """
        try:
            for item in items:
                encoded = (
                    self._format.encode_record(item) if isinstance(item, dict) else item.encoded
                )
                if encoded is None:
                    assert isinstance(item, dict)  # noqa: S101 - blocks are encoded
                    yield from self._finish_file()
                    yield 1, item
                else:
                    yield from self._add(encoded)
            yield from self._finish_file()
        finally:
            # A window that is read again starts with another file.
            self._discard_file()

    def _add(self, rows: pa.Array) -> Iterator[Batch]:
        while len(rows):
            if self._writer is None:
                self._file = self._spool.open()
                self._writer = BackgroundWriter(self._format.open(self._file))
            # The file may need the space of a part that has just been read.
            self._spool.wait_for_space()
            now = rows[: self._max_rows - self._rows]
            rows = rows[len(now) :]
            try:
                self._writer.write(now)
            except OSError as error:
                raise spool_error(error) from error
            self._rows += len(now)
            if self._rows == self._max_rows:
                yield from self._finish_file()

    def _finish_file(self) -> Iterator[Batch]:
        """Copy the current file to its storage, if there is one."""
        if self._writer is None or self._file is None:
            return
        try:
            self._writer.finish()
            self._file.seek(0)
        except OSError as error:
            raise spool_error(error) from error
        self._files += 1
        url = self._store(self._file, f"{self._name}-{self._files}{self._format.suffix}")
        rows, self._writer = self._rows, None
        self._discard_file()
        yield rows, url

    def _store(self, file: BinaryIO, name: str) -> str:
        self._spool.wait_for_space()
        storage = self._storage
        try:
            file_system, root = url_to_fs(storage.root, **storage.params)
            if isinstance(file_system, LocalFileSystem):
                _write_in_place(file, Path(root, name))
            else:
                # In a transaction: an object has its name once its upload is complete.
                with storage.open(name, "wb") as stored:
                    shutil.copyfileobj(file, stored, _COPY_BYTES)
            return storage.get_url(name)
        # Each kind of storage has its own errors, whose texts may contain keys.
        except Exception as error:  # noqa: BLE001
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise BatchStorageError(
                f"A batch file cannot be written below batch_config.storage.root: {reason}. "
                "Check the URL, the free space and the permissions."
            ) from None

    def _discard_file(self) -> None:
        if self._writer is not None:
            # Else it would write to the closed file later.
            with suppress(Exception):
                self._writer.finish()
        if self._file is not None:
            self._file.close()
        self._file = self._writer = None
        self._rows = 0


def _write_in_place(file: BinaryIO, path: Path) -> None:
    """Write a file under another name first, so that its own name never has a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    try:
        with partial.open("wb") as stored:
            shutil.copyfileobj(file, stored, _COPY_BYTES)
        partial.replace(path)
    except BaseException:  # a signal, too
        with suppress(OSError):
            partial.unlink()
        raise


class FileWriter(ABC):
    """Writes rows to one file."""

    @abstractmethod
    def write(self, rows: pa.Array) -> None:
        """Write rows that the format encoded."""

    @abstractmethod
    def finish(self) -> None:
        """Write what is buffered; the file stays open."""


class BackgroundWriter(FileWriter):
    """Writes in a thread; a later call raises the errors.

    Args:
        writer: Writes the rows.
    """

    def __init__(self, writer: FileWriter) -> None:
        self._writer = writer
        self._worker = OrderedWorkers(1, ahead=_BLOCKS_AHEAD, name="batch-file")

    @override
    def write(self, rows: pa.Array) -> None:
        self._worker.submit(self._writer.write, rows)

    @override
    def finish(self) -> None:
        try:
            self._worker.drain()
        finally:
            self._worker.close(wait=True)
            self._writer.finish()


class FileFormat(ABC):
    """A format of batch files; it encodes rows as a ``RowEncoder``.

    Args:
        columns: The properties that are written, in the order of the records.
    """

    suffix: str
    """Suffix of the files' names."""
    is_typed: bool = False
    """Whether values may have Arrow types."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = columns

    @abstractmethod
    def encode(self, values: Mapping[str, pa.Array]) -> pa.Array:
        """Return the rows of some values, which are binary UTF-8 unless they have Arrow types.

        Raises:
            ValueError: The format cannot hold all of them exactly.
        """

    @abstractmethod
    def encode_record(self, record: Mapping[str, Value]) -> pa.Array | None:
        """Return one row; ``None`` if such rows must be sent as RECORD messages."""

    @abstractmethod
    def open(self, file: BinaryIO) -> FileWriter:
        """Return the writer of an empty file."""


def file_format(config: BatchConfig, columns: Sequence[Column]) -> FileFormat:
    """Return the format of the setting ``batch_config``.

    Args:
        config: The setting with its defaults.
        columns: The properties that are written, in the order of the records.
    """
    match config.encoding.format:
        case "parquet":
            return Parquet(columns, config.encoding.compression)
        case _:
            return JsonLines(columns, announced_encoding(config).compression)


class JsonLines(FileFormat):
    """One record a line.

    Args:
        columns: The properties that are written, in the order of the records.
        compression: ``gzip``, or ``None`` for plain files.
    """

    def __init__(self, columns: Sequence[Column], compression: str | None) -> None:
        super().__init__(columns)
        self._is_gzip = compression is not None
        self.suffix = ".jsonl.gz" if self._is_gzip else ".jsonl"
        self._lines = RecordLines(columns)

    @override
    def encode(self, values: Mapping[str, pa.Array]) -> pa.Array:
        return self._lines.encode(values)

    @override
    def encode_record(self, record: Mapping[str, Value]) -> pa.Array:
        line = serialize_json({column.name: record[column.name] for column in self.columns})
        return pa.array([line.encode() + b"\n"], pa.binary())

    @override
    def open(self, file: BinaryIO) -> FileWriter:
        if not self._is_gzip:
            return _LinesWriter(file)
        packed = gzip.GzipFile(fileobj=file, mode="wb", compresslevel=_GZIP_LEVEL, filename="")
        return _GzipWriter(typed_as("BinaryIO", packed))


class _LinesWriter(FileWriter):
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    @override
    def write(self, rows: pa.Array) -> None:
        for lines, _ in pieces(rows, len(rows), len(rows)):
            self._file.write(lines)

    @override
    def finish(self) -> None:
        self._file.flush()


class _GzipWriter(_LinesWriter):
    @override
    def finish(self) -> None:
        self._file.close()  # only the gzip stream: the file below stays open


class Parquet(FileFormat):
    """Typed columns.

    Args:
        columns: The properties that are written, in the order of the records.
        compression: The codec, which the file names itself. Default: zstd.
    """

    suffix = ".parquet"
    is_typed = True

    def __init__(self, columns: Sequence[Column], compression: str | None) -> None:
        super().__init__(columns)
        self._codec = compression or "zstd"
        self._schema = pa.schema(
            [(column.name, _ARROW_TYPES[column.to_value]) for column in columns]
        )

    @override
    def encode(self, values: Mapping[str, pa.Array]) -> pa.Array:
        typed = [
            _with_type(values[column.name], _ARROW_TYPES[column.to_value])
            for column in self.columns
        ]
        return pa.StructArray.from_arrays(typed, fields=list(self._schema))

    @override
    def encode_record(self, record: Mapping[str, Value]) -> None:
        return None

    @override
    def open(self, file: BinaryIO) -> FileWriter:
        return _GroupWriter(
            parquet.ParquetWriter(
                file,
                self._schema,
                compression=self._codec,
                # Numbers and times rarely repeat.
                use_dictionary=[column.name for column in self.columns if column.is_free_text],
                write_statistics=False,
            )
        )


class _GroupWriter(FileWriter):
    def __init__(self, writer: parquet.ParquetWriter) -> None:
        self._writer = writer
        self._waiting: list[pa.RecordBatch] = []
        self._rows = 0

    @override
    def write(self, rows: pa.Array) -> None:
        self._waiting.append(pa.RecordBatch.from_struct_array(rows))
        self._rows += len(rows)
        if self._rows >= _GROUP_ROWS:
            self._write_group()

    @override
    def finish(self) -> None:
        if self._rows:
            self._write_group()
        self._writer.close()

    def _write_group(self) -> None:
        self._writer.write_table(pa.Table.from_batches(self._waiting), self._rows)
        self._waiting, self._rows = [], 0


def _with_type(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return values in an Arrow type.

    Raises:
        ValueError: The type does not hold all of them exactly; the error quotes none.
    """
    if values.type == kind:
        return values
    texts = values.view(pa.string())
    if pa.types.is_string(kind):
        # Copied to its exact size: the rows of a group wait in memory.
        return pa.concat_arrays([texts])
    try:
        if pa.types.is_floating(kind):
            numbers = read_float64(pa.chunked_array([texts]))
            if numbers is None:
                raise ValueError
            return numbers.combine_chunks()
        return texts.cast(kind)
    except pa.ArrowInvalid:
        raise ValueError from None
