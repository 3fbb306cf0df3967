"""Match keys of many rows as an Arrow array."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Sequence


class KeyColumn:
    """The match keys of some rows.

    Args:
        values: The keys; none is empty.
    """

    def __init__(self, values: pa.Array) -> None:
        texts = values.cast(pa.string())
        self.values = pa.concat_arrays([texts.slice(0, 1), texts.slice(1)])
        """A copy: a slice would keep the whole block in memory."""

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self.values)

    def texts(self) -> Sequence[str]:
        """Return the keys as texts."""
        texts: list[str] = self.values.to_pylist()
        return texts

    def are_distinct(self, others: Sequence[KeyColumn], texts: Sequence[str] = ()) -> bool:
        """Return whether no two keys are equal, those of other columns and texts included."""
        further = pa.array(texts, pa.string())
        keys = pa.chunked_array([self.values, *(other.values for other in others), further])
        return len(pc.unique(keys)) == len(keys)
