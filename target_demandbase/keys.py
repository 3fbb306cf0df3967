"""The match keys of a file's rows, and which rows later ones replace."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from target_demandbase.arrow.keys import KeyColumn

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


def identity_key(identity: Sequence[str], cells: Mapping[str, str]) -> str:
    """Return one text for all that a row may be matched by.

    Args:
        identity: The columns; an empty text in place of one that is not there.
        cells: The row's cells by column.

    Returns:
        Empty where all of it is empty.
    """
    return _key([cells.get(column, "") for column in identity])


def identity_keys(
    identity: Sequence[str], columns: Mapping[str, pa.Array], rows: int
) -> Sequence[str]:
    """Return the same for many rows.

    Args:
        identity: The columns; an empty text in place of one that is not there.
        columns: The rows' cells by column.
        rows: How many rows there are.
    """
    cells = [
        columns[column].cast("string").to_pylist() if column in columns else [None] * rows
        for column in identity
    ]
    return [_key([text or "" for text in texts]) for texts in zip(*cells, strict=True)]


def _key(texts: list[str]) -> str:
    return json.dumps(texts, ensure_ascii=False) if any(texts) else ""


def identities(key: str) -> tuple[str, ...]:
    """Return the texts any of which may be what a row of a key is matched by."""
    texts: list[str] = json.loads(key) if key else []
    return tuple(f"{place} {text.strip()}" for place, text in enumerate(texts) if text.strip())
