"""What a user should know about a stream before its rows are sent, one line each.

It is a warning if the run may send something else than is meant, and settings can change that. What
holds for every run, and what a run does as it is told, is information: a warning that returns each
night is not read any more.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from target_demandbase.labels import sent_custom_fields
from target_demandbase.mapping import in_brackets, nearest, same_name, visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demandbase_api.models import ImportEntity
    from target_demandbase.labels import TenantLabels
    from target_demandbase.mapping import ColumnPlan, MappingSettings, StreamSchema


@dataclass(frozen=True, slots=True)
class Remark:
    """A line for the log.

    Args:
        level: Level of the ``logging`` module.
        text: The line.
    """

    level: int
    text: str


def about_entity(stream: StreamSchema, entity: ImportEntity, plan: ColumnPlan) -> Iterator[Remark]:
    """Yield what Demandbase does with the rows of an entity, whatever the settings are."""
    if entity.account_fields:
        names = " or ".join([", ".join(entity.account_fields[:-1]), entity.account_fields[-1]])
        filled = [field for field in plan.fields.values() if field in entity.account_fields]
        here = (
            f"stream {stream.stream} has {', '.join(filled)}"
            if filled
            else f"no column of stream {stream.stream} fills one, so new records have no account"
        )
        yield Remark(
            logging.INFO, f"Demandbase finds the account of {entity.name} by {names}: {here}."
        )
    if entity.fact:
        yield Remark(logging.INFO, entity.fact)


def about_columns(
    stream: StreamSchema, entity: ImportEntity, settings: MappingSettings, plan: ColumnPlan
) -> Iterator[Remark]:
    """Yield what fits, but may not be what the user expects of the columns."""
    named = [*settings.renamed, *sorted(settings.left_out)]
    unused = [column for column in named if column not in stream.schema["properties"]]
    if unused:
        yield Remark(
            logging.WARNING,
            f"field_mappings.{entity.name} names columns that stream {stream.stream} does not "
            f"have: {', '.join(unused)}",
        )
    if plan.dropped:
        yield Remark(
            logging.WARNING,
            f"Columns that Demandbase does not know are not sent: {', '.join(plan.dropped)}",
        )


def about_custom_fields(
    entity: ImportEntity, plan: ColumnPlan, tenant: TenantLabels
) -> Iterator[Remark]:
    """Yield which labels of custom_fields the tenant may not have: it cannot be undone."""
    sent = sent_custom_fields(entity, plan)
    documented = [field.name for field in entity.fields if not field.is_custom]
    setting = f"custom_fields.{entity.name}"
    if tenant.problem is None:
        why = "not among the fields that the tenant exports (those of its Export Collection)"
        unseen = [label for label in sent if label not in tenant.labels]
        near = {label: nearest(label, [*documented, *tenant.labels]) for label in unseen}
    else:
        why = "which differs in spelling only"
        strange = [label for label in sent if label not in tenant.labels]
        meant = {label: same_name(label, documented) for label in strange}
        near = {label: [name] for label, name in meant.items() if name is not None}
        if sent:
            text = f"{setting} is not compared with the fields of the tenant: {tenant.problem}"
            yield Remark(logging.INFO, text)
    if near:
        names = ", ".join(visible(label) + in_brackets(found) for label, found in near.items())
        yield Remark(
            logging.WARNING,
            f"{setting} names {names}, {why}: if the tenant has no field of this label, the import "
            "creates one.",
        )


def about_source(entity: ImportEntity, plan: ColumnPlan, tenant: TenantLabels) -> Iterator[Remark]:
    """Yield how the field mappings of the import's source differ from what is sent."""
    whose = f"the field mappings of the source {tenant.source}"
    if tenant.source_problem is not None:
        yield Remark(
            logging.INFO,
            f"field_mappings.{entity.name} is not compared with {whose}: {tenant.source_problem}",
        )
    if not tenant.mapped:
        return
    fields = {each.label: each.field for each in tenant.mapped}
    sent = list(plan.fields.values())
    free = [label for label in fields if label not in sent]
    unmapped = [label + in_brackets(nearest(label, free)) for label in sent if label not in fields]
    # A label of the source alone may fill any field.
    own = {*tenant.exported.values(), *(each.name for each in entity.fields if not each.is_custom)}
    elsewhere = [
        f"{label} fills {tenant.exported[fields[label]]}"
        for label in sent
        if label in own and tenant.exported.get(fields.get(label, ""), label) != label
    ]
    found = [
        *([f"it does not map {', '.join(unmapped)}"] if unmapped else []),
        *([f"there {', '.join(elsewhere)}"] if elsewhere else []),
    ]
    if found:
        yield Remark(
            logging.WARNING,
            f"What is sent of {entity.name} differs from {whose}: {'; '.join(found)}. Demandbase "
            f"may fill other fields than field_mappings.{entity.name} says: change one of the two.",
        )
