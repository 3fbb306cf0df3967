"""Encodes records as rows of CSV one by one, and says why a record cannot be sent."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import simplejson

from target_demandbase.keys import identity_key, number_key
from target_demandbase.schema import is_date_time, json_types

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from target_demandbase.plan import StreamPlan


LINE_END = b"\n"

MAX_DIGITS = 4300
"""Python's own limit for the digits of an integer. Else 1e999999999 would fill the memory."""

_MAX_PLAIN_DIGITS = 100
"""Longest number without an exponent in an array or object."""

# What ISO 8601 and RFC 3339 allow, but UTC or Python cannot hold, such as second 60.
_MOMENT = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?([Zz]|[+-]\d{2}:?\d{2})?", re.ASCII
)

MIDNIGHT = r"^(\d{4}-\d{2}-\d{2})[Tt ]00:00(?::00(?:\.0+)?)?(?:[Zz]|[+-]00(?::?00)?)?$"
"""A date-time at midnight UTC, which a date field gets as the date, for Python and RE2."""

_MIDNIGHT = re.compile(MIDNIGHT.replace("$", r"\Z"), re.ASCII)

_UNQUOTED_TYPES = ({"integer"}, {"boolean"})

# Python's own limit for a field is 128 KiB.
csv.field_size_limit(2**31 - 1)


class OnNull(StrEnum):
    """The setting on_null: what null, empty texts and absent properties do to their fields."""

    BLANK = "blank"
    OMIT = "omit"
    BLANK_ABSENT = "blank_absent"


class RowError(Exception):
    """A record cannot be sent.

    Args:
        field: The column.
        type: Kind of error.
        reason: What is wrong, without values.
    """

    def __init__(self, field: str | None, type: str, reason: str) -> None:  # noqa: A002
        self.field = field
        self.type = type
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of CSV.

    Args:
        columns: Its columns.
        values: Their values as texts.
        line: The encoded row with its line end.
        key: The value of the match key, or all values that the row may be matched by; may be empty.
        nul_characters: How many NUL characters were removed from its values.
    """

    columns: tuple[str, ...]
    values: tuple[str, ...]
    line: bytes
    key: str
    nul_characters: int = 0


class RowEncoder:
    """Encodes records of one stream.

    Args:
        plan: The stream's plan.
        on_null: What null, empty texts and absent properties do.
        max_bytes: Maximum size of a file.
    """

    def __init__(self, plan: StreamPlan, *, on_null: OnNull, max_bytes: int) -> None:
        self._columns = tuple(plan.fields)
        self._key = plan.key_column
        self._is_key_numeric = plan.is_key_numeric
        self._required = plan.required
        self._must_fill = plan.must_fill
        self._identity = plan.identity
        self._header = plan.header
        self._text_columns = plan.text_columns
        self._date_columns = plan.date_columns
        self._omit_null = on_null is OnNull.OMIT
        self._blanked = plan.blanked(on_null)
        self._max_bytes = max_bytes
        properties: Mapping[str, Any] = plan.schema["properties"]
        self._date_times = {name for name, rule in properties.items() if is_date_time(rule)}
        self._integers = {
            name for name, rule in properties.items() if {*json_types(rule)} == {"integer"}
        } | plan.integer_columns
        self._unquoted = {
            name for name, rule in properties.items() if {*json_types(rule)} in _UNQUOTED_TYPES
        }

    def encode(self, record: Mapping[str, Any]) -> Row:
        """Return the row of a record.

        Raises:
            RowError: The record cannot be sent.
        """
        columns: list[str] = []
        values: list[str] = []
        fields: list[str] = []
        key = ""
        nul_characters = 0
        for column in self._columns:
            if column not in record and column not in self._blanked:
                continue
            value = record.get(column)
            if isinstance(value, str) and "\0" in value:
                # Readers of CSV and databases end a text there, or reject it.
                nul_characters += value.count("\0")
                value = value.replace("\0", "")
            elif column in self._integers:
                value = _whole(value)
            text = self.text(column, value)
            if column == self._key:
                key = number_key(text) if self._is_key_numeric else text
            if not text and self._omit_null:
                continue
            columns.append(column)
            values.append(text)
            is_quoted = column not in self._unquoted or not isinstance(value, (int, bool))
            fields.append(csv_field(None if value is None else text, quoted=is_quoted))
        self._check_columns(columns, key)
        key = self._identity_key(key, columns, values)
        line = csv_row(fields)
        if len(line) + len(header_row(self._header(columns))) > self._max_bytes:
            raise RowError(None, "too_large", "the row is larger than max_file_bytes")
        return Row(tuple(columns), tuple(values), line, key, nul_characters)

    def text(self, column: str, value: object) -> str:
        """Return the text of a value of a column.

        Raises:
            RowError: It has none.
        """
        text = self._text(column, _whole(value) if column in self._integers else value)
        return _MIDNIGHT.sub(r"\1", text) if column in self._date_columns else text

    def _text(self, column: str, value: object) -> str:
        is_date_time = column in self._date_times and isinstance(value, str)
        try:
            text = encode_value(value)
            text.encode()
        except ValueError:
            raise RowError(
                column, "invalid_value", f"the value of {column} cannot be written to CSV"
            ) from None
        if not is_date_time:
            return text
        try:
            return encode_value(value, is_date_time=True)
        except ValueError:
            if column in self._text_columns and _MOMENT.fullmatch(text):
                return text
            raise RowError(
                column, "invalid_value", f"the value of {column} is no ISO 8601 date-time"
            ) from None

    def _check_columns(self, columns: Sequence[str], key: str) -> None:
        """Check that a row has what Demandbase asks of each.

        Raises:
            RowError: It lacks a column.
        """
        if self._key is not None and not key:
            raise RowError(
                self._key, "missing_match_key", f"the match key {self._key} is null or missing"
            )
        if lacking := self._required.difference(columns):
            # One such row would make Demandbase reject the whole file.
            name = min(lacking)
            raise RowError(
                name, "missing_required", f"{name}, which fills a required field, is missing"
            )
        if not columns:
            raise RowError(None, "empty", "it has no value to send")

    def _identity_key(self, key: str, columns: Sequence[str], values: Sequence[str]) -> str:
        """Return the key of a row, also if Demandbase matches rows by fixed rules.

        Raises:
            RowError: A value is empty without which Demandbase ignores the row.
        """
        if not (self._must_fill or self._identity):
            return key
        texts = dict(zip(columns, values, strict=True))
        for name, text in texts.items():
            if not text and name in self._must_fill:
                raise RowError(
                    name, "missing_required", f"{name}, which fills a required field, is empty"
                )
        return identity_key(self._identity, texts)


def encode_value(value: Any, *, is_date_time: bool = False) -> str:  # noqa: ANN401, PLR0911
    """Return a value as text.

    Args:
        value: From a JSON document, numbers as int, float or Decimal.
        is_date_time: Whether the schema says that a text is a date-time.

    Returns:
        Numbers without exponents, Booleans in lower case, date-times as ISO 8601 with ``Z``, arrays
        and objects as JSON, null as the empty text.

    Raises:
        ValueError: The value has no text; the error does not quote it.
    """
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return _date_time(value) if is_date_time and value else value
        case int():
            return str(value)
        case float() | Decimal():
            return _number(value if isinstance(value, Decimal) else Decimal(repr(value)))
        case datetime():
            return _iso(value)
        case date():
            return value.isoformat()
        case _:
            return _json(value)


def _whole(value: object) -> object:
    """Return a number without a fraction as an integer, and any other value as it is."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, Decimal) and value.is_finite() and value.adjusted() < MAX_DIGITS:
        return int(value) if value == value.to_integral_value() else value
    return value


def _date_time(text: str) -> str:
    try:
        return _iso(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise ValueError from None


def _iso(moment: datetime) -> str:
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return moment.replace(tzinfo=None).isoformat() + "Z"


def _number(number: Decimal) -> str:
    if not number.is_finite():
        raise ValueError
    exponent = number.as_tuple().exponent
    if number.adjusted() >= MAX_DIGITS or (isinstance(exponent, int) and exponent < -MAX_DIGITS):
        raise ValueError
    return format(number, "f")


def _json(value: object) -> str:
    try:
        text: str = simplejson.dumps(
            value,
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
            # Decimals go to _json_default, which rejects NaN and infinity.
            use_decimal=False,
            default=_json_default,
        )
    except (ValueError, RecursionError):
        raise ValueError from None
    return text


def _json_default(value: object) -> object:
    if isinstance(value, Decimal):
        text = _number(value)
        # JSON has exponents: without them, an array of such numbers is a thousand times as long.
        return simplejson.RawJSON(text if len(text) <= _MAX_PLAIN_DIGITS else str(value))
    if isinstance(value, datetime):
        return _iso(value)
    return str(value)


def csv_field(text: str | None, *, quoted: bool = True) -> str:
    """Return a field of a row.

    Args:
        text: Its text; ``None`` for null.
        quoted: Whether it is written in quotes.
    """
    if text is None:
        return ""
    return text if not quoted else '"' + text.replace('"', '""') + '"'


def csv_row(fields: Sequence[str]) -> bytes:
    """Return a row as UTF-8.

    Raises:
        UnicodeEncodeError: A text contains a lone surrogate.
    """
    # Readers would skip a blank line.
    line = ",".join(fields) if len(fields) > 1 else fields[0] or '""'
    return line.encode() + LINE_END


def header_row(columns: Sequence[str]) -> bytes:
    """Return the header of a file."""
    return csv_row([csv_field(column) for column in columns])


def split_rows(lines: bytes) -> list[bytes]:
    """Return the rows of some lines, each with its line end; fields may contain line ends."""
    rows: list[bytes] = []
    open_row = b""
    is_open = False
    for line in lines.split(LINE_END)[:-1]:
        is_open ^= bool(line.count(b'"') % 2)
        open_row += line + LINE_END
        if not is_open:
            rows.append(open_row)
            open_row = b""
    return rows


def read_rows(rows: bytes) -> Iterator[list[str]]:
    """Yield the fields of each of some rows."""
    return csv.reader(io.StringIO(rows.decode(), newline=""), strict=True)
