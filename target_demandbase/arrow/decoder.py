"""Decodes lines of plain records, many at a time."""

from __future__ import annotations

import io
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import compress, islice
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from target_demandbase.plain_columns import ColumnKind, PlainColumn
from target_demandbase.schema import DELETED

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence


_astuple = msgspec.structs.astuple


@dataclass(frozen=True, slots=True)
class RecordBlock:
    """Records of a stream.

    Args:
        rows: Number of records.
        first: Place of the first one among those that were decoded together.
        messages: Their messages, one a line.
        columns: Place of each column among a record's values.
        values: The values, record after record; numbers and columns of other kinds as JSON text.
            A property that a record does not have is ``UNSET``.
        width: Number of values of a record.
    """

    rows: int
    first: int
    messages: bytes
    columns: Mapping[str, int]
    values: Sequence[Any]
    width: int

    def values_of(self, columns: Iterable[str]) -> list[Any]:
        """Return the values of some columns, one column after the other."""
        found: list[Any] = []
        for name in columns:
            found += self.values[self.columns[name] :: self.width]
        return found

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
            elif any(value is not UNSET for value in self.values[place :: self.width]):
                return None
        return replace(self, columns=columns)

    def by_columns(self) -> Sequence[RecordBlock]:
        """Return the records of each set of columns, with only these columns."""
        columns: dict[str, int] = {}
        varying: list[list[bool]] = []
        names: list[str] = []
        for name, place in self.columns.items():
            are_absent = [value is UNSET for value in self.values[place :: self.width]]
            if not all(are_absent):
                columns[name] = place
                if any(are_absent):
                    names.append(name)
                    varying.append(are_absent)
        if not varying:
            return [replace(self, columns=columns)]
        rows_by_absence: defaultdict[tuple[bool, ...], list[int]] = defaultdict(list)
        for row, absence in enumerate(zip(*varying, strict=True)):
            rows_by_absence[absence].append(row)
        lines = self.messages.split(b"\n")
        blocks = []
        for absence, rows in rows_by_absence.items():
            absent = {*compress(names, absence)}
            values: list[Any] = []
            for row in rows:
                values += self.values[row * self.width : (row + 1) * self.width]
            blocks.append(
                RecordBlock(
                    rows=len(rows),
                    first=rows[0],
                    messages=b"\n".join([*[lines[row] for row in rows], b""]),
                    columns={name: place for name, place in columns.items() if name not in absent},
                    values=values,
                    width=self.width,
                )
            )
        return blocks


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
        self._width = len(members)
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
        rows = len(values) // self._width
        return RecordBlock(rows, 0, lines[:size], self._columns, values, self._width)


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
