"""Reads a job list no further than is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime


class _Created(Protocol):
    @property
    def created_at(self) -> datetime | None: ...


J = TypeVar("J", bound=_Created)


def recent(jobs: Iterable[J], since: datetime) -> Iterator[J]:
    """Yield the jobs that are not older than ``since``.

    The list is read to its first older job where it comes newest first. The contract does not
    say how it is sorted: where it does not, all of it is read.
    """
    last: datetime | None = None
    is_sorted = True
    for job in jobs:
        created = job.created_at
        if created is not None:
            is_sorted = is_sorted and (last is None or created <= last)
            last = created
            if created < since:
                if is_sorted:
                    return
                continue
        yield job
