"""Labels beyond the documented ones: those of custom_fields, and those that the tenant has.

A header that Demandbase does not know creates a field in the tenant. So a label is sent only if it
is documented, or the setting custom_fields names it; what the tenant has is for near names only.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from dataclasses import field as member
from typing import TYPE_CHECKING, Any

from demandbase_api.errors import EXIT_TRY_LATER, ApiError, DemandbaseError
from demandbase_api.models import DEFAULT_SOURCE, FieldMapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from demandbase_api.models import ImportEntity, SourceField
    from demandbase_api.ports import ImportApi
    from target_demandbase.mapping import ColumnPlan


def custom_labels(config: Mapping[str, Any], entity: str) -> tuple[str, ...]:
    """Return the setting custom_fields of an entity."""
    return tuple((config.get("custom_fields") or {}).get(entity) or ())


def with_custom_fields(entity: ImportEntity, labels: Iterable[str]) -> ImportEntity:
    """Return an entity with further fields, by their labels."""
    known = set(entity.field_names)
    custom = (
        FieldMapping(entity.name, label, type="", is_custom=True)
        for label in dict.fromkeys(labels)
        if label not in known
    )
    return replace(entity, fields=(*entity.fields, *custom))


def misspelt_labels(
    entity: ImportEntity, labels: Iterable[str], tenant: TenantLabels
) -> dict[str, str]:
    """Return which labels of custom_fields are another label, spelt otherwise, with that label.

    A label that the tenant has in this very spelling is right.

    Args:
        entity: The entity as documented.
        labels: The labels.
        tenant: What the tenant has.
    """
    right = [*entity.field_names, *tenant.labels]
    # A label with a space at its end cannot be named, so it is not what is meant.
    able = [label for label in right if label == label.strip()]
    by_spelling = {_without_spelling(label): label for label in reversed(able)}
    return {
        label: meant
        for label in labels
        if label not in right and (meant := by_spelling.get(_without_spelling(label))) is not None
    }


def _without_spelling(label: str) -> str:
    """Return a label without case, separators, and characters that cannot be seen.

    Other characters than in a comparison of columns and labels are kept: a tenant may have Revenue
    (EUR) in addition to Revenue.
    """
    text = unicodedata.normalize("NFKC", label).casefold()
    return "".join(each for each in text if each.isprintable() and each not in " _-")


@dataclass(frozen=True)
class TenantLabels:
    """Labels of an entity that the tenant has, as far as they can be read.

    Args:
        exported: Label by name of the field, of the fields that the tenant exports.
        problem: Why these cannot be read.
        source: Name of the source of the import.
        mapped: The source's field mappings.
        source_problem: Why these cannot be read.
    """

    exported: Mapping[str, str] = member(default_factory=dict)
    problem: str | None = None
    source: str = DEFAULT_SOURCE
    mapped: tuple[SourceField, ...] = ()
    source_problem: str | None = None

    @property
    def labels(self) -> list[str]:
        """All labels."""
        return [*dict.fromkeys([*self.exported.values(), *self.source_labels])]

    @property
    def source_labels(self) -> list[str]:
        """Labels of the source."""
        return [each.label for each in self.mapped]


def source_labels(api: ImportApi, entity: str, source: str) -> TenantLabels:
    """Read the field mappings of the source of an import. A failure is no error."""
    found = TenantLabels(source=source)
    if source == DEFAULT_SOURCE:
        return found
    try:
        return replace(found, mapped=api.source_fields(entity, source))
    except ApiError as error:
        # Not even a 401 is about other calls: the Custom Sources API has no 403.
        return replace(found, source_problem=str(error))


def with_exported(known: TenantLabels, api: ImportApi, entity: str) -> TenantLabels:
    """Read the fields that the tenant exports, too. A failure is no error."""
    try:
        found = api.tenant_fields(entity)
    except DemandbaseError as error:
        return replace(known, problem=_problem(error))
    return replace(known, exported={field.name: field.label for field in found if field.label})


def _problem(error: DemandbaseError) -> str:
    """Return the sentence of an error that may be about one call only.

    Raises:
        DemandbaseError: All calls of the import would meet it. Used up calls are those of exports.
    """
    if error.ends_run and error.exit_code != EXIT_TRY_LATER:
        raise error
    return str(error)


def with_tenant_labels(entity: ImportEntity, tenant: TenantLabels) -> ImportEntity:
    """Return an entity with the labels of the tenant that no setting has named yet."""
    known = set(entity.field_names)
    others = tuple(label for label in tenant.labels if label not in known)
    return replace(entity, others=others)


def sent_custom_fields(entity: ImportEntity, plan: ColumnPlan) -> tuple[str, ...]:
    """Return the labels that are sent because the setting custom_fields names them."""
    custom = {field.name for field in entity.fields if field.is_custom}
    return tuple(field for field in plan.fields.values() if field in custom)
