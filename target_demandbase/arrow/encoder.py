"""Encodes lines of plain records as rows of CSV, many at a time."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Literal, assert_never

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from msgspec import UNSET, UnsetType
from singer_sdk.singerlib.json import deserialize_json

from target_demandbase.arrow.date_times import utc_texts
from target_demandbase.arrow.keys import KeyColumn
from target_demandbase.csv_writer import MAX_DIGITS, MIDNIGHT, OnNull, encode_value
from target_demandbase.keys import identity_keys
from target_demandbase.schema import DELETED, ColumnKind, PlainColumn, is_plain_name, plain_columns
from target_demandbase.staging import PendingRows

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from target_demandbase.keys import Keys
    from target_demandbase.plan import StreamPlan


_TEXT = pa.string()

_TYPES = {ColumnKind.INTEGER: pa.int64(), ColumnKind.BOOLEAN: pa.bool_()}
"""Types of columns that are not texts: all blocks of a file need the same ones."""

_WITHOUT_HEADER = pyarrow.csv.WriteOptions(include_header=False, batch_size=1 << 20)

_LONGEST_DATE_TIME = len('"2026-01-02T03:04:05.123456Z"')

_MAX_NUMBER_BYTES = 100
"""Longest number that is written without its exponent: a block of longer ones fills the memory."""

_astuple = msgspec.structs.astuple


@dataclass(frozen=True, slots=True)
class EncodedRows:
    """Rows of CSV, encoded when they are written.

    Args:
        rows: Number of rows.
        size: Size of the lines that they come from, in bytes.
        columns: Their columns.
        values: The values, by column.
        lines: The rows as they are staged.
        keys: Their match keys; empty texts if there is no match key.
    """

    rows: int
    size: int
    columns: tuple[str, ...]
    values: Mapping[str, pa.Array]
    lines: PendingRows
    keys: Keys

    def empty(self, columns: Iterable[str]) -> Mapping[str, int]:
        """Return how many values of some of the columns are null or empty."""
        return {name: count_empty(self.values[name]) for name in columns}


class ArrowRowEncoder:
    """Encodes the records of one stream, many at a time.

    Args:
        plan: The stream's plan.
        on_null: What null, empty texts and absent properties do.
    """

    def __init__(self, plan: StreamPlan, *, on_null: OnNull) -> None:
        self._plan = plan
        self._omit_null = on_null is OnNull.OMIT
        self._blanked = plan.blanked(on_null)
        self._key = plan.key_column
        self._plain = {
            column.name: replace(
                column,
                required=column.name in plan.key_properties
                or (column.required and column.name in plan.fields),
            )
            for column in plain_columns(plan.schema) or ()
        }
        self._date_times = sum(
            self._plain[name].kind is ColumnKind.DATE_TIME for name in plan.fields
        )
        self._numbers = {
            name for name in plan.fields if self._plain[name].kind is ColumnKind.NUMBER
        }
        self._ignored: frozenset[str] = frozenset()
        self._decoder = self._new_decoder()

    def ignore(self, names: frozenset[str]) -> None:
        """Accept records that have some properties in addition to the schema's."""
        names = frozenset(filter(is_plain_name, names))
        if names != self._ignored:
            self._ignored = names
            self._decoder = self._new_decoder()

    def encode(self, lines: bytes, max_rows: int | None = None) -> EncodedRows | None:
        """Encode RECORD messages, up to the first line that is no plain record.

        Args:
            lines: The lines.
            max_rows: Maximum number of lines to encode.

        Returns:
            ``None`` if the first line is not plain, or a record before the first such line can only
            be encoded by ``csv_writer``.
        """
        if (nul := lines.find(b"\\u0000")) >= 0:  # csv_writer removes and counts NUL characters
            lines = lines[: lines.rfind(b"\n", 0, nul) + 1]
        block = self._decoder.decode(lines, max_rows)
        if block is None or not self._plan.required <= block.columns.keys():
            return None
        try:
            found = block_values(block, self._plain)
            self._adapt(found)
            keys = self._keys(block.rows, found)
        except NotPlainError:
            return None
        absent = self._blanked - found.keys()
        found |= {
            name: pa.nulls(block.rows, _TYPES.get(self._plain[name].kind, _TEXT)) for name in absent
        }
        values = {name: found[name] for name in self._plan.fields if name in found}
        never_empty = values.keys() if self._omit_null else self._plan.must_fill
        if any(count_empty(values[name]) for name in never_empty):
            return None
        if len(values) < 2:  # noqa: PLR2004 - a null alone in its row
            return None
        # A value is no longer in CSV than in JSON, but for date-times and numbers written out.
        date_times = block.rows * self._date_times
        numbers = sum(_text_bytes(values[name]) for name in self._numbers & values.keys())
        max_bytes = (
            block.size + date_times * _LONGEST_DATE_TIME + numbers + block.rows * len(absent)
        )
        pending = PendingRows(list(values.values()), csv_lines, max_bytes)
        return EncodedRows(block.rows, block.size, tuple(values), values, pending, keys)

    def _adapt(self, values: dict[str, pa.Array]) -> None:
        """Write midnight as a date, and whole numbers without a fraction, if the field needs it.

        Raises:
            NotPlainError: A number would become -0.
        """
        for name in self._plan.date_columns & values.keys():
            if pa.types.is_string(values[name].type):
                values[name] = pc.replace_substring_regex(values[name], MIDNIGHT, r"\1")
        for name in self._plan.integer_columns & values.keys():
            if self._plain[name].kind is ColumnKind.NUMBER:
                whole = pc.replace_substring_regex(values[name], r"\.0*$", "")
                if pc.index(whole, "-0").as_py() >= 0:
                    raise NotPlainError
                values[name] = whole

    def _new_decoder(self) -> RecordDecoder:
        return RecordDecoder(
            self._plan.stream, tuple(self._plain.values()), self._plan.fields, self._ignored
        )

    def _keys(self, rows: int, values: Mapping[str, pa.Array]) -> Keys:
        if self._plan.identity:
            return identity_keys(self._plan.identity, values, rows)
        if self._key is None:
            return [""] * rows
        column = values.get(self._key)
        if column is None or count_empty(column):
            raise NotPlainError
        return KeyColumn(column)


class NotPlainError(ValueError):
    """A value can only be encoded by ``csv_writer``."""


@dataclass(frozen=True, slots=True)
class RecordBlock:
    """Records of a stream.

    Args:
        rows: Number of records.
        size: Size of their lines in bytes.
        columns: Place of each column among a record's values.
        values: The values, record after record; numbers as JSON text.
        width: Number of values of a record.
    """

    rows: int
    size: int
    columns: Mapping[str, int]
    values: Sequence[Any]
    width: int

    def values_of(self, columns: Iterable[str]) -> list[Any]:
        """Return the values of some columns, one column after the other."""
        found: list[Any] = []
        for name in columns:
            found += self.values[self.columns[name] :: self.width]
        return found


class RecordDecoder:
    """Decodes the records of one stream.

    Args:
        stream: Name of the stream.
        columns: All properties of its schema.
        sent: Names of those that are sent; the others are not validated.
        ignored: Names of properties that records may have in addition to the schema's.
    """

    def __init__(
        self,
        stream: str,
        columns: Sequence[PlainColumn],
        sent: Collection[str],
        ignored: Collection[str] = (),
    ) -> None:
        ordered = sorted(columns, key=lambda column: column.name not in sent)
        self._sent = [column.name for column in ordered if column.name in sent]
        members: list[Any] = [
            _member(f"c{number}", column, _type(column) if column.name in sent else msgspec.Raw)
            for number, column in enumerate(ordered)
        ]
        names = {column.name for column in columns}
        members += [
            (f"k{number}", msgspec.Raw | UnsetType, msgspec.field(name=name, default=UNSET))
            for number, name in enumerate(sorted(set(ignored) - names - {DELETED}))
        ]
        members.append(("deleted", UnsetType | None, msgspec.field(name=DELETED, default=UNSET)))
        record = msgspec.defstruct(
            # By keyword: required properties may come after others.
            "Record", members, forbid_unknown_fields=True, gc=False, kw_only=True,
        )  # fmt: skip
        message = msgspec.defstruct(
            "Message",
            [("type", Literal["RECORD"]), ("stream", Literal[stream]), ("record", record)],
            gc=False,
        )
        self._width = len(members)
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(message).decode

    def decode(self, lines: bytes, max_rows: int | None = None) -> RecordBlock | None:
        """Decode RECORD messages, up to the first line that is no valid record of the stream.

        Args:
            lines: The lines.
            max_rows: Maximum number of lines to decode.

        Returns:
            ``None`` if the first line is not valid, or a record has a property that the first one
            does not have. A record may lack a property of the first one: its value is then
            ``UNSET``, which no column accepts.
        """
        decode, values = self._decode, list[Any]()
        source, line = io.BytesIO(lines), b""
        try:
            # One by one: together, two messages on one line and a blank line would pass. Each is
            # converted at once, while it is in the processor's caches.
            for line in islice(source, max_rows):
                values += _astuple(decode(line).record)
            size = source.tell()
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            size = source.tell() - len(line)
        if not values:
            return None
        columns: dict[str, int] = {}
        for place, name in enumerate(self._sent):
            if values[place] is not UNSET:
                columns[name] = place
            elif any(value is not UNSET for value in values[place :: self._width]):
                return None
        return RecordBlock(len(values) // self._width, size, columns, values, self._width)


def _member(attribute: str, column: PlainColumn, kind: Any) -> tuple[Any, ...]:  # noqa: ANN401
    if column.required:
        return (attribute, kind, msgspec.field(name=column.name))
    return (attribute, kind | UnsetType, msgspec.field(name=column.name, default=UNSET))


def _type(column: PlainColumn) -> Any:  # noqa: ANN401
    match column.kind:
        case ColumnKind.TEXT | ColumnKind.DATE_TIME:
            limit = column.max_length
            kind: Any = str if limit is None else Annotated[str, msgspec.Meta(max_length=limit)]
        case ColumnKind.INTEGER:
            kind = int
        case ColumnKind.BOOLEAN:
            kind = bool
        case ColumnKind.NUMBER:
            return msgspec.Raw  # keeps its digits as they came
    return kind | None if column.nullable else kind


def block_values(block: RecordBlock, columns: Mapping[str, PlainColumn]) -> dict[str, pa.Array]:
    """Return the values of a block by column.

    Args:
        block: The block.
        columns: The columns of the schema.

    Raises:
        NotPlainError: A value is missing, or is not plain.
    """
    found: dict[str, pa.Array] = {}
    try:
        # All columns of a kind together: most of the cost of a column is the call.
        for kind in ColumnKind:
            alike = [columns[name] for name in block.columns if columns[name].kind is kind]
            if alike:
                names = [column.name for column in alike]
                array = _array(kind, block.values_of(names))
                found |= {
                    name: array.slice(number * block.rows, block.rows)
                    for number, name in enumerate(names)
                }
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        # Their messages may quote a value.
        raise NotPlainError from None
    if any(array.null_count and not columns[name].nullable for name, array in found.items()):
        raise NotPlainError
    return found


def _array(kind: ColumnKind, values: list[Any]) -> pa.Array:
    match kind:
        case ColumnKind.TEXT:
            return pa.array(values, _TEXT)
        case ColumnKind.INTEGER | ColumnKind.BOOLEAN:
            return pa.array(values, _TYPES[kind])
        case ColumnKind.NUMBER:
            return _numbers(values)
        case ColumnKind.DATE_TIME:
            return utc_texts(pa.array(values, _TEXT))
        case _:
            assert_never(kind)


def csv_lines(blocks: Sequence[Sequence[pa.Array]]) -> pa.Buffer:
    """Return the rows of some blocks of the same columns as lines of CSV."""
    names = [str(number) for number in range(len(blocks[0]))]
    table = pa.Table.from_batches([pa.record_batch(list(columns), names) for columns in blocks])
    sink = pa.BufferOutputStream()
    pyarrow.csv.write_csv(table, sink, _WITHOUT_HEADER)
    return sink.getvalue()


def count_empty(column: pa.Array) -> int:
    """Return how many values of a column are null or empty."""
    empty: int = column.null_count
    if not pa.types.is_string(column.type) or empty == len(column):
        return empty
    # Most columns have no empty text: one call shows it.
    if pc.index(column, "").as_py() >= 0:
        empty += pc.sum(pc.equal(column, "")).as_py()
    return empty


def _numbers(values: list[Any]) -> pa.Array:
    text = b"\n".join(values)
    # Each is one JSON value: of these characters, it is either null or a number.
    if text.translate(None, b"0123456789.-+eE\nnul"):
        raise NotPlainError
    found = pc.split_pattern(pa.scalar(text, _TEXT), "\n").values
    if len(text) >= MAX_DIGITS and pc.max(pc.binary_length(found)).as_py() >= MAX_DIGITS:
        raise NotPlainError
    if b"null" in text:
        found = pc.if_else(pc.equal(found, "null"), None, found)
    # Without an exponent, a number is written as it is; but -0 is written as 0.
    if b"e" in text or b"E" in text or (b"-" in text and b"\n-0\n" in b"\n%s\n" % text):
        is_other = pc.fill_null(pc.match_substring_regex(found, "[eE]|^-0$"), False)  # noqa: FBT003
        others = [_plain_number(number) for number in found.filter(is_other).to_pylist()]
        found = pc.replace_with_mask(found, is_other, pa.array(others, _TEXT))
    return found


def _plain_number(text: str) -> str:
    number = encode_value(deserialize_json(text))
    if len(number) > _MAX_NUMBER_BYTES:
        raise NotPlainError
    return number


def _text_bytes(texts: pa.Array) -> int:
    size: int | None = pc.sum(pc.binary_length(texts)).as_py()
    return size or 0
