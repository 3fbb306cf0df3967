"""What a run orders of exports, and how it has them run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from demandbase_api.job_watch import PollPolicy

if TYPE_CHECKING:
    from demandbase_api.adoption import TakenJob
    from demandbase_api.models import ExportRequest
    from demandbase_api.quota import QuotaPatience
    from demandbase_api.retry import RetryPolicy


@dataclass(frozen=True, slots=True)
class ExportOrder:
    """One export that the run needs.

    Args:
        request: What to ask for.
        taken: The last job of this kind that has been delivered; it is not adopted again.
    """

    request: ExportRequest
    taken: TakenJob | None = None


@dataclass(frozen=True, slots=True)
class ExportPolicy:
    """How export jobs are run.

    Args:
        max_concurrent_jobs: How many may run at a time.
        job_reuse_hours: How old a job may be that is adopted; 0 for none.
        retry: How a creation is repeated that cannot have happened.
        quota: How long to wait for a new quota.
        poll: How to wait for somebody else's job to end.
    """

    max_concurrent_jobs: int
    job_reuse_hours: float
    retry: RetryPolicy
    quota: QuotaPatience
    poll: PollPolicy = field(default_factory=PollPolicy)
