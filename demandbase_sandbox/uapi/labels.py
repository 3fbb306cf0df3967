"""What people read: the labels of fields, which are the headers of import files."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from demandbase_sandbox.tenant_schema import TenantField

LABELS = {
    "accounts": {
        "account_id": "External Account ID",
        "name": "Account Name",
        "domain": "Account Domain",
        "employee_count": "Employees",
        "owner": "Owner",
        "phone_number": "Phone Number",
    },
    "people": {
        "person_id": "External Person Id",
        "account_id": "External Account ID",
        "phone": "Phone Number",
    },
    "opportunities": {
        "opportunity_id": "External Opportunity ID",
        "account_id": "External Account ID",
        "name": "Opportunity Name",
        "stage": "Opportunity Stage",
        "amount": "Revenue",
        "owner": "Owner",
    },
    "activities": {
        "person_id": "External Person Id",
        "account_id": "External Account ID",
        "activity_at": "Activity Date",
    },
}
"""Documented labels by the tenant's entity and field; others follow from the field's name."""

STANDARD = {
    "accounts": {"owner": "Owner", "phone_number": "Phone Number"},
    "people": {},
    "opportunities": {"owner": "Owner"},
    "activities": {},
}
"""Documented headers for which the sample tenant has no field: it gets one with the first use."""


def label_of(entity: str, field: TenantField) -> str:
    """Return the label of a field."""
    known = field.label or LABELS.get(entity, {}).get(field.name)
    return known or " ".join(word.capitalize() for word in field.name.split("_"))
