"""The activity types of a tenant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from demandbase_sandbox.exceptions import RefusalError, bad_request, not_found

if TYPE_CHECKING:
    from demandbase_sandbox.uapi.schemas import ActivityTypeBody

FIRST_ID = 37
SAMPLE_TYPES = ("web_visit", "email_open", "form_fill", "event", "ad_click")
"""Those that occur in the sample tenant's activities."""

_FIELDS = (("External Person Id", "string"), ("Activity Date", "date"))
_DIGITS = 18


class ActivityTypes:
    """Activity types by their ids. Whoever calls holds the store's lock."""

    def __init__(self) -> None:
        self._types: dict[int, dict[str, Any]] = {}
        self.clear()

    def clear(self) -> None:
        """Return to those of the sample tenant."""
        self._types = {
            number: _type(name, name.replace("_", " ").capitalize())
            for number, name in enumerate(SAMPLE_TYPES, FIRST_ID)
        }

    def all(self) -> list[dict[str, Any]]:
        """Return all types as the list shows them."""
        return [
            {
                "id": number,
                "name": found["name"],
                "description": found["description"],
                "activitySource": "CSV",
            }
            for number, found in self._types.items()
        ]

    def name_of(self, number: int) -> str | None:
        """Return the name of a type, if there is one of this id."""
        found = self._types.get(number)
        return None if found is None else str(found["name"])

    def get(self, identifier: str) -> dict[str, Any]:
        """Return a type with its fields; an identifier is an id.

        Raises:
            RefusalError: 400 or 404.
        """
        found = self._types[self._number(identifier)]
        names = ("name", "label", "description")
        return {"activityType": {name: found[name] for name in names}, "fields": found["fields"]}

    def create(self, body: ActivityTypeBody) -> dict[str, Any]:
        """Add a type.

        Raises:
            RefusalError: 400: its name is taken.
        """
        number = max(self._types) + 1
        self._types[number] = self._asked(body, None)
        return {"id": number, "label": body.activityType.label}

    def update(self, identifier: str, body: ActivityTypeBody) -> dict[str, Any]:
        """Change a type.

        Raises:
            RefusalError: 400 or 404.
        """
        number = self._number(identifier)
        self._types[number] = self._asked(body, number)
        return {"id": number, "label": body.activityType.label}

    def _asked(self, body: ActivityTypeBody, own: int | None) -> dict[str, Any]:
        asked = body.activityType
        name = asked.name or re.sub(r"\W+", "_", asked.label.lower()).strip("_") or "activity"
        if any(found["name"] == name for number, found in self._types.items() if number != own):
            raise bad_request(f"there is an activity type of this name: {name}")
        known = _type(name, asked.label, asked.description or "")
        known["fields"] += [field.model_dump() for field in body.fields]
        return known

    def _number(self, identifier: str) -> int:
        if not (identifier.isascii() and identifier.isdigit() and len(identifier) <= _DIGITS):
            raise bad_request("an activity type is named by its id")
        if int(identifier) not in self._types:
            raise not_found("there is no such activity type")
        return int(identifier)


def missing_type(number: int) -> RefusalError:
    """Return the refusal of a job whose activity type does not exist."""
    return bad_request(f"there is no activity type {number}")


def _type(name: str, label: str, description: str = "") -> dict[str, Any]:
    fields = [
        {
            "fieldName": field,
            "fieldDataType": kind,
            "defaultField": True,
            "isRequiredForCsvImport": True,
        }
        for field, kind in _FIELDS
    ]
    return {"name": name, "label": label, "description": description, "fields": fields}
