"""Which kind of activity a stream's records are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from target_demandbase.errors import MappingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from demandbase_api.models import ActivityType
    from demandbase_api.ports import ImportApi

ACTIVITIES = "activities"
_SHOWN = 20


def activity_type_for(
    api: ImportApi, config: Mapping[str, Any], stream: str, entity: str
) -> int | None:
    """Return the id of the activity type that a stream's imports name; ``None`` for no type.

    Args:
        api: Knows the types.
        config: The settings.
        stream: The stream.
        entity: Where it goes.

    Raises:
        MappingError: The setting activity_types names none, or none that there is.
    """
    if entity != ACTIVITIES or not api.capabilities.activity_types:
        return None
    wanted = (config.get("activity_types") or {}).get(stream)
    known = api.activity_types()
    found = [] if wanted is None else _found(known, wanted)
    if len(found) == 1:
        return found[0].id
    if wanted is None:
        problem = "must name the type of its activities"
    elif found:
        problem = "names an activity type by a name that several have: name it by its id"
    else:
        problem = "names an activity type that there is not"
    some = ", ".join(f"{kind.name} ({kind.id})" for kind in known[:_SHOWN]) or "none"
    more = " and more" if len(known) > _SHOWN else ""
    raise MappingError(
        f"Stream {stream} goes to {ACTIVITIES}: the setting activity_types {problem}. Set it to "
        f'{{"{stream}": <id or name>}}; there are {some}{more}.',
        stream=stream,
    )


def _found(known: Sequence[ActivityType], wanted: str | int) -> list[ActivityType]:
    text = str(wanted).strip()
    by_id = [kind for kind in known if str(kind.id) == text]
    return by_id or [kind for kind in known if kind.name == text]
