"""What the headers of an import file mean: display labels, and what becomes of unknown ones."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from demandbase_sandbox.tenant_schema import TenantField
from demandbase_sandbox.uapi.labels import STANDARD, label_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demandbase_sandbox.store import Store

REQUIRED = {
    "accounts": ("Account Name", "Account Domain"),
    "people": ("First Name", "Last Name", "Email", "External Person Id"),
    "opportunities": (
        "External Opportunity ID", "Opportunity Name", "Account Name", "Account Domain",
    ),
    "activities": ("External Person Id", "Activity Date"),
}  # fmt: skip
"""Headers that a file must have, and cells that a row must fill."""

ACCOUNT_REFERENCE = ("External Account ID", "Account Domain", "Account Name")
"""Headers by which rows of other entities name their account, the first that matches."""

_MADE_UP = {"activities": frozenset({"activity_id", "account_id", "activity_type"})}
"""Fields that the tenant fills itself, whatever a file says."""


@dataclass(frozen=True, slots=True)
class ImportColumn:
    """A column: the field that it fills, or ``None`` where it fills none."""

    header: str
    field: TenantField | None


def import_columns(
    store: Store, entity_name: str, headers: Sequence[str], created: list[str]
) -> list[ImportColumn]:
    """Return what the headers mean; an unknown one creates a field and is put on ``created``.

    Labels are compared as they stand, case and blanks included. A column for a field that the
    tenant fills itself is ignored.
    """
    entity = store.entities[entity_name]
    by_label = {label_of(entity_name, field): field for field in entity.fields}
    standard = {label: name for name, label in STANDARD[entity_name].items()}
    columns = []
    for header in headers:
        field = by_label.get(header)
        if entity_name != "accounts" and header in ACCOUNT_REFERENCE:
            columns.append(ImportColumn(header, None))
            continue
        if field is None:
            name = standard.get(header) or _free_name(header, {*store.entities[entity_name].names})
            field = TenantField(name, "string", label=header, importable=True)
            store.add_field(entity_name, field)
            by_label[header] = field
            if header not in standard:
                created.append(header)
        if not field.importable or field.name in _MADE_UP.get(entity_name, ()):
            field = None
        columns.append(ImportColumn(header, field))
    return columns


def _free_name(label: str, taken: set[str]) -> str:
    stem = re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_") or "field"
    name, number = stem, 2
    while name in taken:
        name, number = f"{stem}_{number}", number + 1
    return name
