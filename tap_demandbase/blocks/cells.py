"""From columns of cells to columns of values in their one form; equal to ``cast`` by cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import compute as pc

from tap_demandbase import cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tap_demandbase.cast import Value

_YEAR = r"(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
# The 29th of February is for the calendar.
_DAY = (
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"

# Cells that are in the one form already: that of Python's str() and isoformat(), and of JSON.
_IN_FORM: dict[Callable[[str], Value], str] = {
    cast.to_integer: r"\A(?:0|-?[1-9][0-9]{0,99})\z",
    cast.to_number: r"\A-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?\z",
    cast.to_boolean: r"\A(?:true|false)\z",
    cast.to_date: rf"\A{_YEAR}-{_DAY}\z",
    cast.to_date_time: rf"\A{_YEAR}-{_DAY}T{_TIME}Z\z",
}


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
        fits = pc.match_substring_regex(cells, _IN_FORM[self.to_value])
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


def _form(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
