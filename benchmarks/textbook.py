"""A tap and a target as the SDK's documentation teaches them, in the plugins' environment.

The tap casts its values: a tap that sends only strings would do less work.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import Stream, Tap, Target
from singer_sdk import typing as th
from singer_sdk.sinks import BatchSink
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


LOOSE_CASTS: dict[str, Callable[[str], object]] = {
    **CASTS,
    "integer": lambda text: int(text) if text.lstrip("-").isdigit() else int(float(text)),
    "boolean": lambda text: text.lower() in {"true", "yes"},
}
"""For 5.0, 2E3, TRUE and yes."""


class CsvStream(Stream):
    """Rows of CSV files: ``csv.DictReader``, one record at a time, the SDK's writer."""

    @override
    def get_records(self, context: Context | None) -> Iterable[dict[str, Any]]:
        properties = self.schema["properties"]
        known = LOOSE_CASTS if self.config.get("is_loose") else CASTS
        casts = {name: known[rule["type"][1]] for name, rule in properties.items()}
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
        th.Property("is_loose", th.BooleanType),
    ).to_dict()

    @override
    def discover_streams(self) -> list[Stream]:
        stream = CsvStream(self, schema=self.config["schema"], name=self.config["stream"])
        stream.primary_keys = self.config["key_properties"]
        return [stream]


class CsvSink(BatchSink):
    """Appends the batches of a stream to a CSV file."""

    @override
    def process_batch(self, context: Context) -> None:
        path = Path(self.config["path"])
        is_new = not path.exists()
        with path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(self.schema["properties"]), extrasaction="ignore")
            if is_new:
                writer.writeheader()
            writer.writerows(context["records"])


class TextbookTarget(Target):
    """The target."""

    name = "textbook-target"
    default_sink_class = CsvSink
    config_jsonschema: ClassVar[dict[str, Any]] = th.PropertiesList(
        th.Property("path", th.StringType, required=True),
        th.Property("add_record_metadata", th.BooleanType, default=False),
    ).to_dict()


if __name__ == "__main__":
    # Arguments: tap or target, then those of the plugin.
    if sys.argv.pop(1) == "tap":
        TextbookTap.cli()
    else:
        TextbookTarget.cli()
