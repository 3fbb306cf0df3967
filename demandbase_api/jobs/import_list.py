"""The imports that the job list shows: the journal of runs whose state folder is gone.

The names of files say which rows a job was sent, and outlive the disk of the run that sent them.
"""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple

from demandbase_api.deadline import Deadline
from demandbase_api.jobs.job_reader import recent

if TYPE_CHECKING:
    from datetime import datetime

    from demandbase_api.clock import Clock
    from demandbase_api.models import ImportJob
    from demandbase_api.ports import ImportApi


MAX_AGE = timedelta(hours=24)
"""Older jobs are not resumed: what they wrote may have been changed since."""

_LIST_SECONDS = 60.0
_NEEDED_LIST_SECONDS = 600.0
"""Time for a list without which nothing can be sent."""
_OLDER_JOBS = 100
"""Older jobs in a row at which reading ends: a list may be sorted by something like creation."""
_FILE_NAME = re.compile(r"(.+)-([0-9a-f]{32})(-\d+)?(-\d{8}T\d{12})?\.csv")
"""What this product calls the files that it sends; see ``ImportFile``."""


class SentRows(NamedTuple):
    """What the name of a file says of its rows.

    Args:
        stream: The stream that they came from, as names of files have it.
        digest: Digest of the file and of the request for its import.
    """

    stream: str
    digest: str


def sent_rows(file_name: str | None) -> SentRows | None:
    """Return what the name of a file says; ``None`` if this product did not send the file."""
    found = _FILE_NAME.fullmatch(file_name or "")
    return None if found is None else SentRows(found[1], found[2])


class ImportList:
    """The jobs in the list that were sent by this product, whichever machine it ran on.

    Args:
        api: The import API.
        clock: Time.
    """

    def __init__(self, api: ImportApi, clock: Clock) -> None:
        self._api = api
        self._clock = clock

    def read(self, entity: str, *, is_needed: bool) -> list[ImportJob]:
        """Return the jobs of the last 24 hours, by the clock of the server, the newest first.

        Args:
            entity: The entity that they import into.
            is_needed: Whether nothing can be sent without the list.

        Raises:
            DemandbaseError: The list cannot be read.
        """
        seconds = _NEEDED_LIST_SECONDS if is_needed else _LIST_SECONDS
        deadline = Deadline.after(self._clock, seconds)
        jobs = iter(self._api.jobs(deadline))
        first = list(islice(jobs, 1))  # the response that has it says what time it is
        found = [
            job
            for job in recent(chain(first, jobs), self.now() - MAX_AGE, older=_OLDER_JOBS)
            if job.entity in {None, entity} and sent_rows(job.file_name) is not None
        ]
        return sorted(found, key=self.age)

    def age(self, job: ImportJob) -> timedelta:
        """Return the age of a job; that of an old one if its creation time is unknown."""
        return MAX_AGE if job.created_at is None else self.now() - job.created_at

    def now(self) -> datetime:
        """Return the server's time, or else this machine's."""
        return self._api.server_time() or self._clock.utc()
