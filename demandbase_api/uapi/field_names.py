"""From ``{Account}.name`` to the name of a property; pure functions.

The rule: ``{Account}.name`` is ``name`` within accounts and ``account_name`` elsewhere; a name
without braces stays as it is. Where two fields of an entity would be called the same (upper and
lower case are no difference, as in most databases), the entity's own field goes first, then the
one whose API name sorts first; the others get ``_2``, ``_3`` and so on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_OF_ENTITY = re.compile(r"\{([^{}]+)\}\.(.+)", re.DOTALL)
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def property_names(api_names: Iterable[str], entity_type: str) -> dict[str, str]:
    """Return the property of each field, whatever order they come in.

    Args:
        api_names: The fields of one entity, as jobs call them.
        entity_type: The API's word for the entity.
    """
    ordered = sorted(set(api_names), key=lambda name: (not is_own(name, entity_type), name))
    taken: set[str] = set()
    names: dict[str, str] = {}
    for api_name in ordered:
        wanted = name = _wanted(api_name, entity_type)
        number = 1
        while name.casefold() in taken:
            number += 1
            name = f"{wanted}_{number}"
        taken.add(name.casefold())
        names[api_name] = name
    return names


def is_own(api_name: str, entity_type: str) -> bool:
    """Return whether a field is of the entity itself."""
    found = _OF_ENTITY.fullmatch(api_name)
    return found is None or found[1].casefold() == entity_type.casefold()


def _wanted(api_name: str, entity_type: str) -> str:
    found = _OF_ENTITY.fullmatch(api_name)
    if found is None:
        return api_name
    entity, name = found.groups()
    if entity.casefold() == entity_type.casefold():
        return name
    return f"{_WORD_START.sub('_', entity).lower()}_{name}"
