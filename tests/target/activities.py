"""Activities, which both APIs add each time that they get them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from demandbase_sandbox import Sandbox
from tests.target.conftest import record, schema, state

TEXT = {"type": ["string", "null"]}
FIXED = {
    "v1": {"activity_type": "email"},
    "uapi": {"person_id": "per-00000001", "activity_at": "2026-01-02T03:04:05Z"},
}
LABELS = {
    "person_id": "External Person Id", "activity_at": "Activity Date", "subject": "Subject",
    "channel": "Channel",
}  # fmt: skip


class Activities:
    """Activities, which have no key, and their settings."""

    def __init__(self, sandbox: Sandbox, api: str, config: dict[str, Any]) -> None:
        self._sandbox = sandbox
        self._fixed = FIXED[api]
        self.settings = {**config, "batch_size_rows": 3}
        if api == "v1":
            self.settings["operation"] = "insert"
        else:
            self.settings |= {
                "field_mappings": {"activities": LABELS}, "activity_types": {"activities": 39}
            }  # fmt: skip

    def messages(self, rows: int, value: int = 1) -> list[dict[str, Any]]:
        """Messages with some activities and a state."""
        return [self.head, *(self.row(number) for number in range(rows)), state(value)]

    @property
    def head(self) -> dict[str, Any]:
        columns = dict.fromkeys((*self._fixed, "subject", "channel"), TEXT)
        return {**schema(columns, "activities"), "key_properties": []}

    def row(self, number: int) -> dict[str, Any]:
        return record("activities", **self._fixed, subject=f"row {number}", channel="fresh")

    @property
    def landed(self) -> Counter[str]:
        """How often each activity is in the tenant, by subject."""
        rows = self._sandbox.rows("activities")
        return Counter(str(row["subject"]) for row in rows if row["channel"] == "fresh")


def once(rows: int) -> Counter[str]:
    """``landed`` if the first rows are in the tenant once each."""
    return Counter({f"row {number}": 1 for number in range(rows)})
