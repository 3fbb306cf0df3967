"""What tells rows apart where Demandbase matches them by rules of its own; pure functions.

Two rows that agree in all that it may match them by are surely one record, and the later one can
stand for both. Two that agree in any of it may be one record, and must land in their order.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa


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
