"""What is known of a stream once its SCHEMA has come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demandbase_api.models import ColumnMapping, ImportRequest
from target_demandbase.dead_letters import REJECT_TYPE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from demandbase_api.models import ImportOperation


@dataclass(frozen=True)
class SourceStream:
    """A stream as the tap sends it, before any stream map.

    Args:
        stream: Its name.
        schema: Its JSON schema.
        key_properties: Its key columns.
    """

    stream: str
    schema: Mapping[str, Any]
    key_properties: Sequence[str]


@dataclass(frozen=True)
class StreamPlan:
    """Where a stream's rows go, and how.

    Args:
        stream: Its name.
        entity: Where its rows go.
        operation: What Demandbase does with them.
        match_key: The field that rows are matched on.
        fields: Demandbase field by column, in the schema's order.
        schema: Its JSON schema.
        key_properties: Its key columns.
        source: What its records are made of.
        required: Columns without which Demandbase takes no row.
        must_fill: Columns whose empty cells would lose the row without a word.
        identity: Where no match key can be chosen, the columns by any of which Demandbase may
            match rows; an empty text in place of one that the stream lacks.
        activity_type: Which kind of activity the rows are, by its id.
        is_headed_by_fields: Whether files are headed with the fields that the columns fill.
    """

    stream: str
    entity: str
    operation: ImportOperation
    match_key: str | None
    fields: Mapping[str, str]
    schema: Mapping[str, Any]
    key_properties: Sequence[str]
    source: SourceStream
    required: frozenset[str] = frozenset()
    must_fill: frozenset[str] = frozenset()
    identity: tuple[str, ...] = ()
    activity_type: int | None = None
    is_headed_by_fields: bool = False

    @property
    def key_column(self) -> str | None:
        """The column that fills the match key."""
        return next((name for name, field in self.fields.items() if field == self.match_key), None)

    def header(self, columns: Sequence[str]) -> tuple[str, ...]:
        """Return what heads some columns in a file."""
        if self.is_headed_by_fields:
            return tuple(self.fields[name] for name in columns)
        return tuple(columns)

    def request(self, header: Sequence[str]) -> ImportRequest:
        """Return what to ask for with a file of this header."""
        fields = dict(zip(self.header(tuple(self.fields)), self.fields.values(), strict=True))
        return ImportRequest(
            entity=self.entity,
            operation=self.operation,
            match_key=self.match_key,
            mappings=tuple(ColumnMapping(name, fields[name]) for name in header),
            activity_type=self.activity_type,
        )

    @property
    def is_replay(self) -> bool:
        """Whether the stream is a file of rejected rows that comes back."""
        return REJECT_TYPE in self.source.schema.get("properties", {})

    def column_of(self, field: str) -> str | None:
        """Return the column that fills a field."""
        return next((name for name, filled in self.fields.items() if filled == field), None)
