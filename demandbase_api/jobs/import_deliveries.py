"""The jobs of added rows that a state covers: a later file with equal rows is another delivery.

Their journal entries are gone, and the job list does not say whether a run has ended well.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from demandbase_api.files import call_in_folder, write_atomically
from demandbase_api.jobs.import_list import MAX_AGE
from demandbase_api.jobs.import_lock import api_digest

if TYPE_CHECKING:
    from pathlib import Path

    from demandbase_api.clock import Clock

logger = logging.getLogger(__name__)


class ImportDeliveries:
    """The jobs of the last 24 hours, in one small file for each entity.

    Only the run that has the entity's lock writes it. Without the file, equal rows that are added
    within 24 hours are taken for the same.

    Args:
        folder: Folder of the files; created with the first one.
        origin: The API.
        clock: Time.
    """

    def __init__(self, folder: Path, origin: str, clock: Clock) -> None:
        self._folder = folder
        self._origin = origin
        self._clock = clock
        self._has_warned = False

    def jobs(self, entity: str) -> frozenset[str]:
        """Return the ids of the jobs whose rows have been delivered."""
        return frozenset(self._read(entity))

    def add(self, entity: str, job_id: str) -> None:
        """Add a job. A file that cannot be written is only a warning: the rows have landed."""
        now = self._clock.utc()
        jobs = {each: at for each, at in self._read(entity).items() if now - at < MAX_AGE}
        jobs[job_id] = now
        text = json.dumps({each: at.isoformat() for each, at in jobs.items()})
        try:
            call_in_folder(self._folder, partial(write_atomically, self._path(entity), text))
        except OSError as error:
            if not self._has_warned:
                self._has_warned = True
                logger.warning(
                    "Cannot write to state_dir which imports have been delivered: %s. Equal rows "
                    "that are added within 24 hours are taken for the same.",
                    error.strerror or "the operation failed",
                )

    def _read(self, entity: str) -> dict[str, datetime]:
        try:
            found = msgspec.json.decode(self._path(entity).read_bytes(), type=dict[str, datetime])
        except (OSError, ValueError):
            return {}
        return {job_id: at for job_id, at in found.items() if at.tzinfo is not None}

    def _path(self, entity: str) -> Path:
        return self._folder / f"{entity}-{api_digest(self._origin)}.delivered"
