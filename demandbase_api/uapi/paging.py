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
    twice. A page that brings nothing is the end, whatever the total says.
    """
    seen: set[str] = set()
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
        total = answer.optional("totalCount", int)
        if not readers or (total is not None and received >= total):
            return
        page += 1
