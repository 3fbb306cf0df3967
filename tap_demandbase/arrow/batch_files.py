"""Puts rows into batch files of a bounded number of rows, and these where the target finds them."""

from __future__ import annotations

import gzip
import re
import shutil
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO
from typing import cast as typed_as
from uuid import uuid4

import pyarrow as pa
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


class FileWriter(ABC):
    """Writes rows into one file."""

    @abstractmethod
    def write(self, rows: pa.Array) -> None:
        """Write rows, encoded by the format."""

    @abstractmethod
    def finish(self) -> None:
        """Write what is still to be written; the file stays open."""


class FileFormat(ABC):
    """A format of batch files.

    Args:
        columns: The properties that go out, in the order of the records.
    """

    suffix: str
    """How the files' names end."""
    is_typed: bool = False
    """Whether values to encode may be of Arrow's types."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = columns

    @abstractmethod
    def encode(self, values: Mapping[str, pa.Array]) -> pa.Array:
        """Return the rows for some values, which are UTF-8 as binary where they have no type.

        Raises:
            ValueError: The format cannot hold all of them as they are.
        """

    @abstractmethod
    def encode_record(self, record: Mapping[str, Value]) -> pa.Array | None:
        """Return one row; ``None`` where such rows have to go out as RECORD messages."""

    @abstractmethod
    def open(self, file: BinaryIO) -> FileWriter:
        """Return what writes into an empty file."""


_MOST_AHEAD = 4
"""Blocks of rows that wait in memory."""


class AheadWriter(FileWriter):
    """Writes what is given to it later; what goes wrong is raised by a later call.

    Args:
        writer: What writes.
    """

    def __init__(self, writer: FileWriter) -> None:
        self._writer = writer
        self._worker = OrderedWorkers(1, ahead=_MOST_AHEAD, name="batch-file")

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


_COPY_BYTES = 1024 * 1024


class BatchFiles:
    """The batch files of one run of a stream.

    A file is written in the spool and put in its place when it is whole: what a failed run
    leaves there has been announced.

    Args:
        name: What the files' names begin with.
        config: Where they go and how many rows each may have.
        file_format: How they are written.
        spool: Where they lie until they are whole.
    """

    def __init__(
        self, name: str, config: BatchConfig, file_format: FileFormat, spool: Spool
    ) -> None:
        safe_name = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
        self._name = f"{config.storage.prefix or ''}{safe_name}-{uuid4()}"
        self._storage = config.storage
        self._most = config.batch_size
        self._format = file_format
        self._spool = spool
        self._files = 0
        self._file: BinaryIO | None = None
        self._writer: FileWriter | None = None
        self._rows = 0

    def write(self, items: Iterable[Rows]) -> Iterator[Batch]:
        """Write rows; yield the address of each file, and records that no file can hold.

        Args:
            items: Rows, encoded by the format; all that was written before them has been yielded.

        Yields:
            How many rows went out, and where they are.

        Raises:
            SpoolError: The folder for intermediate files cannot be used.
            BatchStorageError: A file cannot be put where it should be.
        """
        try:
            for item in items:
                encoded = (
                    self._format.encode_record(item) if isinstance(item, dict) else item.encoded
                )
                if encoded is None:
                    assert isinstance(item, dict)  # noqa: S101 - blocks are encoded
                    yield from self._last()
                    yield 1, item
                else:
                    yield from self._add(encoded)
            yield from self._last()
        finally:
            # A window that is read again begins with another file.
            self._drop()

    def _add(self, rows: pa.Array) -> Iterator[Batch]:
        while len(rows):
            if self._writer is None:
                self._file = self._spool.open()
                self._writer = AheadWriter(self._format.open(self._file))
            # It may need the room of a part that has just been read.
            self._spool.settle()
            now = rows[: self._most - self._rows]
            rows = rows[len(now) :]
            try:
                self._writer.write(now)
            except OSError as error:
                raise spool_error(error) from error
            self._rows += len(now)
            if self._rows == self._most:
                yield from self._last()

    def _last(self) -> Iterator[Batch]:
        """Put the file that is under way in its place, if there is one."""
        if self._writer is None or self._file is None:
            return
        try:
            self._writer.finish()
            self._file.seek(0)
        except OSError as error:
            raise spool_error(error) from error
        self._files += 1
        address = self._put(self._file, f"{self._name}-{self._files}{self._format.suffix}")
        rows, self._writer = self._rows, None
        self._drop()
        yield rows, address

    def _put(self, file: BinaryIO, name: str) -> str:
        self._spool.settle()
        try:
            with self._storage.open(name, "wb") as placed:
                shutil.copyfileobj(file, placed, _COPY_BYTES)
            return self._storage.get_url(name)
        # Each kind of storage has its own errors, and their texts may hold keys.
        except Exception as error:  # noqa: BLE001
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise BatchStorageError(
                f"A batch file cannot be written below batch_config.storage.root: {reason}. "
                "Check the address, its room and who may write there."
            ) from None

    def _drop(self) -> None:
        if self._writer is not None:
            # It would write its end into the closed file later.
            with suppress(Exception):
                self._writer.finish()
        if self._file is not None:
            self._file.close()
        self._file = self._writer = None
        self._rows = 0


_GZIP_LEVEL = 1
"""A third of the usual level's time for a fifth more bytes."""


class JsonLines(FileFormat):
    """One record a line.

    Args:
        columns: The properties that go out, in the order of the records.
        compression: ``gzip``, or ``None`` for plain files.
    """

    def __init__(self, columns: Sequence[Column], compression: str | None) -> None:
        super().__init__(columns)
        self._is_packed = compression is not None
        self.suffix = ".jsonl.gz" if self._is_packed else ".jsonl"
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
        if not self._is_packed:
            return _LinesWriter(file)
        packed = gzip.GzipFile(fileobj=file, mode="wb", compresslevel=_GZIP_LEVEL, filename="")
        return _PackedWriter(typed_as("BinaryIO", packed))


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


class _PackedWriter(_LinesWriter):
    @override
    def finish(self) -> None:
        self._file.close()  # its own end only: the file below stays open


_TYPES: dict[Callable[[str], Value], pa.DataType] = {
    cast.to_string: pa.string(),
    cast.to_integer: pa.int64(),
    cast.to_number: pa.float64(),
    cast.to_boolean: pa.bool_(),
    cast.to_date: pa.date32(),
    cast.to_date_time: pa.timestamp("us", "UTC"),
}

_GROUP_ROWS = 16 * 1024
"""Rows that are compressed together; they wait in memory until then."""


class Parquet(FileFormat):
    """Typed columns.

    Args:
        columns: The properties that go out, in the order of the records.
        compression: The codec, which every file says of itself; zstd where absent.
    """

    suffix = ".parquet"
    is_typed = True

    def __init__(self, columns: Sequence[Column], compression: str | None) -> None:
        super().__init__(columns)
        self._codec = compression or "zstd"
        self._schema = pa.schema([(column.name, _TYPES[column.to_value]) for column in columns])

    @override
    def encode(self, values: Mapping[str, pa.Array]) -> pa.Array:
        typed = [_typed(values[column.name], _TYPES[column.to_value]) for column in self.columns]
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
                # Of numbers and times, hardly any comes twice.
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


def _typed(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return values in their own type.

    Raises:
        ValueError: The type does not hold all of them as they are; the error holds none.
    """
    if values.type == kind:
        return values
    texts = values.view(pa.string())
    if pa.types.is_string(kind):
        # A copy has no room to spare: the rows of a group wait in memory.
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


def file_format(config: BatchConfig, columns: Sequence[Column]) -> FileFormat:
    """Return the format of the setting ``batch_config``.

    Args:
        config: The setting, with its defaults.
        columns: The properties that are written, in the order of the records.
    """
    match config.encoding.format:
        case "parquet":
            return Parquet(columns, config.encoding.compression)
        case _:
            return JsonLines(columns, announced_encoding(config).compression)
