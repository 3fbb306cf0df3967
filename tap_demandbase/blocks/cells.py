"""From columns of cells to columns of values: texts in their one form, or of Arrow's types.

Each is what ``cast`` makes of its cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import compute as pc

from tap_demandbase import cast
from tap_demandbase.blocks import forms, moments, typed_cells

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tap_demandbase.cast import Value


@dataclass(frozen=True, slots=True)
class Column:
    """A property and how its cells are cast.

    Args:
        name: The property.
        to_value: What casts one cell.
    """

    name: str
    to_value: Callable[[str], Value]

    @classmethod
    def of(cls, name: str, schema: Mapping[str, Any]) -> Column:
        """Return the column of a property with a JSON Schema."""
        return cls(name, cast.caster(schema))

    @property
    def is_free_text(self) -> bool:
        """Whether any text may be in a cell."""
        return self.to_value is cast.to_string

    @property
    def is_text(self) -> bool:
        """Whether its values are texts in JSON."""
        return self.to_value in {cast.to_string, cast.to_date, cast.to_date_time}

    def values(self, cells: pa.Array) -> pa.Array:
        """Return the values of cells as texts in their one form; null stays null.

        Args:
            cells: UTF-8 as binary.

        Raises:
            ValueError: A cell does not fit; the error does not hold it.
        """
        if self.is_free_text:
            return cells
        if self.to_value is cast.to_date_time:
            read = typed_cells.read(pa.chunked_array([cells]), self.to_value)
            if read is not None:
                return moments.texts_of(_in_one(read))
        fits = pc.match_substring_regex(cells, forms.PATTERNS[self.to_value])
        if pc.all(fits).as_py():  # of no cell: true
            return cells
        odd = pc.fill_null(pc.invert(fits), False)  # noqa: FBT003 - Arrow's own argument
        texts = cells.filter(odd)
        return pc.replace_with_mask(cells, odd, self._cast(texts))

    def _cast(self, texts: pa.Array) -> pa.Array:
        """Cast cells one by one, each text once."""
        coded = texts.dictionary_encode()
        words = [self.to_value(text.decode()) for text in coded.dictionary.to_pylist()]
        return pa.array([_form(word).encode() for word in words], pa.binary()).take(coded.indices)


def values_of(
    columns: Sequence[Column], cells: pa.Table, *, typed: bool = False
) -> dict[str, pa.Array]:
    """Return the values of all columns by name.

    Args:
        columns: The columns.
        cells: UTF-8 as binary, by column.
        typed: Whether they are of Arrow's types where these are exact; else, they are texts in
            their one form.

    Raises:
        ValueError: A cell does not fit; the error does not hold it.
    """
    found = {name: _in_one(cells.column(name)) for name in cells.column_names}
    rows = cells.num_rows
    for to_value in {column.to_value for column in columns if not column.is_free_text}:
        alike = [column for column in columns if column.to_value is to_value]
        # All columns of a type at once: a call costs as much as some hundred cells.
        together = pa.chunked_array([found[column.name] for column in alike], pa.binary())
        if typed and (values := typed_cells.read(together, to_value)) is not None:
            for number, column in enumerate(alike):
                found[column.name] = _in_one(values.slice(number * rows, rows))
        elif typed or not forms.are_in_form(together, to_value):
            found |= {column.name: column.values(found[column.name]) for column in alike}
    return found


def _in_one(cells: pa.ChunkedArray) -> pa.Array:
    # Combining copies, even where there is nothing to combine.
    return cells.chunk(0) if cells.num_chunks == 1 else cells.combine_chunks()


def _form(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
