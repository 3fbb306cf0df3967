"""Some rows of a part, cast and encoded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow as pa

    from tap_demandbase.arrow.values import Column
    from tap_demandbase.cast import Value


@dataclass(frozen=True, slots=True)
class RowSource:
    """What some rows were made of.

    Args:
        values: Their values by property: texts in the one form, or of Arrow's types.
        cells: The same as the file has them.
    """

    values: Mapping[str, pa.Array]
    cells: pa.Table

    def records(self, rows: pa.Array, columns: Sequence[Column]) -> list[dict[str, Value]]:
        """Return some rows as records, which the slow path would have made of them.

        Args:
            rows: Whether each is wanted.
            columns: All properties, in the order of the records.
        """
        cells = self.cells.filter(rows)
        texts: list[list[Any]] = [cells.column(column.name).to_pylist() for column in columns]
        return [
            {
                column.name: column.to_value((text or b"").decode())
                for column, text in zip(columns, row, strict=True)
            }
            for row in zip(*texts, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class RowBlock:
    """Rows in their order.

    Args:
        rows: How many the file has here, sent or not.
        encoded: What goes out for them, one element for each.
        nul_bytes: NUL bytes that were removed.
        source: What they were made of, where somebody needs it: it takes most of the memory.
    """

    rows: int
    encoded: pa.Array
    nul_bytes: int
    source: RowSource | None

    def __len__(self) -> int:
        """Return how many rows go out."""
        return len(self.encoded)

    def only(self, wanted: pa.Array) -> RowBlock:
        """Return the block with some of its rows.

        Args:
            wanted: Whether each goes out.
        """
        return replace(self, encoded=self.encoded.filter(wanted))


@dataclass(frozen=True, slots=True)
class Output:
    """How rows go out.

    Args:
        encode: Returns what goes out for some rows, one element for each, from their values by
            property. A ``ValueError`` sends them through the slow path.
        is_typed: Whether values may be of Arrow's types where these are exact; else, they are UTF-8
            as binary.
        keeps_source: Whether blocks keep what they were made of.
    """

    encode: Callable[[Mapping[str, pa.Array]], pa.Array]
    is_typed: bool = False
    keeps_source: bool = False
