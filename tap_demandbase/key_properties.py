"""Which fields identify a record of an entity."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

# By entity, the names that an id goes by, the likeliest first. The contract names no key.
CANDIDATES: dict[str, tuple[str, ...]] = {
    "accounts": ("account_id", "id"),
    "people": ("person_id", "people_id", "id"),
    "opportunities": ("opportunity_id", "id"),
    "activities": ("activity_id", "id"),
    "campaigns": ("campaign_id", "id"),
    "buying_groups": ("buying_group_id", "id"),
}


def guess_key(entity: str, fields: Collection[str]) -> tuple[str, ...]:
    """Return the key of an entity, by its candidates against the fields that exist.

    Args:
        entity: Name of the entity.
        fields: Names of its fields.

    Returns:
        One field, or nothing where no candidate exists.
    """
    singular = entity.removesuffix("s")
    for name in CANDIDATES.get(entity, (f"{singular}_id", f"{entity}_id", "id")):
        if name in fields:
            return (name,)
    return ()
