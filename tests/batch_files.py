"""The records in the files of BATCH messages."""

from __future__ import annotations

from typing import Any

from target_demandbase.batch_files import read_batch


def batch_records(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the records of all files of a message, as the target reads them."""
    found: list[dict[str, Any]] = []
    read_batch(message, None, lambda _: None, found.append, lambda: None)
    return [each["record"] for each in found]
