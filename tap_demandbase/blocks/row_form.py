r"""Proves with one look that blocks are strict CSV whose cells are all in their one form.

One regular expression for a whole row takes hardly longer than one for the quotes alone, and saves
a look at each column. What it does not match may be fine in another way, and is looked at again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import compute as pc

from tap_demandbase.blocks.bytes_view import cell
from tap_demandbase.blocks.forms import ROW_FORMS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_demandbase.blocks.cells import Column

_TEXT = r'(?:[^",\r\n]*|"(?:[^"]|"")*")'
_MOST_MISSES = 2
_MOST_COLUMNS = 200
"""With more, the automaton leaves the caches and costs more than it saves; of thousands, RE2 makes
no automaton.
"""


class RowForm:
    """What the rows of one part look like; threads can share it.

    Args:
        header: The part's columns.
        columns: All properties to read.
    """

    def __init__(self, header: Sequence[str], columns: Sequence[Column]) -> None:
        forms = {column.name: ROW_FORMS.get(column.to_value) for column in columns}
        row = ",".join(_cell(forms.get(name)) for name in header)
        self._pattern = rf"\A(?:{row}\r?\n)*\z"
        # A line without a comma is a row of its own kind: see TableReader.
        self._misses = 0 if 1 < len(header) <= _MOST_COLUMNS else _MOST_MISSES

    def held(self, blocks: Sequence[bytes]) -> Sequence[bool]:
        """Return of which blocks all rows look so; where there is doubt, they do not.

        Args:
            blocks: Whole rows each; several, since the expression is compiled each time.
        """
        if self._misses >= _MOST_MISSES:
            return [False] * len(blocks)
        # One array: for each chunk of several, the expression would be compiled anew.
        together = pa.concat_arrays([cell(data, pa.binary()) for data in blocks])
        held: list[bool] = pc.match_substring_regex(together, self._pattern).to_pylist()
        self._misses = 0 if any(held) else self._misses + 1
        return held


def _cell(form: str | None) -> str:
    return _TEXT if form is None else f'(?:{form}|"(?:{form})?")?'
