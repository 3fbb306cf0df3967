"""The lines that other taps write of the same rows, byte for byte, without the taps.

``tests/project/test_spellings.py`` runs the taps of PostgreSQL over a table and compares their
lines with these. ``MIXED`` is the only one that is not modelled on one tap: it has what they leave
out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

import simplejson

from benchmarks.cells import cell_text
from benchmarks.columns import KEY, Column, Kind, schema_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Row = dict[str, object]
STATE_ROWS = 10_000
"""Rows between two STATE messages of taps built with the SDK."""
_STATE = b'{"type":"STATE","value":{"bookmarks":{}}}\n'
_BEGAN = datetime(2026, 1, 31, 6, tzinfo=UTC)
_VERSION = 1_769_839_200_000


@dataclass(frozen=True)
class Spelling:
    """How a tap writes rows.

    Args:
        prefix: What the tap puts before the name of a stream.
        head: Returns the lines before the records, for a stream and its columns.
        record: Returns the line of a row, by the stream and the row's number.
        state: Line of a STATE message between records.
        state_rows: Rows between two of them; 0 for none.
        tail: Returns the lines after the records.
        absent: Returns the properties that a record leaves out.
        plain_head: The same as ``head`` without rules that the SDK's targets do not understand.
        has_order: All records have the same properties in the same order.
    """

    head: Callable[[str, Sequence[Column]], bytes]
    record: Callable[[str, int, Row], bytes]
    tail: Callable[[str], bytes]
    prefix: str = ""
    state: Callable[[str], bytes] = lambda _: _STATE
    state_rows: int = 0
    absent: Callable[[Mapping[str, object]], set[str]] = lambda _: set()
    plain_head: Callable[[str, Sequence[Column]], bytes] | None = None
    has_order: bool = True

    def for_sdk(self) -> Spelling:
        """Return a spelling whose schema the SDK's targets understand."""
        return replace(self, head=self.plain_head) if self.plain_head else self

    def line(self, stream: str, number: int, row: Row) -> bytes:
        """Return the line of a row, counted from 0, with the STATE that follows it."""
        has_state = self.state_rows and not (number + 1) % self.state_rows
        return self.record(stream, number, row) + (self.state(stream) if has_state else b"")


def _compact(message: object) -> bytes:
    """Encode as the SDK does: without spaces, ASCII only, ``Decimal`` with all digits."""
    text: str = simplejson.dumps(message, use_decimal=True, separators=(",", ":"))
    return text.encode() + b"\n"


def _spaced(message: object) -> bytes:
    """Encode as singer-python does: with spaces, ASCII only."""
    text: str = simplejson.dumps(message, use_decimal=True)
    return text.encode() + b"\n"


def _extracted(number: int) -> str:
    """Return the time at which a row was read: rows follow each other within microseconds."""
    at = _BEGAN + timedelta(microseconds=137 * number)
    return at.isoformat(timespec="microseconds")


def _sdk_record(stream: str, number: int, record: Row) -> bytes:
    return _compact(
        {
            "type": "RECORD",
            "stream": stream,
            "record": record,
            "time_extracted": _extracted(number),
        }
    )


def _sdk_schema(stream: str, properties: Mapping[str, object], **more: object) -> bytes:
    schema = {
        "properties": properties,
        "type": "object",
        **more,
        "$schema": "https://json-schema.org/draft/2020-12/schema",
    }
    message = {"type": "SCHEMA", "stream": stream, "schema": schema, "key_properties": [KEY]}
    return _compact(message)


def _sdk_state(stream: str) -> bytes:
    return _compact({"type": "STATE", "value": {"bookmarks": {stream: {}}}})


# Our own tap: compact UTF-8.


def _own_head(stream: str, columns: Sequence[Column]) -> bytes:
    schema = schema_of(tuple(columns))
    message = {"type": "SCHEMA", "stream": stream, "schema": schema, "key_properties": [KEY]}
    return json.dumps(message).encode() + b"\n"


def _own_record(stream: str, _number: int, row: Row) -> bytes:
    message = {
        "type": "RECORD",
        "stream": stream,
        "record": row,
        "time_extracted": "2026-01-31T06:00:00.000000+00:00",
    }
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


OWN = Spelling(_own_head, _own_record, lambda _: _STATE, state_rows=STATE_ROWS)
"""Our own tap."""


# meltanolabs-tap-postgres 0.10 and other taps of databases that are built with the SDK.

SQL_TYPES = {
    Kind.STRING: "text",
    Kind.INTEGER: "bigint",
    Kind.NUMBER: "double precision",
    Kind.BOOLEAN: "boolean",
    Kind.DATE: "date",
    Kind.DATE_TIME: "timestamp with time zone",
}
_OWN_SQL_TYPES = {
    "visits": "integer",
    "open_tasks": "smallint",
    "annual_revenue": "numeric(18,2)",
    "engagement_score": "numeric",
    "updated_at": "timestamp without time zone",
}


def sql_type(column: Column) -> str:
    """Return a column's type in the table that the taps of PostgreSQL read."""
    return _OWN_SQL_TYPES.get(column.name, SQL_TYPES[column.kind])


_SDK_TYPES: dict[Kind, Row] = {
    Kind.STRING: {"type": ["string", "null"]},
    Kind.INTEGER: {"type": ["integer", "null"]},
    Kind.NUMBER: {"type": ["number", "null"]},
    Kind.BOOLEAN: {"type": ["boolean", "null"]},
    Kind.DATE: {"format": "date", "type": ["string", "null"]},
    Kind.DATE_TIME: {"format": "date-time", "type": ["string", "null"]},
}


def _sdk_postgres_head(stream: str, columns: Sequence[Column]) -> bytes:
    types = {it.name: _SDK_TYPES[it.kind] for it in columns} | {KEY: {"type": ["string"]}}
    return _sdk_schema(stream, types, required=[KEY])


def _sdk_postgres_record(stream: str, number: int, row: Row) -> bytes:
    record = {name: _in_microseconds(value) for name, value in row.items()}
    return _sdk_record(stream, number, record)


def _in_microseconds(value: object) -> object:
    return value.isoformat(timespec="microseconds") if isinstance(value, datetime) else value


SDK_POSTGRES = Spelling(_sdk_postgres_head, _sdk_postgres_record, _sdk_state, "public-")
"""meltanolabs-tap-postgres: ``\\u`` escapes, ``.000000+00:00``, ``10.00``."""


# pipelinewise-tap-postgres 2.1 and other taps that are built with singer-python.


def _bounds(bits: int) -> Row:
    return {"minimum": -(2 ** (bits - 1)), "maximum": 2 ** (bits - 1) - 1}


def _numeric(whole_digits: int, multiple: float) -> Row:
    most = 10**whole_digits
    return {
        "exclusiveMaximum": True,
        "maximum": most,
        "multipleOf": multiple,
        "exclusiveMinimum": True,
        "minimum": -most,
    }


_RULES: dict[str, Row] = {
    "bigint": _bounds(64),
    "integer": _bounds(32),
    "smallint": _bounds(16),
    "numeric(18,2)": _numeric(16, 0.01),
    "numeric": _numeric(62, 1e-38),
    "date": {"format": "date-time"},
    "timestamp with time zone": {"format": "date-time"},
    "timestamp without time zone": {"format": "date-time"},
}
_TIMES = {Kind.DATE, Kind.DATE_TIME}
_JSON_TYPES = {
    Kind.INTEGER: "integer",
    Kind.NUMBER: "number",
    Kind.BOOLEAN: "boolean",
}
_ARRAYS = {
    f"sdc_recursive_{kind}_array": {
        "type": ["null", "string" if kind == "timestamp" else kind, "array"],
        **({"format": "date-time"} if kind == "timestamp" else {}),
        "items": {"$ref": f"#/definitions/sdc_recursive_{kind}_array"},
    }
    for kind in ("integer", "number", "string", "boolean", "timestamp", "object")
}


def _pipelinewise_state(stream: str, version: int, **more: object) -> bytes:
    bookmark = {"last_replication_method": "FULL_TABLE", "version": version, **more}
    current = None if more.get("xmin", 0) is None else stream
    value = {"bookmarks": {stream: bookmark}, "currently_syncing": current}
    return _spaced({"type": "STATE", "value": value})


def _pipelinewise_head(
    stream: str, columns: Sequence[Column], *, with_bounds: bool = True
) -> bytes:
    properties = {
        column.name: {
            "type": [*(["null"] if column.name != KEY else []),
                     _JSON_TYPES.get(column.kind, "string")],
            **(_RULES.get(sql_type(column), {}) if with_bounds or column.kind in _TIMES else {}),
        }
        for column in columns
    }  # fmt: skip
    message = {
        "type": "SCHEMA",
        "stream": stream,
        "schema": {"type": "object", "properties": properties, "definitions": _ARRAYS},
        "key_properties": [KEY],
        "bookmark_properties": [],
    }
    state = _pipelinewise_state(stream, _VERSION)
    return _spaced(message) + state + _activate(stream)


def _activate(stream: str) -> bytes:
    return _spaced({"type": "ACTIVATE_VERSION", "stream": stream, "version": _VERSION})


def _pipelinewise_record(stream: str, _number: int, row: Row) -> bytes:
    record = {name: _as_date_time(name, row[name]) for name in sorted(row)}
    return _spaced(
        {
            "type": "RECORD",
            "stream": stream,
            "record": record,
            "version": _VERSION,
            "time_extracted": "2026-01-31T06:00:00.000000Z",
        }
    )


def _as_date_time(name: str, value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    is_date = value is not None and name in {"renewal_date", "founded_on"}
    return f"{value}T00:00:00+00:00" if is_date else value


PIPELINEWISE_POSTGRES = Spelling(
    _pipelinewise_head,
    _pipelinewise_record,
    lambda stream: _activate(stream) + _pipelinewise_state(stream, _VERSION, xmin=None),
    "public-",
    lambda stream: _pipelinewise_state(stream, _VERSION, xmin=743),
    1000,
    plain_head=partial(_pipelinewise_head, with_bounds=False),
)
"""pipelinewise-tap-postgres: spaces, sorted keys, ``version``, dates as date-times, fractions only
where there are any, bounds in the schema, a STATE after 1,000 rows."""


# meltanolabs tap-csv 1.3: cells as they stand in the file.


def _csv_head(stream: str, columns: Sequence[Column]) -> bytes:
    return _sdk_schema(stream, {it.name: {"type": ["string", "null"]} for it in columns})


def _csv_record(stream: str, number: int, row: Row) -> bytes:
    return _sdk_record(stream, number, {name: cell_text(value) for name, value in row.items()})


SDK_CSV = Spelling(_csv_head, _csv_record, _sdk_state)
"""meltanolabs tap-csv: everything is text, a blank instead of T, empty cells are ``""``."""


# What these taps leave out.

_ORDERS = 4
_ABSENT = (("founded_on",), ("segment", "probability"))
"""Properties that an API leaves out if all of a group are empty: four sets of columns."""
_NEW_YORK = timezone(timedelta(hours=-5))


def _mixed_head(stream: str, columns: Sequence[Column]) -> bytes:
    schema = {**schema_of(tuple(columns)), "additionalProperties": False}
    return _spaced({"type": "SCHEMA", "stream": stream, "schema": schema, "key_properties": [KEY]})


def _mixed_record(stream: str, number: int, row: Row) -> bytes:
    absent = _mixed_absent(row)
    names = _turned([name for name in row if name not in absent], number % _ORDERS)
    record = ", ".join(f'"{name}": {_mixed_text(name, row[name])}' for name in names)
    return (
        f'{{"type": "RECORD", "stream": "{stream}", "version": {_VERSION}, '
        f'"time_extracted": "{_extracted(number)}", "record": {{{record}}}}}\n'
    ).encode()


def _mixed_absent(row: Mapping[str, object]) -> set[str]:
    groups = [group for group in _ABSENT if all(row[name] is None for name in group)]
    return {name for group in groups for name in group}


def _turned(names: list[str], order: int) -> list[str]:
    match order:
        case 0:
            return names
        case 1:
            return sorted(names)
        case 2:
            return names[::-1]
        case _:
            return names[len(names) // 2 :] + names[: len(names) // 2]


def _mixed_text(name: str, value: object) -> str:
    match value:
        case Decimal() | float():
            return _short_number(value)
        case datetime():
            return f'"{_mixed_moment(name, value)}"'
        case _:
            return json.dumps(value)


def _short_number(value: Decimal | float) -> str:
    """Return 1e6 for a million, and other numbers as Python writes them."""
    text = str(value)
    return f"{value:.0e}".replace("e+0", "e") if text in {"1000000.0", "1000000.00"} else text


def _mixed_moment(name: str, value: datetime) -> str:
    match name:
        case "created_at":  # as Python writes a DATETIME of MySQL
            return str(value.replace(tzinfo=None))
        case "updated_at":  # as JavaScript writes it
            return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case _:
            there = value.astimezone(_NEW_YORK) if value.second % 2 else value.replace(tzinfo=None)
            return there.isoformat()


MIXED = Spelling(
    _mixed_head,
    _mixed_record,
    lambda _: _STATE,
    state_rows=STATE_ROWS,
    absent=_mixed_absent,
    has_order=False,
)
"""Key orders that vary, absent keys, ``time_extracted`` first, 1e6, ``.000Z``, a blank instead of
T, no zone, an offset."""
