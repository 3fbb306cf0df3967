"""Batch files in Parquet, with columns of the properties' own types."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa
from pyarrow import parquet
from typing_extensions import override

from tap_demandbase import cast
from tap_demandbase.batches.file_format import FileFormat, FileWriter
from tap_demandbase.blocks import doubles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tap_demandbase.blocks.cells import Column
    from tap_demandbase.cast import Value

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
            numbers = doubles.read(pa.chunked_array([texts]))
            if numbers is None:
                raise ValueError
            return numbers.combine_chunks()
        return texts.cast(kind)
    except pa.ArrowInvalid:
        raise ValueError from None
