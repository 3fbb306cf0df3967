"""The match keys of a file's rows, and which rows later ones replace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from target_demandbase.blocks.key_column import KeyColumn

    Keys = Sequence[str] | KeyColumn


def key_texts(keys: Keys) -> Sequence[str]:
    """Return each key of some rows."""
    return keys if isinstance(keys, Sequence) else keys.texts()


class RowKeys:
    """The match keys of the rows of a file, in their order."""

    def __init__(self) -> None:
        self._keys: list[str | KeyColumn] = []

    def add(self, keys: Keys) -> None:
        """Note the keys of the next rows, an empty text where one has none."""
        if isinstance(keys, Sequence):
            self._keys += keys
        else:
            self._keys.append(keys)

    def __iter__(self) -> Iterator[str]:
        """Yield the key of each row, an empty text where it has none."""
        for each in self._keys:
            if isinstance(each, str):
                yield each
            else:
                yield from each.texts()

    def superseded(self) -> list[int]:
        """Return the rows that a later one of their key replaces, in order."""
        columns = [each for each in self._keys if not isinstance(each, str)]
        if columns:
            texts = [each for each in self._keys if isinstance(each, str) and each]
            if columns[0].are_distinct(columns[1:], texts):
                return []
        keys = list(self)
        last_rows = {key: row for row, key in enumerate(keys)}
        return [row for row, key in enumerate(keys) if key and last_rows[key] != row]
