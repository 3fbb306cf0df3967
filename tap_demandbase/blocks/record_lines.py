"""From columns of values to lines of JSON, one for each row."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import compute as pc

from tap_demandbase.blocks.json_text import escaped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tap_demandbase.blocks.cells import Column

_NOTHING = pa.scalar(b"")
_NULL_AS_WORD = pc.JoinOptions(null_handling="replace", null_replacement="null")


class RecordLines:
    """Writes rows as JSON objects.

    Args:
        columns: The properties, in the order of the records.
        opening: Text before each object.
        closing: Returns the text behind each object; called once a block.
    """

    def __init__(self, columns: Sequence[Column], opening: str, closing: Callable[[], str]) -> None:
        self._columns = columns
        self._opening = opening
        self._closing = closing

    def lines(self, values: Mapping[str, pa.Array]) -> pa.Array:
        """Return a line for each row, its line feed included.

        Args:
            values: UTF-8 as binary, by property.
        """
        pieces: list[pa.Array | pa.Scalar] = []
        behind, between = _NO_QUOTES, self._opening + "{"
        for column in self._columns:
            array = values[column.name]
            side = _Side('"', _is_null(array)) if column.is_text else _NO_QUOTES
            between += json.dumps(column.name) + ":"
            pieces.append(_seam(behind, between, side))
            pieces.append(escaped(array) if column.is_free_text else array)
            behind, between = side, ","
        pieces.append(_seam(behind, "}" + self._closing() + "\n", _NO_QUOTES))
        return pc.binary_join_element_wise(*pieces, _NOTHING, options=_NULL_AS_WORD)


@dataclass(frozen=True, slots=True)
class _Side:
    """What stands on both sides of a column's values."""

    at_value: str = ""
    """It is missing where the value is null."""
    is_null: pa.Array | None = None
    """1 where a value is null, else 0; ``None`` where none is."""


_NO_QUOTES = _Side()


def _is_null(values: pa.Array) -> pa.Array | None:
    return pc.is_null(values).cast(pa.uint8()) if values.null_count else None


def _seam(behind: _Side, between: str, before: _Side) -> pa.Array | pa.Scalar:
    """Return what stands between the values of two columns, one text where it is always the same.

    Args:
        behind: The side of the first column.
        between: What stands there always.
        before: The side of the second column.
    """
    texts = [
        (first + between + second).encode()
        for second in (before.at_value, "")
        for first in (behind.at_value, "")
    ]
    match behind.is_null, before.is_null:
        case None, None:
            return pa.scalar(texts[0])
        case first, None:
            which = first
        case None, second:
            which, texts = second, texts[::2]
        case first, second:
            which = pc.add(first, pc.add(second, second))
    return pa.array(texts, pa.binary()).take(which)
