"""What a stream's rows become."""

from __future__ import annotations

from dataclasses import dataclass
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
        is_typed: Whether values may be of Arrow's types where these are exact; else, they are UTF-8
            as binary.
        keeps_source: Whether blocks keep what they were made of.
    """

    encode: Callable[[Mapping[str, pa.Array]], pa.Array]
    is_typed: bool = False
    keeps_source: bool = False
