"""Decodes lines of RECORD messages into columns, and proves that each record fits its schema."""

from __future__ import annotations

import io
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from target_demandbase.blocks.column_kind import DELETED, ColumnKind, PlainColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

_astuple = msgspec.structs.astuple


@dataclass(frozen=True, slots=True)
class RecordBlock:
    """Records of a stream.

    Args:
        rows: How many records they are.
        size: How many bytes their lines are.
        columns: The columns that they have, and the place of each among a record's values.
        values: The values, record after record; numbers as their JSON text.
        width: How many values a record has.
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
        sent: Names of those that are sent; of the others it is only checked that they fit.
        known: Names of properties that records have beside the schema's, and nobody asks for.
    """

    def __init__(
        self,
        stream: str,
        columns: Sequence[PlainColumn],
        sent: Collection[str],
        known: Collection[str] = (),
    ) -> None:
        ordered = sorted(columns, key=lambda column: column.name not in sent)
        self._sent = [column.name for column in ordered if column.name in sent]
        members: list[Any] = [
            _member(f"c{number}", column, _type(column, is_sent=column.name in sent))
            for number, column in enumerate(ordered)
        ]
        names = {column.name for column in columns}
        members += [
            (f"k{number}", msgspec.Raw | UnsetType, msgspec.field(name=name, default=UNSET))
            for number, name in enumerate(sorted(set(known) - names - {DELETED}))
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

    def decode(self, lines: bytes, most: int | None = None) -> RecordBlock | None:
        """Return the records of lines, each a message.

        Args:
            lines: The lines. They are read up to the first that is no record of the stream or
                breaks the schema.
            most: How many of them to read at most.

        Returns:
            ``None`` where that is the first line, or where any record has properties that the first
            does not have. Where one lacks a property of the first, its value is none that a column
            can take.
        """
        decode, values = self._decode, list[Any]()
        source, line = io.BytesIO(lines), b""
        try:
            # One by one: all at once, two messages on one line would pass beside a blank line. Each
            # is taken apart at once, so that the next can take its place in the caches.
            for line in islice(source, most):
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


def _type(column: PlainColumn, *, is_sent: bool) -> Any:  # noqa: ANN401
    match column.kind:
        case ColumnKind.TEXT | ColumnKind.DATE_TIME:
            limit = column.max_length
            kind: Any = str if limit is None else Annotated[str, msgspec.Meta(max_length=limit)]
        case ColumnKind.INTEGER:
            kind = int
        case ColumnKind.BOOLEAN:
            kind = bool
        case ColumnKind.NUMBER if is_sent:
            return msgspec.Raw  # its digits as they came; what it is shows in its text
        case ColumnKind.NUMBER:
            kind = float
    return kind | None if column.nullable else kind
