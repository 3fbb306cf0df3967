"""Match keys of rows, and which rows are superseded by later ones of the same key."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from target_demandbase.arrow.keys import KeyColumn

    Keys = Sequence[str] | KeyColumn


_NUMBER = re.compile(r"([+-]?)(\d+)(?:\.(\d*))?", re.ASCII)


def number_key(text: str) -> str:
    """Return a key so that equal numbers are equal texts: without zeros that mean nothing."""
    number = _NUMBER.fullmatch(text.strip())
    if number is None:
        return text
    sign, whole = number[1], number[2].lstrip("0") or "0"
    fraction = (number[3] or "").rstrip("0")
    value = f"{whole}.{fraction}" if fraction else whole
    return f"-{value}" if sign == "-" and value != "0" else value


def key_texts(keys: Keys) -> Sequence[str]:
    """Return the keys of some rows as texts."""
    return keys if isinstance(keys, Sequence) else keys.texts()


class RowKeys:
    """The match keys of the rows of a file, in order."""

    def __init__(self) -> None:
        self._keys: list[str | KeyColumn] = []

    def add(self, keys: Keys) -> None:
        """Add the keys of the next rows, an empty text for a row without one."""
        if isinstance(keys, Sequence):
            self._keys += keys
        else:
            self._keys.append(keys)

    def __iter__(self) -> Iterator[str]:
        """Yield the key of each row, an empty text for a row without one."""
        for each in self._keys:
            if isinstance(each, str):
                yield each
            else:
                yield from each.texts()

    def first(self, rows: int) -> RowKeys:
        """Return the keys of the first rows."""
        keys = RowKeys()
        keys.add([*islice(self, rows)])
        return keys

    def superseded(self) -> list[int]:
        """Return the indexes of the rows that a later row of the same key supersedes."""
        columns = [each for each in self._keys if not isinstance(each, str)]
        if columns:
            texts = [each for each in self._keys if isinstance(each, str) and each]
            if columns[0].are_distinct(columns[1:], texts):
                return []
        keys = list(self)
        last_rows = {key: row for row, key in enumerate(keys)}
        return [row for row, key in enumerate(keys) if key and last_rows[key] != row]


def identity_key(identity: Sequence[str], values: Mapping[str, str]) -> str:
    """Return one text for all values that a row may be matched by; empty if all are empty.

    Args:
        identity: The columns; an empty text in place of a missing one.
        values: The row's values by column.
    """
    return _key([values.get(column, "") for column in identity])


def identity_keys(
    identity: Sequence[str], columns: Mapping[str, pa.Array], rows: int
) -> Sequence[str]:
    """Return the identity key of each of many rows.

    Args:
        identity: The columns; an empty text in place of a missing one.
        columns: The rows' values by column.
        rows: Number of rows.
    """
    values = [
        columns[column].cast("string").to_pylist() if column in columns else [None] * rows
        for column in identity
    ]
    return [_key([text or "" for text in texts]) for texts in zip(*values, strict=True)]


def _key(texts: list[str]) -> str:
    return json.dumps(texts, ensure_ascii=False) if any(texts) else ""


def identities(key: str) -> tuple[str, ...]:
    """Return the values of an identity key, each with its place: a row may be matched by any."""
    texts: list[str] = json.loads(key) if key else []
    return tuple(f"{place} {text.strip()}" for place, text in enumerate(texts) if text.strip())
