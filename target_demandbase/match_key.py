"""Which field the rows of a stream are matched on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demandbase_api.models import ImportOperation

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


def match_key_for(setting: str | None, key_fields: Sequence[str]) -> str | None:
    """Return the field: by the setting match_keys, else the stream's single key.

    Args:
        setting: The setting match_keys for the stream's entity.
        key_fields: The fields that the stream's key properties fill.

    Returns:
        None where neither says.
    """
    return setting or (key_fields[0] if len(key_fields) == 1 else None)


def match_key_problem(
    entity: str,
    operation: ImportOperation,
    match_key: str | None,
    key_fields: Sequence[str],
    filled: Collection[str],
) -> str:
    """Return what is wrong with a match key, as a clause; empty where nothing is.

    Args:
        entity: Where the stream goes.
        operation: What the import does; only insert can do without a match key.
        match_key: The match key.
        key_fields: The fields that the stream's key properties fill.
        filled: The fields that the stream fills.
    """
    choice = f"set match_keys.{entity} to one of {', '.join(sorted(filled))}" if filled else ""
    hint = f" ({choice})" if choice else ""
    if match_key is not None:
        return "" if match_key in filled else f"no column fills the match key {match_key}{hint}"
    if operation is ImportOperation.INSERT:
        return ""
    has = f"the keys {', '.join(key_fields)}" if key_fields else "no key"
    return f"it has {has}, and one field must be chosen to match rows on{hint}"
