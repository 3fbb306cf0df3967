"""The states a job goes through, the same for both directions and every API."""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never


class JobStatus(StrEnum):
    """A job's state; adapters translate their API's own words into these."""

    PENDING = "pending"
    VALIDATING = "validating"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended and will not change any more."""
        match self:
            case JobStatus.PENDING | JobStatus.VALIDATING | JobStatus.PROCESSING:
                return False
            case JobStatus.COMPLETED | JobStatus.FAILED | JobStatus.CANCELLED:
                return True
            case _:
                assert_never(self)
