"""One staged file on its way to one import job."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from demandbase_api.jobs.import_journal import ImportFile

if TYPE_CHECKING:
    from demandbase_api.models import ImportRequest
    from target_demandbase.staging import StagedFile
    from target_demandbase.stream_plan import StreamPlan

_FINGERPRINT_CHARACTERS = 32


@dataclass(frozen=True)
class Shipment:
    """A file, where it goes, and the batch that it belongs to.

    Args:
        plan: The stream's plan.
        staged: The file.
        batch: Number of the batch.
        keys: Digests of the match keys in it.
    """

    plan: StreamPlan
    staged: StagedFile
    batch: int
    keys: frozenset[int]

    @property
    def request(self) -> ImportRequest:
        """What to ask for."""
        return self.plan.request(self.staged.columns)

    def file(self, origin: str) -> ImportFile:
        """Return the file as the job gets it.

        Args:
            origin: The API that it is sent to: the same file means another thing elsewhere.
        """
        fingerprint = _fingerprint(origin, self.request, self.staged.sha256())
        stream = re.sub(r"[^A-Za-z0-9_.-]+", "-", self.plan.stream)[:80]
        return ImportFile(
            name=f"{stream}-{fingerprint}.csv",
            fingerprint=fingerprint,
            stream=self.plan.stream,
            rows=self.staged.rows,
            open=self.staged.open,
            is_replay=self.plan.is_replay,
        )

    def halves(self) -> tuple[Shipment, Shipment]:
        """Return two shipments of half of the rows each, in order."""
        first, second = self.staged.halves()
        return (
            Shipment(self.plan, first, self.batch, self.keys),
            Shipment(self.plan, second, self.batch, self.keys),
        )


def _fingerprint(origin: str, request: ImportRequest, content: str) -> str:
    asked = [
        origin,
        request.entity,
        request.operation.value,
        request.match_key,
        [[mapping.column, mapping.field] for mapping in request.mappings],
        content,
        *([] if request.activity_type is None else [request.activity_type]),
    ]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:_FINGERPRINT_CHARACTERS]
