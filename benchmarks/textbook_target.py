"""A textbook SDK target: a ``BatchSink`` that appends its batches to a CSV file."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import Target
from singer_sdk import typing as th
from singer_sdk.sinks import BatchSink
from typing_extensions import override

if TYPE_CHECKING:
    from singer_sdk.helpers.types import Context


class CsvSink(BatchSink):
    """A stream's file."""

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
    TextbookTarget.cli()
