"""A loop with singer-python, as taps were written before the SDK. It casts as the textbook does."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import singer

if TYPE_CHECKING:
    from collections.abc import Callable

CASTS: dict[str, Callable[[str], object]] = {
    "integer": int,
    "number": float,
    "boolean": lambda text: text == "true",
    "string": str,
}


def main() -> None:
    """Write the records of the files that the configuration file names."""
    config = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    stream, schema = config["stream"], config["schema"]
    singer.write_schema(stream, schema, config["key_properties"])
    casts = {name: CASTS[rule["type"][1]] for name, rule in schema["properties"].items()}
    for path in config["paths"]:
        with Path(path).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                record = {name: casts[name](text) if text else None for name, text in row.items()}
                singer.write_record(stream, record)


if __name__ == "__main__":
    main()
