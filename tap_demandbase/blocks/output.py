"""What a stream's rows become."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Output:
    """How rows go out.

    Args:
        encode: Returns what goes out for some rows, one element for each, from their values by
            property. A ``ValueError`` sends them through the slow path.
        types: Types that values may be of, by property, where that is exact; others are UTF-8 as
            binary.
        keeps_source: Whether blocks keep what they were made of; no value has a type then.
    """

    encode: Callable[[Mapping[str, pa.Array]], pa.Array]
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    keeps_source: bool = False
