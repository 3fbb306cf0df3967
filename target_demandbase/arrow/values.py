"""The values of records as Arrow arrays, in the form in which they are written."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, assert_never

import pyarrow as pa
import pyarrow.compute as pc
from singer_sdk.singerlib.json import deserialize_json

from target_demandbase.arrow.date_times import utc_texts
from target_demandbase.csv_writer import MAX_DIGITS, RowError
from target_demandbase.plain_columns import ColumnKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from target_demandbase.arrow.decoder import RecordBlock
    from target_demandbase.csv_writer import RowEncoder
    from target_demandbase.plain_columns import PlainColumn
    from target_demandbase.validation import RecordValidator


TEXT = pa.string()

TYPES = {ColumnKind.INTEGER: pa.int64(), ColumnKind.BOOLEAN: pa.bool_()}
"""Types of columns that are not texts: all blocks of a file need the same ones."""

_MAX_NUMBER_BYTES = 100
"""Longest number that is written without its exponent: a block of longer ones fills the memory."""

_EXACT_FLOATS = 2**53
"""Below this, each float that is a whole number is the number that was written."""


class NotPlainError(ValueError):
    """A value can only be encoded by ``csv_writer``."""


class ValueReader:
    """Reads the values of a stream's records.

    Args:
        columns: The columns.
        validator: Validates values by rules beyond their type.
        encoder: Encodes values of other kinds.
    """

    def __init__(
        self, columns: Mapping[str, PlainColumn], validator: RecordValidator, encoder: RowEncoder
    ) -> None:
        self._columns = columns
        self._validator = validator
        self._encoder = encoder

    def read(self, block: RecordBlock) -> tuple[dict[str, pa.Array], int]:
        """Return the values of a block by column.

        Returns:
            The values, and by how many bytes they may be longer in CSV than in JSON. Only what is
            written in another form may be longer at all; date-times are not counted.

        Raises:
            NotPlainError: A value is missing, or is not plain.
        """
        found: dict[str, pa.Array] = {}
        growth = 0
        try:
            # All columns of a kind together: most of the cost of a column is the call.
            for kind in ColumnKind:
                names = [name for name in block.columns if self._columns[name].kind is kind]
                if not names:
                    continue
                array, grown = _array(kind, block.values_of(names))
                growth += grown
                for number, name in enumerate(names):
                    values = array.slice(number * block.rows, block.rows)
                    # Most columns spell all their date-times alike.
                    found[name] = utc_texts(values) if kind is ColumnKind.DATE_TIME else values
            for name, array in found.items():
                found[name] = self._checked(self._columns[name], array, block.absent.get(name, 0))
        except (pa.ArrowException, TypeError, ValueError, OverflowError, RecursionError):
            # Their messages may quote a value.
            raise NotPlainError from None
        return found, growth

    def _checked(self, column: PlainColumn, values: pa.Array, absent: int) -> pa.Array:
        """Return the values of a column, which are valid.

        Args:
            column: The column.
            values: Its values.
            absent: How many of them are null because the record does not have the column.

        Raises:
            NotPlainError: One is not.
        """
        if column.kind is ColumnKind.OTHER:
            return self._others(column, values, absent)
        nulls = values.null_count - absent
        if nulls and not column.nullable:
            raise NotPlainError
        if not column.has_rules:
            return values
        doubtful = _beyond(values, *column.digits) if column.digits else values
        some: list[object] = []
        if column.kind is ColumnKind.INTEGER and column.has_bounds:
            bounds = [it.as_py() for it in pc.min_max(doubtful).values()]
            some += [bound for bound in bounds if bound is not None]
        elif len(doubtful):
            some += pc.unique(doubtful.drop_null()).to_pylist()
        if column.kind is ColumnKind.NUMBER:
            some = [deserialize_json(str(text)) for text in some]
        if nulls:
            some.append(None)
        if not all(self._validator.is_valid(column.name, value) for value in some):
            raise NotPlainError
        return values

    def _others(self, column: PlainColumn, values: pa.Array, absent: int) -> pa.Array:
        distinct = values.dictionary_encode()
        texts: list[str | None] = []
        for raw in distinct.dictionary.to_pylist():
            if absent and raw == "null" and pc.sum(pc.equal(values, raw)).as_py() == absent:
                texts.append(None)
                continue
            value: object = deserialize_json(raw)
            if isinstance(value, str) and "\0" in value:
                raise NotPlainError
            if column.has_rules and not self._validator.is_valid(column.name, value):
                raise NotPlainError
            try:
                texts.append(None if value is None else self._encoder.text(column.name, value))
            except RowError:
                raise NotPlainError from None
        return pa.array(texts, TEXT).take(distinct.indices)


def _array(kind: ColumnKind, values: list[Any]) -> tuple[pa.Array, int]:
    """Return values of a kind, and by how many bytes they are longer than in JSON."""
    match kind:
        case ColumnKind.TEXT:
            return _texts(values), 0
        case ColumnKind.DATE_TIME:
            return pa.array(values, TEXT), 0
        case ColumnKind.INTEGER:
            return _integers(values), 0
        case ColumnKind.BOOLEAN:
            return pa.array(values, TYPES[kind]), 0
        case ColumnKind.NUMBER:
            return _numbers(values)
        case ColumnKind.OTHER:
            return pc.split_pattern(pa.scalar(b"\n".join(values), TEXT), "\n").values, 0
        case _:
            assert_never(kind)


def _texts(values: list[Any]) -> pa.Array:
    found = pa.array(values, TEXT)
    data = found.buffers()[2]
    if data is not None and b"\0" in data.to_pybytes():
        raise NotPlainError
    return found


def _integers(values: list[Any]) -> pa.Array:
    if float in set(map(type, values)):
        values = [_whole(value) if type(value) is float else value for value in values]
    return pa.array(values, TYPES[ColumnKind.INTEGER])


def _whole(number: float) -> int:
    """Return a number without a fraction.

    Raises:
        NotPlainError: It has one, or may have lost digits.
    """
    if not number.is_integer() or abs(number) >= _EXACT_FLOATS:
        raise NotPlainError
    return int(number)


def _numbers(values: list[Any]) -> tuple[pa.Array, int]:
    text = b"\n".join(values)
    size = len(text)
    if b"e" in text or b"E" in text:
        text = _without_exponents(text.decode().lower()).encode()
    # Each is one JSON value: of these characters, it is either null or a number without an
    # exponent, which is written as it is.
    if text.translate(None, b"0123456789.-\nnul"):
        raise NotPlainError
    found = pc.split_pattern(pa.scalar(text, TEXT), "\n").values
    if len(text) >= MAX_DIGITS and pc.max(pc.binary_length(found)).as_py() >= MAX_DIGITS:
        raise NotPlainError
    if b"-" in text and b"\n-0\n" in b"\n%s\n" % text:
        found = pc.if_else(pc.equal(found, "-0"), "0", found)
    if b"null" in text:
        found = pc.if_else(pc.equal(found, "null"), None, found)
    return found, max(0, len(text) - size)


def _beyond(numbers: pa.Array, whole_digits: int, fraction_digits: int) -> pa.Array:
    """Return the numbers that have more digits in front of the point, or behind it."""
    lengths = pc.binary_length(numbers)
    longest = pc.max(lengths).as_py()
    if longest is None or longest <= min(whole_digits, fraction_digits):
        return numbers.slice(0, 0)
    # Scalars of the arrays' type: for others, Arrow would convert the arrays.
    none, whole, fraction = (
        pa.scalar(number, lengths.type) for number in (0, whole_digits, fraction_digits + 1)
    )
    points = pc.find_substring(numbers, ".")
    points = pc.if_else(pc.less(points, none), lengths, points)
    are_beyond = pc.greater(pc.subtract(lengths, points), fraction)
    if longest > whole_digits:
        are_beyond = pc.or_(are_beyond, pc.greater(points, whole))
    return numbers.filter(are_beyond)


def _without_exponents(lines: str) -> str:
    """Return numbers, one a line, without exponents.

    Raises:
        NotPlainError: One with an exponent is no number, or would be too long.
    """
    found = []
    end = 0
    while (place := lines.find("e", end)) >= 0:
        start = lines.rfind("\n", end, place) + 1 or end
        found.append(lines[end:start])
        end = lines.find("\n", place)
        end = len(lines) if end < 0 else end
        found.append(_plain_number(lines[start:end]))
    return "".join([*found, lines[end:]])


def _plain_number(text: str) -> str:
    """Return a number without its exponent.

    Raises:
        NotPlainError: It is no number, or would be too long.
    """
    try:
        number = Decimal(text)
    except ArithmeticError:
        raise NotPlainError from None
    if abs(number.adjusted()) > _MAX_NUMBER_BYTES:
        raise NotPlainError
    return format(number, "f")


def count_empty(column: pa.Array) -> int:
    """Return how many values of a column are null or empty."""
    empty: int = column.null_count
    if not pa.types.is_string(column.type) or empty == len(column):
        return empty
    # Most columns have no empty text: one call shows it.
    if pc.index(column, "").as_py() >= 0:
        empty += pc.sum(pc.equal(column, "")).as_py()
    return empty


def _text_bytes(texts: pa.Array) -> int:
    size: int | None = pc.sum(pc.binary_length(texts)).as_py()
    return size or 0
