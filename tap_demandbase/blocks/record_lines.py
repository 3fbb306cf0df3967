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
_TOGETHER = 16
"""Pieces that are joined at once. Of sixty, each costs a quarter more: they leave the caches."""


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
            side = _Side('"', _are_null(array)) if column.is_text else _NO_QUOTES
            between += json.dumps(column.name) + ":"
            pieces.append(_seam(behind, between, side))
            pieces.append(escaped(array) if column.is_free_text else array)
            behind, between = side, ","
        pieces.append(_seam(behind, "}" + self._closing() + "\n", _NO_QUOTES))
        while len(pieces) > _TOGETHER:
            pieces = [
                _joined(pieces[first : first + _TOGETHER])
                for first in range(0, len(pieces), _TOGETHER)
            ]
        return _joined(pieces)


@dataclass(frozen=True, slots=True)
class _Side:
    """What stands on both sides of a column's values."""

    at_value: str = ""
    """It is missing where the value is null."""
    are_null: pa.Array | None = None
    """Where they are; ``None`` where none is."""

    def either(
        self, at_value: pa.Array | pa.Scalar, at_null: pa.Array | pa.Scalar
    ) -> pa.Array | pa.Scalar:
        """Return for each row what depends on whether the column's value is null there."""
        if self.are_null is None:
            return at_value
        return pc.if_else(self.are_null, at_null, at_value)


_NO_QUOTES = _Side()


def _are_null(values: pa.Array) -> pa.Array | None:
    return values.is_null() if values.null_count else None


def _seam(behind: _Side, between: str, before: _Side) -> pa.Array | pa.Scalar:
    """Return what stands between the values of two columns, one text where it is always the same.

    Args:
        behind: The side of the first column.
        between: What stands there always.
        before: The side of the second column.
    """

    def after(first: str) -> pa.Array | pa.Scalar:
        return before.either(_text(first + between + before.at_value), _text(first + between))

    at_value = after(behind.at_value)
    return at_value if behind.are_null is None else behind.either(at_value, after(""))


def _joined(pieces: Sequence[pa.Array | pa.Scalar]) -> pa.Array:
    return pc.binary_join_element_wise(*pieces, _NOTHING, options=_NULL_AS_WORD)


def _text(text: str) -> pa.Scalar:
    return pa.scalar(text.encode())
