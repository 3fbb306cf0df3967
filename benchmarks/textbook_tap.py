"""A textbook SDK tap: ``csv.DictReader``, one record at a time, the default writer.

Its cells are cast, since a tap that sends only text would not do the same work.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import Stream, Tap
from singer_sdk import typing as th
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from singer_sdk.helpers.types import Context

CASTS: dict[str, Callable[[str], object]] = {
    "integer": int,
    "number": float,
    "boolean": lambda text: text == "true",
    "string": str,
}


class CsvStream(Stream):
    """The rows of some CSV files."""

    @override
    def get_records(self, context: Context | None) -> Iterable[dict[str, Any]]:
        properties = self.schema["properties"]
        casts = {name: CASTS[rule["type"][1]] for name, rule in properties.items()}
        for path in self.config["paths"]:
            with Path(path).open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    yield {name: casts[name](text) if text else None for name, text in row.items()}


class TextbookTap(Tap):
    """The tap."""

    name = "textbook-tap"
    config_jsonschema: ClassVar[dict[str, Any]] = th.PropertiesList(
        th.Property("stream", th.StringType, required=True),
        th.Property("schema", th.ObjectType(additional_properties=True), required=True),
        th.Property("key_properties", th.ArrayType(th.StringType), required=True),
        th.Property("paths", th.ArrayType(th.StringType), required=True),
    ).to_dict()

    @override
    def discover_streams(self) -> list[Stream]:
        stream = CsvStream(self, schema=self.config["schema"], name=self.config["stream"])
        stream.primary_keys = self.config["key_properties"]
        return [stream]


if __name__ == "__main__":
    TextbookTap.cli()
