"""Null objects of a flattened stream: what the SDK's flattening leaves out."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from singer_sdk.helpers._flattening import flatten_key

from target_demandbase.schema import json_types

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from singer_sdk.helpers._flattening import FlatteningOptions


class NullParents:
    """Replaces a null object of a flattened record by nulls in the columns that it is flattened to.

    The SDK flattens the objects of a record by their members: an object that is null has none, and
    would leave its columns unchanged.

    Args:
        source: The stream's schema before it was flattened.
        flattened: Its schema.
        options: How it was flattened.
    """

    def __init__(
        self,
        source: Mapping[str, Any],
        flattened: Mapping[str, Any],
        options: FlatteningOptions,
    ) -> None:
        self._options = options
        self._columns: Collection[str] = flattened["properties"]
        properties = source.get("properties", {})
        self._own = properties.keys()
        self._leaves: dict[str, list[str]] = {}
        self._walk(properties, [])

    def replaced(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a record without null objects."""
        leaves = {
            name: found
            for name, value in record.items()
            if value is None and name not in self._columns and (found := self._leaves_of(name))
        }
        if not leaves:
            return record
        nulls = dict.fromkeys(chain.from_iterable(leaves.values()))
        return {**nulls, **{name: value for name, value in record.items() if name not in leaves}}

    def _leaves_of(self, parent: str) -> list[str]:
        if parent not in self._leaves:
            # Of a property that a stream map added; its schema is known only flattened.
            prefix = f"{parent}{self._options.separator}"
            self._leaves[parent] = [
                name for name in self._columns if name.startswith(prefix) and name not in self._own
            ]
        return self._leaves[parent]

    def _walk(self, properties: Mapping[str, Any], parents: list[str]) -> list[str]:
        """Store the columns of each object, and return those of some properties."""
        found: list[str] = []
        for name, rule in properties.items():
            column = flatten_key(
                name,
                parents,
                self._options.separator,
                max_key_length=self._options.max_key_length,
            )
            is_flattened = len(parents) < self._options.max_level and "object" in json_types(rule)
            if is_flattened and isinstance(rule.get("properties"), dict):
                leaves = self._walk(rule["properties"], [*parents, name])
                self._leaves[column] = [leaf for leaf in leaves if leaf in self._columns]
                found += leaves
            else:
                found.append(column)
        return found
