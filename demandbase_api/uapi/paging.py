"""Walks the API's ``page``/``perPage`` lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from demandbase_api.job_source import Job
from demandbase_api.json_reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from demandbase_api.http import HttpClient
    from demandbase_api.operations import ApiOperation

PAGE_SIZE = 100
_PASSES = 3

J = TypeVar("J", bound=Job)


def pages(
    http: HttpClient,
    operation: ApiOperation,
    path: str,
    params: Mapping[str, str],
    read: Callable[[Reader], J],
) -> Iterator[J]:
    """Yield what all pages hold, newest first, each once.

    One that is created while the list is read pushes others onto the next page, which then come
    twice. Where the pages held fewer than the total, since they moved or the list lags behind,
    they are read again, at most twice.
    """
    seen: set[str] = set()
    for _ in range(_PASSES):
        received = 0
        page = 1
        while True:
            query = {**params, "sort": "descending", "page": page, "perPage": PAGE_SIZE}
            answer = Reader(operation, http.read(operation, path, query))
            readers = answer.objects("data")
            for reader in readers:
                job = read(reader)
                if job.id not in seen:
                    seen.add(job.id)
                    yield job
            received += len(readers)
            page += 1
            total = answer.optional("totalCount", int)
            if total is not None and received >= total:
                return
            if not readers:
                break
        if total is None:
            return
