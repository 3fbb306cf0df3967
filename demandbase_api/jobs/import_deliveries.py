"""The jobs of added rows that a state covers: a later file with equal rows is another delivery.

Their journal entries are gone, and the job list does not say whether a run has ended well.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from demandbase_api.errors import StateError
from demandbase_api.jobs.import_list import MAX_AGE
from demandbase_api.jobs.import_lock import api_digest

if TYPE_CHECKING:
    from demandbase_api.clock import Clock
    from demandbase_api.state.ports import StateStore

logger = logging.getLogger(__name__)


class ImportDeliveries:
    """The jobs of the last 24 hours, in one small object for each entity.

    Without the object, equal rows that are added within 24 hours are taken for the same. Only the
    run that has the entity's lock writes it, or has had it: a run that was asleep while another one
    took its place must not undo what that one wrote.

    Args:
        store: Keeps the objects.
        origin: The API.
        clock: Time.
    """

    def __init__(self, store: StateStore, origin: str, clock: Clock) -> None:
        self._store = store
        self._origin = origin
        self._clock = clock
        self._has_warned = False

    def jobs(self, entity: str) -> frozenset[str]:
        """Return the ids of the jobs whose rows have been delivered.

        Raises:
            StateError: The store cannot be read.
        """
        return frozenset(_decode(self._store.get(self._name(entity))))

    def add(self, entity: str, job_id: str) -> None:
        """Add a job. A failing store is only a warning: the rows have landed."""
        now = self._clock.utc()

        def added(content: bytes | None) -> bytes:
            known = _decode(content)
            jobs = {each: at for each, at in known.items() if now - at < MAX_AGE} | {job_id: now}
            return json.dumps({each: at.isoformat() for each, at in jobs.items()}).encode()

        try:
            self._store.update(self._name(entity), added)
        except StateError as error:
            if not self._has_warned:
                self._has_warned = True
                logger.warning(
                    "Cannot write to state_dir which imports have been delivered: %s. Equal rows "
                    "that are added within 24 hours are taken for the same.",
                    error.reason,
                )

    def _name(self, entity: str) -> str:
        return f"delivered-{entity}-{api_digest(self._origin)}.jobs"


def _decode(content: bytes | None) -> dict[str, datetime]:
    """Return when each job was delivered; a damaged object has none."""
    try:
        found = msgspec.json.decode(content or b"{}", type=dict[str, datetime])
    except ValueError:
        return {}
    return {job_id: at for job_id, at in found.items() if at.tzinfo is not None}
