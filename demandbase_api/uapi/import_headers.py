"""The headers of import files that are documented: what they say is what is imported.

A header that Demandbase does not know makes a new field of the tenant.
"""

from __future__ import annotations

from demandbase_api.models import FieldMapping


def _headers(entity: str, required: tuple[str, ...], *others: str) -> tuple[FieldMapping, ...]:
    return (
        *(FieldMapping(entity, name, required=True) for name in required),
        *(FieldMapping(entity, name) for name in others),
    )


HEADERS = {
    "accounts": _headers(
        "accounts",
        ("Account Name", "Account Domain"),
        "Owner",
        "Phone Number",
        "Employees",
        "Annual Revenue",
        "Industry",
        "External Account ID",
    ),
    "people": _headers(
        "people",
        ("First Name", "Last Name", "Email", "External Person Id"),
        "Account Name",
        "Account Domain",
        "Person Type",
        "Postal Code",
        "Role",
        "Title",
        "State",
    ),
    "opportunities": _headers(
        "opportunities",
        ("External Opportunity ID", "Opportunity Name", "Account Name", "Account Domain"),
        "Close Date",
        "External Account ID",
        "Opportunity Stage",
        "Opportunity Type",
        "Revenue",
    ),
    "activities": (),
}
"""By entity; those of activities depend on their type."""

IDENTITIES = {
    "accounts": ("External Account ID", "Account Domain", "Account Name"),
    "people": ("External Person Id", "Email"),
    "opportunities": ("External Opportunity ID",),
}
"""By entity, what rows may be matched by: accounts by their id, else by domain and name."""
