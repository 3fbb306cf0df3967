"""Rows of a part, converted and encoded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from tap_demandbase.arrow.values import Column
    from tap_demandbase.cast import Value


class RowEncoder(Protocol):
    """Encodes rows for the output."""

    @property
    def is_typed(self) -> bool:
        """Whether values may have Arrow types where these are exact; else they are binary UTF-8."""

    def encode(self, values: Mapping[str, pa.Array]) -> pa.Array:
        """Return one element for each row, from the rows' values by property.

        Raises:
            ValueError: The rows must go through the slow path.
        """


@dataclass(frozen=True, slots=True)
class RowSource:
    """The values and cells of a block of rows.

    Args:
        values: Converted values by property: canonical texts, or values of Arrow types.
        cells: The cells as the file has them.
    """

    values: Mapping[str, pa.Array]
    cells: pa.Table

    def records(self, mask: pa.Array, columns: Sequence[Column]) -> list[dict[str, Value]]:
        """Return some of the rows as records, equal to those of the slow path.

        Args:
            mask: True for each row to return.
            columns: All properties, in the order of the records.
        """
        cells = self.cells.filter(mask)
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
    """Consecutive rows of a part.

    Args:
        rows: Number of rows in the file, including those that are not sent.
        encoded: The rows as they are written, one element each.
        nul_bytes: Number of NUL bytes that were removed.
        source: What the rows were encoded from. Only windowed runs have it: it takes most of
            the memory.
    """

    rows: int
    encoded: pa.Array
    nul_bytes: int
    source: RowSource | None

    def __len__(self) -> int:
        """Return the number of rows that are sent."""
        return len(self.encoded)

    def filter(self, mask: pa.Array) -> RowBlock:
        """Return the block with the rows for which the mask is true."""
        return replace(self, encoded=self.encoded.filter(mask))


if TYPE_CHECKING:
    Rows = RowBlock | dict[str, Value]
