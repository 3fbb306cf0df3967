"""Walks the v1 API's ``limit``/``offset`` lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demandbase_api.json_reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from demandbase_api.http import HttpClient
    from demandbase_api.operations import ApiOperation

PAGE_SIZE = 100
_PASSES = 3


def pages(
    http: HttpClient,
    operation: ApiOperation,
    path: str,
    member: str,
    params: Mapping[str, str] | None = None,
) -> Iterator[Reader]:
    """Yield the objects of all pages.

    The next page starts after what was received, so a server that caps ``limit`` skips
    nothing; the end is an empty page or the server's ``total``. Where the pages held fewer than
    ``total``, since they moved while they were read, they are read again, at most twice: an
    object may come more than once.
    """
    for _ in range(_PASSES):
        offset = 0
        while True:
            query = {**(params or {}), "limit": PAGE_SIZE, "offset": offset}
            answer = Reader(operation, http.read(operation, path, query))
            items = answer.objects(member)
            yield from items
            offset += len(items)
            total = answer.optional("total", int)
            if total is not None and offset >= total:
                return
            if not items:
                break
        if total is None:
            return


def each_once(readers: Iterator[Reader]) -> Iterator[Reader]:
    """Yield each job once: one that is created meanwhile pushes others onto the next page."""
    seen: set[str] = set()
    for reader in readers:
        job_id = reader.required("id", str)
        if job_id not in seen:
            seen.add(job_id)
            yield reader
