"""Decodes lines of plain records, many at a time."""

from __future__ import annotations

import io
from collections import defaultdict
from dataclasses import dataclass, field, replace
from itertools import accumulate, compress, islice
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from target_demandbase.plain_columns import ColumnKind, PlainColumn
from target_demandbase.schema import DELETED

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence


_astuple = msgspec.structs.astuple


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Records of a block that have the same columns.

    Args:
        columns: The columns.
        rows: Places of the records in the block. ``None``: all of them.
    """

    columns: Collection[str]
    rows: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class RecordBlock:
    """Records of a stream.

    Args:
        rows: Number of records.
        messages: Their messages, one a line.
        columns: Place of each column among a record's values.
        values: The values, record after record; numbers and columns of other kinds as JSON text.
            Of a property that a record does not have, ``UNSET``.
        nulls: What stands for null at each place.
        absent: How many records do not have a column, in which null stands for it. Default: 0.
    """

    rows: int
    messages: bytes
    columns: Mapping[str, int]
    values: Sequence[Any]
    nulls: Sequence[Any]
    absent: Mapping[str, int] = field(default_factory=dict)

    def messages_by(self, groups: Sequence[RowGroup]) -> Sequence[bytes]:
        """Return the messages of each group."""
        if all(group.rows is None for group in groups):
            return [self.messages] * len(groups)
        # To split the messages takes twice as long: a new object for each.
        ends = [*accumulate(map(len, io.BytesIO(self.messages)), initial=0)]
        view = memoryview(self.messages)
        return [
            b"".join([view[ends[row] : ends[row + 1]] for row in group.rows or ()])
            for group in groups
        ]

    def first(self, rows: int) -> RecordBlock:
        """Return the first records."""
        messages = b"\n".join([*self.messages.split(b"\n", rows)[:rows], b""])
        values = self.values[: rows * len(self.nulls)]
        return replace(self, rows=rows, messages=messages, values=values)

    def values_of(self, columns: Iterable[str]) -> list[Any]:
        """Return the values of some columns, one column after the other."""
        found: list[Any] = []
        for name in columns:
            found += self._column(self.columns[name])
        return found

    def _column(self, place: int) -> Sequence[Any]:
        return self.values[place :: len(self.nulls)]

    def alike(self) -> RecordBlock | None:
        """Return the block with the columns of its first record.

        Returns:
            ``None`` if a later record has a further column. It may also lack one: its value is then
            ``UNSET``, which no column accepts.
        """
        columns: dict[str, int] = {}
        for name, place in self.columns.items():
            if self.values[place] is not UNSET:
                columns[name] = place
            elif any(value is not UNSET for value in self._column(place)):
                return None
        return replace(self, columns=columns)

    def split(
        self, blanked: Collection[str], varying: Collection[str] | None = None
    ) -> tuple[RecordBlock, Sequence[RowGroup]]:
        """Return the block with null in place of what records do not have, and its groups.

        Its values, but not its messages, are in the order of the groups.

        Args:
            blanked: Columns that all records have: null stands for the missing value.
            varying: Columns that some records may lack. Of the others, all records are taken to
                have what the first one has. Default: any.
        """
        columns: dict[str, int] = {}
        absences: dict[str, list[bool]] = {}
        absent: dict[str, int] = {}
        for name, place in self.columns.items():
            if varying is not None and name not in varying and self.values[place] is not UNSET:
                columns[name] = place
                continue
            column = self._column(place)
            absence = [value is UNSET for value in column]
            number = absence.count(True)
            if number == self.rows:
                continue
            columns[name] = place
            if number:
                absent[name] = number
                if name not in blanked:
                    absences[name] = absence
        rows_by_absence: defaultdict[tuple[bool, ...], list[int]] = defaultdict(list)
        for row, each in enumerate(zip(*absences.values(), strict=True)):
            rows_by_absence[each].append(row)
        groups = [
            RowGroup(columns.keys() - compress(absences, each), rows)
            for each, rows in rows_by_absence.items()
        ]
        width = len(self.nulls)
        values: list[Any] = []
        for group in groups:
            for row in group.rows or ():
                values += self.values[row * width : (row + 1) * width]
        values = values or [*self.values]
        for name in absent:
            place = columns[name]
            null = self.nulls[place]
            values[place::width] = [
                null if value is UNSET else value for value in values[place::width]
            ]
        filled = replace(self, columns=columns, values=values, absent=absent)
        return filled, groups or [RowGroup(columns)]


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
        self._columns = {
            column.name: place for place, column in enumerate(ordered) if column.name in sent
        }
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
        raw = {ColumnKind.NUMBER, ColumnKind.OTHER}
        self._nulls = [b"null" if column.kind in raw else None for column in ordered]
        self._nulls += [None] * (len(members) - len(ordered))
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(message).decode

    def decode(self, lines: bytes, max_rows: int | None = None) -> RecordBlock | None:
        """Decode RECORD messages, up to the first line that is no valid record of the stream.

        Args:
            lines: The lines.
            max_rows: Maximum number of lines to decode.

        Returns:
            ``None`` if the first line is not valid.
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
        rows = len(values) // len(self._nulls)
        return RecordBlock(rows, lines[:size], self._columns, values, self._nulls)


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
            kind = int | float  # 1.0 is a whole number
        case ColumnKind.BOOLEAN:
            kind = bool
        case ColumnKind.NUMBER | ColumnKind.OTHER:
            return msgspec.Raw  # keeps its digits as they came
    return kind | None if column.nullable else kind
