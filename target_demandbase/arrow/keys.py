"""The match keys of many rows, which are told apart without a look at each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Sequence


class KeyColumn:
    """The match keys of some rows.

    Args:
        cells: They; none is empty.
    """

    def __init__(self, cells: pa.Array) -> None:
        texts = cells.cast(pa.string())
        self.cells = pa.concat_arrays([texts.slice(0, 1), texts.slice(1)])
        """A copy: a slice would keep all of the block that it is cut from."""

    def __len__(self) -> int:
        """Return how many they are."""
        return len(self.cells)

    def texts(self) -> Sequence[str]:
        """Return each of them."""
        texts: list[str] = self.cells.to_pylist()
        return texts

    def are_distinct(self, others: Sequence[KeyColumn], texts: Sequence[str] = ()) -> bool:
        """Return whether no two are equal, in this column, in others, and among further texts."""
        further = pa.array(texts, pa.string())
        cells = pa.chunked_array([self.cells, *(other.cells for other in others), further])
        return len(pc.unique(cells)) == len(cells)
