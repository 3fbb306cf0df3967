"""Encodes lines of plain records as rows of CSV, many at a time."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from target_demandbase.arrow.date_times import with_dates
from target_demandbase.arrow.decoder import RecordDecoder, RowGroup
from target_demandbase.arrow.keys import KeyColumn
from target_demandbase.arrow.values import TEXT, TYPES, NotPlainError, ValueReader, count_empty
from target_demandbase.csv_writer import MIDNIGHT, OnNull, RowEncoder
from target_demandbase.keys import identity_keys
from target_demandbase.plain_columns import ColumnKind, is_plain_name, plain_columns
from target_demandbase.staging import PendingRows
from target_demandbase.validation import RecordValidator

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from target_demandbase.arrow.decoder import RecordBlock
    from target_demandbase.keys import Keys
    from target_demandbase.plan import StreamPlan


_SHORTEST_DATE_TIME = len("2026-01-02T00:00")
_LONGEST_DATE_TIME = len('"2026-01-02T03:04:05.123456Z"')

_WITHOUT_HEADER = pyarrow.csv.WriteOptions(include_header=False, batch_size=1 << 20)


@dataclass(frozen=True, slots=True)
class EncodedRows:
    """Rows of the same columns, encoded when they are written.

    Args:
        rows: Number of rows.
        first: Place of the first one in the block.
        columns: Their columns.
        values: The values, by column.
        lines: The rows as they are staged.
        messages: The RECORD messages that they come from, one a line.
        keys: Their match keys; empty texts if there is no match key.
    """

    rows: int
    first: int
    columns: tuple[str, ...]
    values: Mapping[str, pa.Array]
    lines: PendingRows
    messages: bytes
    keys: Keys

    def empty(self, columns: Iterable[str]) -> Mapping[str, int]:
        """Return how many values of some of the columns are null or empty."""
        return {name: count_empty(self.values[name]) for name in columns}


@dataclass(frozen=True, slots=True)
class EncodedBlock:
    """Rows of consecutive messages.

    Args:
        rows: Number of rows.
        size: Size of the messages in bytes.
        groups: The rows, by their columns.
    """

    rows: int
    size: int
    groups: Sequence[EncodedRows]


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
        sent = {*plan.fields, *plan.key_properties}
        self._plain = {
            column.name: replace(
                column,
                required=column.name in plan.key_properties
                or (column.required and column.name in plan.fields),
            )
            for column in plain_columns(plan.schema, sent) or ()
        }
        self._is_open = plan.schema.get("additionalProperties", True) is True
        self._values = ValueReader(
            self._plain,
            RecordValidator(plan.schema, sent),
            RowEncoder(plan, on_null=on_null, max_bytes=0),
        )
        self._date_times = sum(
            self._plain[name].kind is ColumnKind.DATE_TIME for name in plan.fields
        )
        self._varying: frozenset[str] = frozenset()
        """The columns that only some of the latest records had."""
        self._ignored: frozenset[str] = frozenset()
        self._decoder: RecordDecoder | None = None

    def ignore(self, names: frozenset[str]) -> None:
        """Accept records that have some properties in addition to the schema's."""
        names = frozenset(filter(is_plain_name, names)) if self._is_open else frozenset()
        if names != self._ignored:
            self._ignored = names
            self._decoder = None

    def encode(self, lines: bytes, max_rows: int | None = None) -> EncodedBlock | None:
        """Encode RECORD messages, up to the first line that is no plain record.

        Args:
            lines: The lines.
            max_rows: Maximum number of lines to encode.

        Returns:
            ``None`` if the first line is not plain: it can only be encoded by ``csv_writer``.
        """
        if self._decoder is None:
            self._decoder = self._new_decoder(lines)
        block = self._decoder.decode(lines, max_rows)
        if block is None:
            return None
        with suppress(NotPlainError):
            return self._encoded_block(block)
        # The records before the first that is not plain.
        found: EncodedBlock | None = None
        plain, odd = 0, block.rows
        while odd - plain > 1:
            middle = (plain + odd) // 2
            try:
                found = self._encoded_block(block.first(middle))
                plain = middle
            except NotPlainError:
                odd = middle
        return found

    def _encoded_block(self, block: RecordBlock) -> EncodedBlock:
        """Return the rows of a block.

        Raises:
            NotPlainError: One of them can only be encoded by ``csv_writer``.
        """
        return EncodedBlock(block.rows, len(block.messages), self._groups(block))

    def _groups(self, block: RecordBlock) -> Sequence[EncodedRows]:
        """Return the rows of a block by their columns.

        Raises:
            NotPlainError: One of them can only be encoded by ``csv_writer``.
        """
        if not self._varying and (alike := block.alike()) is not None:
            with suppress(NotPlainError):
                return self._encoded(alike, [RowGroup(alike.columns)])
        if self._varying:
            # Few columns vary, and mostly the same ones. If not, no column accepts UNSET.
            with suppress(NotPlainError):
                return self._encoded(*block.split(self._blanked, self._varying))
        filled, groups = block.split(self._blanked)
        self._varying = frozenset(filled.absent)
        if not self._varying:
            raise NotPlainError
        return self._encoded(filled, groups)

    def _encoded(self, block: RecordBlock, groups: Sequence[RowGroup]) -> Sequence[EncodedRows]:
        """Return the rows of each group.

        Raises:
            NotPlainError: One of them can only be encoded by ``csv_writer``.
        """
        if any(not self._plan.required <= set(group.columns) for group in groups):
            raise NotPlainError
        values, growth = self._values.read(block)
        self._adapt(values)
        found = []
        start = 0
        for group, messages in zip(groups, block.messages_by(groups), strict=True):
            rows = block.rows if group.rows is None else len(group.rows)
            of_group = {
                name: array.slice(start, rows)
                for name, array in values.items()
                if name in group.columns
            }
            found.append(self._group(group, rows, of_group, messages, growth))
            start += rows
        return found

    def _group(
        self,
        group: RowGroup,
        rows: int,
        values: Mapping[str, pa.Array],
        messages: bytes,
        growth: int,
    ) -> EncodedRows:
        """Return the rows of a group.

        Args:
            group: The group.
            rows: Number of its rows.
            values: Its values, by column.
            messages: Its messages.
            growth: By how many bytes other values than date-times may be longer in CSV.

        Raises:
            NotPlainError: One of them can only be encoded by ``csv_writer``.
        """
        blank = {
            name: pa.nulls(rows, TYPES.get(self._plain[name].kind, TEXT))
            for name in self._blanked - values.keys()
        }
        all_values = {**values, **blank}
        found = {name: all_values[name] for name in self._plan.fields if name in all_values}
        never_empty = found.keys() if self._omit_null else self._plan.must_fill
        if any(count_empty(found[name]) for name in never_empty):
            raise NotPlainError
        if len(found) < 2:  # noqa: PLR2004 - a null alone in its row
            raise NotPlainError
        keys = self._keys(rows, values)  # the most expensive step for some entities
        growth += rows * (len(self._blanked) + self._date_times * _LONGEST_DATE_TIME)
        pending = PendingRows([*found.values()], csv_lines, len(messages) + growth)
        first = group.rows[0] if group.rows else 0
        return EncodedRows(rows, first, tuple(found), found, pending, messages, keys)

    def _adapt(self, values: dict[str, pa.Array]) -> None:
        """Write midnight as a date, and whole numbers without a fraction, if the field needs it.

        Raises:
            NotPlainError: A number would become -0.
        """
        for name in self._plan.date_columns & values.keys():
            if self._plain[name].kind is ColumnKind.DATE_TIME:
                values[name] = with_dates(values[name])
            elif _longest(values[name]) >= _SHORTEST_DATE_TIME:
                values[name] = pc.replace_substring_regex(values[name], MIDNIGHT, r"\1")
        for name in self._plan.integer_columns & values.keys():
            if self._plain[name].kind is ColumnKind.NUMBER:
                whole = pc.replace_substring_regex(values[name], r"\.0*$", "")
                if pc.index(whole, "-0").as_py() >= 0:
                    raise NotPlainError
                values[name] = whole

    def _new_decoder(self, lines: bytes) -> RecordDecoder:
        """Return a decoder that is fastest for records like the first one."""
        columns = self._plain
        with suppress(ValueError, LookupError, TypeError, RecursionError):
            order = [*json.loads(lines.partition(b"\n")[0])["record"]]
            columns = {name: columns[name] for name in [*order, *columns] if name in columns}
        return RecordDecoder(
            self._plan.stream, tuple(columns.values()), self._plan.fields, self._ignored
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


def _longest(values: pa.Array) -> int:
    """Return the length of the longest text in bytes; 0 if the values are no texts."""
    if not pa.types.is_string(values.type):
        return 0
    longest: int | None = pc.max(pc.binary_length(values)).as_py()
    return longest or 0


def csv_lines(blocks: Sequence[Sequence[pa.Array]]) -> pa.Buffer:
    """Return the rows of some blocks of the same columns as lines of CSV."""
    names = [str(number) for number in range(len(blocks[0]))]
    table = pa.Table.from_batches([pa.record_batch(list(columns), names) for columns in blocks])
    sink = pa.BufferOutputStream()
    pyarrow.csv.write_csv(table, sink, _WITHOUT_HEADER)
    return sink.getvalue()
