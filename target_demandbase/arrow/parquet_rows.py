"""Reads the rows of a Parquet file as lines of JSON objects, with the values that records have."""

from __future__ import annotations

from itertools import islice
from typing import IO, TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from target_demandbase.plain_columns import is_plain_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


_MAGIC = b"PAR1"

_ENCRYPTED = b"PARE"

_GZIP = b"\x1f\x8b"

_SHORTEST = 12
"""Bytes of the magic at both ends, and of the footer's length."""

_BLOCK_BYTES = 1024 * 1024
"""Approximate size of the values that are converted together, and of what is read of a column."""

_MAX_ROWS = 4096

_BROKEN = "Check where the tap writes its files."


class ParquetError(Exception):
    """A file cannot be read as Parquet.

    Args:
        problem: Why not, and what to do; never quotes a value.
    """


def row_lines(source: IO[bytes]) -> Iterator[list[bytes]]:
    """Yield the rows of a Parquet file, many at a time, each as a JSON object.

    Args:
        source: The file; it is read a piece of each column at a time.

    Raises:
        ParquetError: It cannot be read.
    """
    _check_ends(source)
    rows = 0
    try:
        file = parquet.ParquetFile(
            source,
            # Else whole columns of a row group are read into memory.
            pre_buffer=False,
            buffer_size=_BLOCK_BYTES // 4,
            page_checksum_verification=True,
            # Nanoseconds reach from 1677 to 2262 only, and the reader does not notice it.
            coerce_int96_timestamp_unit="us",
        )
        names = file.schema_arrow.names
        _check_names(names)
        encode = _encoder(names)
        for number in range(file.num_row_groups):
            group = file.metadata.row_group(number)
            bytes_of_row = group.total_byte_size // max(group.num_rows, 1) + 1
            size = min(max(_BLOCK_BYTES // bytes_of_row, 1), _MAX_ROWS)
            for batch in file.iter_batches(size, row_groups=[number]):
                yield encode([_values_of(batch, name) for name in range(len(names))])
                rows += batch.num_rows
        if rows != file.metadata.num_rows:
            raise ParquetError(f"it has {rows} rows, and its footer says otherwise. {_BROKEN}")
    # Their messages may quote a value.
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        if "encrypt" in str(error).lower() or "decrypt" in str(error).lower():
            raise ParquetError(_IS_ENCRYPTED) from None
        raise ParquetError(
            f"it is broken, or has a type that is not read ({type(error).__name__} after row "
            f"{rows}). {_BROKEN}"
        ) from None


_IS_ENCRYPTED = "it is encrypted. Let the tap write its files without encryption."


def _check_ends(source: IO[bytes]) -> None:
    """Check what a file begins and ends with: the reader's own errors say less.

    Raises:
        ParquetError: It is no Parquet file, or cannot be complete.
    """
    size = source.seek(0, 2)
    source.seek(0)
    head = source.read(len(_MAGIC))
    source.seek(max(size - len(_MAGIC), 0))
    tail = source.read(len(_MAGIC))
    source.seek(0)
    if not size:
        raise ParquetError(f"it is empty. {_BROKEN}")
    if head.startswith(_GZIP):
        raise ParquetError(
            "it is a Parquet file inside gzip, or no Parquet file. Set a codec of Parquet in the "
            "tap, which compresses within the file."
        )
    if _ENCRYPTED in (head, tail):
        raise ParquetError(_IS_ENCRYPTED)
    if head != _MAGIC[: len(head)]:
        raise ParquetError(f"it is no Parquet file, which begins with PAR1. {_BROKEN}")
    if tail != _MAGIC or size < _SHORTEST:
        raise ParquetError(f"it is cut off: a Parquet file ends with PAR1. {_BROKEN}")


def _check_names(names: Sequence[str]) -> None:
    if len({*names}) < len(names):
        name = next(name for name in names if names.count(name) > 1)
        raise ParquetError(f"it has two columns named {name}. Rename one at the source.")


def _encoder(names: Sequence[str]) -> Callable[[list[list[Any]]], list[bytes]]:
    """Return a function that encodes rows, given by column, as lines."""
    encode = msgspec.json.Encoder().encode_lines
    if all(map(is_plain_name, names)):
        members = [
            (f"c{number}", Any, msgspec.field(name=name)) for number, name in enumerate(names)
        ]
        row = msgspec.defstruct("Row", members, gc=False)
        return lambda columns: encode([*map(row, *columns)]).split(b"\n")[:-1]
    return lambda columns: encode(
        [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    ).split(b"\n")[:-1]


def _values_of(batch: pa.RecordBatch, place: int) -> list[Any]:
    try:
        return json_values(batch.column(place))
    except (UnicodeDecodeError, OverflowError) as error:
        name = batch.schema.names[place]
        what = "text that is no UTF-8" if isinstance(error, ValueError) else "a time out of range"
        raise ParquetError(f"its column {name} has {what}. Correct it at the source.") from None


def json_values(array: pa.Array) -> list[Any]:  # noqa: C901, PLR0911, PLR0912
    """Return values that msgspec encodes as records have them.

    Decimals keep their digits. Date-times with a zone are in UTC, with a Z at the end; others have
    no zone. Binary values are hexadecimal texts, maps are objects.
    """
    kind, types = array.type, pa.types
    if isinstance(array, pa.ExtensionArray):
        if isinstance(kind, pa.UuidType):
            return [None if value is None else str(value) for value in array.to_pylist()]
        return json_values(array.storage)
    if types.is_dictionary(kind):
        return json_values(array.dictionary_decode())
    if types.is_floating(kind):
        return _floats(array)
    if types.is_decimal(kind):
        return [
            None if value is None else msgspec.Raw(format(value, "f").encode())
            for value in array.to_pylist()
        ]
    if types.is_timestamp(kind):
        return _moments(array, kind.unit, "Z" if kind.tz else "")
    if types.is_duration(kind):
        # As the SDK writes it: the time since 1970.
        return _moments(array, kind.unit, "Z")
    if types.is_date(kind):
        texts: list[Any] = array.cast(pa.date32()).cast(pa.string()).to_pylist()
        return texts
    if types.is_time(kind):
        return _without_zeros(array.cast(pa.string())).to_pylist()  # type: ignore[no-any-return]
    if _is_binary(kind):
        return [None if value is None else value.hex() for value in array.to_pylist()]
    if types.is_map(kind):
        pair = pa.struct([("key", kind.key_type), ("value", kind.item_type)])
        return [
            None if each is None else {_key(one["key"]): one["value"] for one in each}
            for each in json_values(array.cast(pa.list_(pair)))
        ]
    if types.is_struct(kind):
        names = [field.name for field in kind]
        _check_names(names)
        members = zip(*map(json_values, array.flatten()), strict=True)
        return [
            dict(zip(names, each, strict=True)) if is_valid else None
            for each, is_valid in zip(members, array.is_valid().to_pylist(), strict=True)
        ]
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _lists(array, json_values(array.flatten()))
    values: list[Any] = array.to_pylist()
    return values


def _is_binary(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or types.is_binary_view(kind)
    )


def _key(name: object) -> str:
    """Return the name of a member for a key of a map."""
    return name if isinstance(name, str) else msgspec.json.encode(name).decode()


def _lists(array: pa.Array, items: list[Any]) -> list[Any]:
    """Return lists of the items of all lists, one after the other."""
    rest = iter(items)
    lengths = pc.list_value_length(array).to_pylist()
    return [None if length is None else [*islice(rest, length)] for length in lengths]


def _floats(array: pa.Array) -> list[Any]:
    if array.type != pa.float64():
        # The shortest text that is this number in its own precision: 0.1, not 0.10000000149.
        array = array.cast(pa.float32()).cast(pa.string()).cast(pa.float64())
    values: list[Any] = array.to_pylist()
    if pc.all(pc.is_finite(array)).as_py() is False:
        # As Python's JSON has them; the target rejects such rows.
        words = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
        return [
            msgspec.Raw(words[str(value)].encode()) if str(value) in words else value
            for value in values
        ]
    return values


def _moments(array: pa.Array, unit: str, zone: str) -> list[Any]:
    """Return date-times as YYYY-MM-DDTHH:MM:SS, with six or nine digits of a second if needed.

    Raises:
        OverflowError: One is beyond the years that Arrow can write.
    """
    moments = array.cast(pa.int64()).cast(pa.timestamp(unit))
    try:
        texts = moments.cast(pa.timestamp("s")).cast(pa.string())
    except pa.ArrowInvalid:  # a fraction would be lost
        texts = _without_zeros(moments.cast(pa.string()))
    if pc.any(pc.starts_with(texts, "<")).as_py():
        raise OverflowError
    texts = pc.replace_substring(texts, " ", "T", max_replacements=1)
    if zone:
        texts = pc.binary_join_element_wise(texts, zone, "")
    values: list[Any] = texts.to_pylist()
    return values


def _without_zeros(texts: pa.Array) -> pa.Array:
    """Return times without a fraction of zeros, and all others with six or nine digits of it."""
    texts = pc.replace_substring_regex(texts, r"\.0+$", "")
    texts = pc.replace_substring_regex(texts, r"(\.\d{3})$", r"\1000")
    return pc.replace_substring_regex(texts, r"(\.\d{6})000$", r"\1")
