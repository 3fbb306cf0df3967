"""What an import request asks for, checked against the mappings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demandbase_sandbox.refusal import bad_request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from demandbase_sandbox.tenant_schema import TenantEntity


def asked_mapping(
    entity: TenantEntity, operation: str, mappings: Sequence[Mapping[str, str]]
) -> dict[str, str]:
    """Return the field of each CSV column."""
    result: dict[str, str] = {}
    for item in mappings:
        column, name = item["csv_column"], item["demandbase_field"]
        field = entity.field(name)
        if field is None or not field.importable:
            raise bad_request(f"unknown demandbase_field of {entity.name}: {name}")
        if not column:
            raise bad_request(f"the csv_column of {name} is empty")
        if column in result:
            raise bad_request(f"field_mappings names a csv_column twice: {column}")
        if name in result.values():
            raise bad_request(f"field_mappings names a demandbase_field twice: {name}")
        result[column] = name
    if not result:
        raise bad_request("field_mappings is empty")
    required = {item.name for item in entity.fields if item.required and item.importable}
    missing = sorted(required - set(result.values()))
    if missing and operation != "update":
        raise bad_request(f"required fields are not mapped: {', '.join(missing)}")
    return result


def asked_match_key(
    entity: TenantEntity, operation: str, match_key: str | None, mapping: Mapping[str, str]
) -> str:
    """Return the field that rows are matched on; an insert may have none."""
    if match_key is None:
        if operation != "insert":
            raise bad_request(f"{operation} needs a match_key")
        return ""
    field = entity.field(match_key)
    if field is None or not field.key:
        keys = ", ".join(item.name for item in entity.fields if item.key)
        raise bad_request(f"{match_key} is no match_key of {entity.name}; those are {keys}")
    if match_key not in mapping.values():
        raise bad_request(f"match_key is not mapped: {match_key}")
    return match_key
