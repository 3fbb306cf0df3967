"""When to poll a job: as an earlier job of its size suggests, else at intervals that grow.

A poll that comes late costs the user time, one that comes early costs a call. So the first poll
comes at the age at which the shortest of the latest jobs of this size was last seen to run. From
then on polls are close together at first. Only this machine's clock counts: no document says how
exact the server's times are.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

    from demandbase_api.models import ExportRequest

_GROWTH = 1.5
_CLOSER = 8
"""How much shorter the first interval is if the end of the job is near."""
_SHARE = 0.02
"""Share of a job's time that one interval may always take."""
_EARLIER = 0.5
"""Share of a job's time after which it may have ended, if it had ended at its first poll."""
_LATEST = 3
"""Number of jobs that count: the server may have become faster or slower since earlier ones."""
_KEPT = 64
_TOLERANCE = 0.01
_SIMILAR = 2
"""How many times as large a job of about the same size may be."""


@dataclass(frozen=True, slots=True)
class PollPolicy:
    """How often to poll jobs, and for how long.

    Args:
        interval_seconds: First interval between two polls. Each is 1.5 times the previous one.
        interval_max_seconds: Longest interval.
        timeout_seconds: Maximum time to wait for a job.
    """

    interval_seconds: float = 2
    interval_max_seconds: float = 60
    timeout_seconds: float = 21600

    @property
    def longest(self) -> float:
        """Longest interval."""
        return max(self.interval_seconds, self.interval_max_seconds)

    def seconds_before(self, poll: int) -> float:
        """Return the seconds to wait before a poll; the first, number 0, is immediate."""
        return _grown(self.interval_seconds, self.longest, poll)


@dataclass(frozen=True, slots=True)
class JobSize:
    """What the time of a job depends on.

    Args:
        kind: Jobs of different kinds cannot be compared.
        amount: Size within the kind, above 0, such as the number of rows.
    """

    kind: Hashable
    amount: float

    @classmethod
    def of_import(cls, entity: str, rows: int) -> JobSize:
        """Return the size of an import."""
        return cls(entity, max(1, rows))

    @classmethod
    def of_export(cls, request: ExportRequest) -> JobSize:
        """Return the size of an export, whose rows are not known yet: its days and ids."""
        days = None if request.date_range is None else request.date_range.days
        lists = request.account_lists, request.person_lists
        what = request.report_type, request.sources, bool(request.ids), days is None
        return cls((request.entity, lists, what), (days or 1) * max(1, len(request.ids)))


class JobTimes:
    """How long the jobs of a run have taken, by their size."""

    def __init__(self) -> None:
        self._times: defaultdict[Hashable, deque[tuple[float, float]]] = defaultdict(
            lambda: deque(maxlen=_KEPT)
        )

    def add(self, size: JobSize, running: float | None, ended: float) -> None:
        """Add a job that has completed.

        Args:
            size: Its size.
            running: Its age in seconds when a poll showed for the last time that it ran, if any.
            ended: Its age when a poll showed its end.
        """
        ran = ended * _EARLIER if running is None else running
        self._times[size.kind].appendleft((size.amount, ran))

    def shortest(self, size: JobSize) -> float | None:
        """Return the shortest time that jobs of about a size took, of the latest ones.

        Of a larger job, the part of its time counts that is in proportion to the size.
        """
        like = (
            ran * min(1.0, size.amount / amount)
            for amount, ran in tuple(self._times.get(size.kind, ()))
            if 1 / _SIMILAR <= size.amount / amount <= _SIMILAR
        )
        return min(islice(like, _LATEST), default=None)


def may_have_ended(age: float, shortest: float | None) -> bool:
    """Return whether a job of some age may have ended, if the shortest time is known or not."""
    return shortest is None or age > shortest - _TOLERANCE


def seconds_to_next(
    policy: PollPolicy, age: float, shortest: float | None, polls: int, jitter: float = 1.0
) -> float:
    """Return the seconds until the next poll of a job.

    Args:
        policy: The limits.
        age: Age of the job now, in seconds.
        shortest: The shortest time that jobs of its size took. ``None`` if it is not known.
        polls: Number of its polls until now, without those before that time.
        jitter: Factor that shortens an interval, from 0.8 to 1.
    """
    if shortest is not None and not may_have_ended(age, shortest):
        return min(policy.longest * jitter, shortest - age)
    first = policy.interval_seconds
    if shortest is not None:
        first = min(first, max(first / _CLOSER, shortest * _SHARE))
    return _grown(first, policy.longest, polls) * jitter


def _grown(first: float, longest: float, number: int) -> float:
    """Return an interval of a series; number 0, before the first poll, is 0."""
    if number == 0:
        return 0.0
    # The exponent is bounded: a float must not overflow during a wait of many hours.
    return min(longest, first * _GROWTH ** min(number - 1, 64))
