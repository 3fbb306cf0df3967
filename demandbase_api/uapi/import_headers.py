"""The headers of import files that are documented: what they say is what is imported.

A header that Demandbase does not know makes a new field of the tenant.
"""

from __future__ import annotations

from demandbase_api.models import FieldMapping


def _headers(entity: str, *names: str, required: tuple[str, ...]) -> tuple[FieldMapping, ...]:
    return tuple(FieldMapping(entity, name, required=name in required) for name in names)


HEADERS = {
    "accounts": _headers(
        "accounts",
        "Account Name",
        "Account Domain",
        "Owner",
        "Phone Number",
        "Employees",
        "Annual Revenue",
        "Industry",
        "External Account ID",
        required=("Account Domain",),
    ),
    "people": _headers(
        "people",
        "First Name",
        "Last Name",
        "Email",
        "External Person Id",
        "Account Name",
        "Account Domain",
        "Title",
        required=("External Person Id",),
    ),
    "opportunities": _headers(
        "opportunities",
        "External Opportunity ID",
        "Opportunity Name",
        "Account Name",
        "Account Domain",
        "Close Date",
        "Opportunity Stage",
        "Revenue",
        required=("Account Domain",),
    ),
    "activities": (),
}
"""By entity; those of activities depend on their type."""
