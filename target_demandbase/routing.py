"""Which entity a stream goes to, and which field its rows are matched on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demandbase_api.models import ImportOperation
from target_demandbase.errors import MappingError, RoutingError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence


def entity_for(stream: str, entity_map: Mapping[str, str], entities: Collection[str]) -> str:
    """Return the entity of a stream: by the setting entity_map, else by its name.

    Raises:
        RoutingError: There is none.
    """
    entity = entity_map.get(stream, stream)
    if entity not in entities:
        known = ", ".join(sorted(entities))
        raise RoutingError(
            f"Stream {stream} goes to no entity that can be imported ({known}). "
            f'Set entity_map to {{"{stream}": "<entity>"}}, or deselect the stream in the tap.',
            stream=stream,
        )
    return entity


def match_key_for(
    stream: str,
    operation: ImportOperation,
    setting: str | None,
    key_fields: Sequence[str],
) -> str | None:
    """Return the field that rows are matched on.

    Args:
        stream: Name of the stream, for messages.
        operation: What the import does; only insert can do without a match key.
        setting: The setting match_keys for the stream's entity.
        key_fields: The fields that the stream's key properties fill.

    Raises:
        MappingError: It is not known which field to take.
    """
    if setting:
        return setting
    if len(key_fields) == 1:
        return key_fields[0]
    if operation is ImportOperation.INSERT:
        return None
    has = f"the keys {', '.join(key_fields)}" if key_fields else "no key"
    raise MappingError(
        f"Stream {stream} has {has}, and one field must be chosen to match rows on. "
        "Set match_keys to {entity: field}.",
        stream=stream,
    )
