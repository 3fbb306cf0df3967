"""The activity types of a tenant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from demandbase_sandbox.exceptions import bad_request, not_found
from demandbase_sandbox.uapi.schemas import (
    ActivityFieldBody,
    ActivityType,
    ActivityTypeBody,
    CustomActivity,
    CustomActivityData,
    CustomActivityField,
    CustomActivityType,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

FIRST_ID = 37
SAMPLE_TYPES = ("web_visit", "email_open", "form_fill", "event", "ad_click")
"""Types of the sample tenant's activities."""

_FIELDS = (("External Person Id", "string"), ("Activity Date", "date"))
_DIGITS = 18


class ActivityTypes:
    """Activity types by their ids. Callers hold the store's lock."""

    def __init__(self) -> None:
        self._types: dict[int, CustomActivityData] = {}
        self.clear()

    def clear(self) -> None:
        """Return to the types of the sample tenant."""
        self._types = {
            number: _type(name, name.replace("_", " ").capitalize())
            for number, name in enumerate(SAMPLE_TYPES, FIRST_ID)
        }

    def all(self) -> list[CustomActivityType]:
        """Return all types."""
        return [
            CustomActivityType(
                id=number,
                name=found.activity_type.name,
                description=found.activity_type.description,
                activity_source="CSV",
            )
            for number, found in self._types.items()
        ]

    def name_of(self, number: int) -> str | None:
        """Return the name of a type; ``None`` if the id is unknown."""
        found = self._types.get(number)
        return None if found is None else found.activity_type.name

    def get(self, identifier: str) -> CustomActivityData:
        """Return a type with its fields. An identifier is an id.

        Raises:
            ApiError: 400 or 404.
        """
        return self._types[self._number(identifier)]

    def create(self, body: ActivityTypeBody) -> ActivityType:
        """Add a type.

        Raises:
            ApiError: 400: the name is in use.
        """
        return self._put(max(self._types) + 1, body)

    def update(self, identifier: str, body: ActivityTypeBody) -> ActivityType:
        """Replace a type.

        Raises:
            ApiError: 400 or 404.
        """
        return self._put(self._number(identifier), body)

    def _put(self, number: int, body: ActivityTypeBody) -> ActivityType:
        activity = body.activity_type
        name = activity.name or re.sub(r"\W+", "_", activity.label.lower()).strip("_") or "activity"
        if any(self.name_of(other) == name for other in self._types if other != number):
            raise bad_request(f"there is an activity type of this name: {name}")
        self._types[number] = _type(name, activity.label, activity.description or "", body.fields)
        return ActivityType(id=number, label=activity.label)

    def _number(self, identifier: str) -> int:
        if not (identifier.isascii() and identifier.isdigit() and len(identifier) <= _DIGITS):
            raise bad_request("an activity type is named by its id")
        if int(identifier) not in self._types:
            raise not_found("there is no such activity type")
        return int(identifier)


def _type(
    name: str, label: str, description: str = "", more: Iterable[ActivityFieldBody] = ()
) -> CustomActivityData:
    default = (
        CustomActivityField(
            field_name=field,
            field_data_type=kind,
            default_field=True,
            is_required_for_csv_import=True,
        )
        for field, kind in _FIELDS
    )
    return CustomActivityData(
        activity_type=CustomActivity(name=name, label=label, description=description),
        fields=[*default, *(CustomActivityField.model_validate(field) for field in more)],
    )
