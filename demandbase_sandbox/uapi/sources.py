"""The sources that imports can name, and the field mappings of custom ones."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from demandbase_sandbox.exceptions import bad_request, not_found
from demandbase_sandbox.uapi.entities import IMPORT_ENTITIES
from demandbase_sandbox.uapi.schemas import FieldMappingDTO, GetSourcesResponse, SourceItem

if TYPE_CHECKING:
    from collections.abc import Mapping

CSV = "CSV"

OBJECT_TYPES = {"account": "accounts", "person": "people"}
"""Object types of field mappings, and the tenant's entities."""

GROUPS = ("custom", "standard", "all")


@dataclass(frozen=True, slots=True)
class Source:
    """A source.

    Args:
        group: Its source group.
        entity_types: Entity types of imports that can name it.
        mappings: By object type, the name of the tenant's field by label of the source.
    """

    id: int
    name: str
    description: str
    group: str
    priority: int
    entity_types: tuple[str, ...] = tuple(IMPORT_ENTITIES)
    mappings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


SAMPLE_SOURCES = (
    Source(1, CSV, "Files that are uploaded.", "standard", 0),
    Source(
        2,
        "HubSpot",
        "Companies and contacts of HubSpot.",
        "custom",
        50,
        mappings={
            "account": {"Account Name": "name", "Account Domain": "domain", "Segment": "segment"},
            "person": {
                "First Name": "first_name",
                "Last Name": "last_name",
                "Email": "email",
                "External Person Id": "person_id",
                "Job Title": "title",
                "hs_score": "lead_score",
            },
        },
    ),
    Source(3, "Webinars", "Who attended.", "custom", 51, entity_types=("Person", "Activity")),
)
"""Sources of the sample tenant."""


class TenantSources:
    """Sources by their ids. Callers hold the store's lock."""

    def __init__(self) -> None:
        self._sources: dict[int, Source] = {}
        self.clear()

    def clear(self) -> None:
        """Return to those of the sample tenant."""
        self._sources = {source.id: source for source in SAMPLE_SOURCES}

    def names(self, entity_type: str) -> list[str]:
        """Return the names that an import into an entity type can have."""
        return [each.name for each in self._sources.values() if entity_type in each.entity_types]

    def page(self, group: str | None, number: int, size: int) -> GetSourcesResponse:
        """Return a page of the sources.

        Raises:
            ApiError: 400.
        """
        if group is not None and group not in GROUPS:
            raise bad_request(f"group is one of {', '.join(GROUPS)}")
        if number < 1 or size < 1:
            raise bad_request("page and perPage are positive numbers")
        found = [each for each in self._sources.values() if group in {None, "all", each.group}]
        start = (number - 1) * size
        return GetSourcesResponse(
            total_count=len(found), data=[_item(each) for each in found[start : start + size]]
        )

    def get(self, number: int) -> SourceItem:
        """Return a source.

        Raises:
            ApiError: 404.
        """
        return _item(self._source(number))

    def mappings(
        self, number: int, object_type: str, types: Mapping[str, Mapping[str, str]]
    ) -> list[FieldMappingDTO]:
        """Return the field mappings of a source; none if an administrator has mapped nothing.

        Args:
            number: Id of the source.
            object_type: ``account`` or ``person``.
            types: Types of the tenant's fields by name, by entity.

        Raises:
            ApiError: 400 or 404.
        """
        if object_type not in OBJECT_TYPES:
            raise bad_request(f"object_type is one of {', '.join(OBJECT_TYPES)}")
        kinds = types[OBJECT_TYPES[object_type]]
        return [
            FieldMappingDTO(
                source_field_label=label, demandbase_field_name=name, data_type=kinds.get(name, "")
            )
            for label, name in self._source(number).mappings.get(object_type, {}).items()
        ]

    def map_fields(self, name: str, object_type: str, mappings: Mapping[str, str]) -> None:
        """Replace the field mappings of a source.

        Raises:
            KeyError: There is no such source or object type.
        """
        _ = OBJECT_TYPES[object_type]
        source = self._by_name()[name]
        self._sources[source.id] = replace(
            source, mappings={**source.mappings, object_type: dict(mappings)}
        )

    def labels(self, name: str, entity: str) -> Mapping[str, str]:
        """Return the name of the field by label, for the imports of a source into an entity."""
        kinds = {entity: object_type for object_type, entity in OBJECT_TYPES.items()}
        return self._by_name()[name].mappings.get(kinds.get(entity, ""), {})

    def _by_name(self) -> dict[str, Source]:
        return {source.name: source for source in self._sources.values()}

    def _source(self, number: int) -> Source:
        if number not in self._sources:
            raise not_found("there is no such source")
        return self._sources[number]


def _item(source: Source) -> SourceItem:
    return SourceItem(
        id=source.id,
        name=source.name,
        description=source.description,
        source_group=source.group,
        priority=source.priority,
    )
