"""Which entity a stream goes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from demandbase_api.errors import ConfigurationError
from target_demandbase.errors import RoutingError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


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


def check_entities(config: Mapping[str, Any], entities: Collection[str]) -> None:
    """Check the settings that name entities.

    Raises:
        ConfigurationError: Some name an entity that cannot be imported; the one message names all.
    """
    named = [
        *(
            (f"entity_map.{stream}", entity)
            for stream, entity in (config.get("entity_map") or {}).items()
        ),
        *(("match_keys", entity) for entity in config.get("match_keys") or {}),
        *(("field_mappings", entity) for entity in config.get("field_mappings") or {}),
    ]
    problems = [f"{setting} names {entity}" for setting, entity in named if entity not in entities]
    if problems:
        raise ConfigurationError(
            f"No such entity can be imported: {'; '.join(problems)}. "
            f"Change it to one of {', '.join(sorted(entities))}."
        )
