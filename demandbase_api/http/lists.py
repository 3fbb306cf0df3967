"""Lists of an API: all pages, each job once, and no end without one."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from demandbase_api.clock import SystemClock
from demandbase_api.errors import UnexpectedResponseError
from demandbase_api.http.json_reader import unreadable
from demandbase_api.models import JobStatus
from demandbase_api.ports import Job
from demandbase_api.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from demandbase_api.clock import Clock
    from demandbase_api.errors import ApiOperation

    FetchPage = Callable[[int, int], "Page"]
    """Returns a page by its number, from 0, and the number of items before it."""

logger = logging.getLogger(__name__)

J = TypeVar("J", bound=Job)

PAGE_SIZE = 100
MAX_PAGES = 10_000
"""Maximum number of pages of a list; it has as many items at most as pages of the usual size."""
PROGRESS_SECONDS = 10.0
"""Time between two log lines about a list that takes long."""
_PASSES = 3
_OLD_PAGES = 2
"""Consecutive pages without a new item after which a list ends. One may come from items that moved
to the next page while the list was read."""
_WORD_LENGTH = 40


class Page(NamedTuple):
    """A page of a list, with the number of items in all of the list if it is known."""

    items: list[object]
    total: int | None


def read_page(operation: ApiOperation, data: dict[str, Any], items: str, total: str) -> Page:
    """Return the page in a response.

    Args:
        operation: Operation of the API, for errors.
        data: The response.
        items: Name of the member with the items.
        total: Name of the member with their total number.

    Raises:
        UnexpectedResponseError: The items are missing.
    """
    count = data.get(total)
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        count = None  # some servers say -1 for a number that they do not know
    listed = data.get(items)
    if listed is None and count == 0:
        listed = []
    if not isinstance(listed, list):
        raise unreadable(operation, data, items)
    return Page(listed, count)


class ListReader:
    """Reads the lists of an API. It warns of each kind of trouble once.

    Args:
        kind: "export" or "import", for messages.
        scrub: Masks the client's secrets in a text.
        clock: Time, for the log.
    """

    def __init__(
        self, kind: str, scrub: Callable[[str], str] = str, clock: Clock | None = None
    ) -> None:
        self._kind = kind
        self._scrub = scrub
        self._clock = clock or SystemClock()
        self._warned: set[tuple[str, str]] = set()

    def jobs(
        self,
        operation: ApiOperation,
        fetch: FetchPage,
        member: str,
        read: Callable[[ApiOperation, object], J],
        *,
        complete: bool,
    ) -> Iterator[J]:
        """Yield the jobs of all pages, each once: jobs move when others are created.

        Jobs that cannot be read are left out: the list has those of other clients, too.

        Args:
            operation: Operation of the API.
            fetch: Requests a page.
            member: Name of the member with a job's id.
            read: Reads a job.
            complete: Whether to raise if the list cannot be read completely, in place of a warning.

        Raises:
            UnexpectedResponseError: There are too many pages, or some cannot be read.
        """
        seen: set[str] = set()
        for item in self.items(operation, fetch, member, complete=complete):
            try:
                job = self.checked(read(operation, item))
            except UnexpectedResponseError as error:
                self._warn("job", self._kind, "A job in the list is left out: %s", error)
                continue
            if job.id not in seen:
                seen.add(job.id)
                yield job

    def checked(self, job: J) -> J:
        """Return a job whose texts contain no secret; warn once of each status that is unknown."""
        job = replace(  # type: ignore[type-var]
            job,
            error_message=job.error_message and self._scrub(job.error_message),
            status_word=self._scrub(job.status_word),
        )
        if job.status is JobStatus.UNKNOWN:
            word = redact(job.status_text)[:_WORD_LENGTH]
            self._warn(
                "status",
                word,
                "The %s job %s has the unknown status “%s”: it counts as not ended",
                self._kind,
                job.id,
                word,
            )
        return job

    def items(
        self,
        operation: ApiOperation,
        fetch: FetchPage,
        member: str | None = None,
        *,
        number: str | None = None,
        complete: bool,
    ) -> Iterator[object]:
        """Yield the items of all pages.

        The end is an empty page, the total, or pages that bring nothing new. If the pages have
        fewer items than the total, because items moved or the list lags behind, they are read
        again, at most twice: an item may be yielded more than once.

        Args:
            operation: Operation of the API.
            fetch: Requests a page.
            member: Name of the member that identifies an item. ``None`` if all of it does.
            number: Name of the member without which several items may be equal.
            complete: Whether to raise if the list cannot be read completely, in place of a warning.

        Raises:
            UnexpectedResponseError: There are too many pages, or some cannot be read.
        """
        identity = _Identity(member, number)
        for _ in range(_PASSES):
            if (yield from self._pass(operation, fetch, identity, complete=complete)):
                return
        if complete:
            logger.warning(
                "Demandbase lists fewer items than it counts when asked to %s", operation.value
            )

    def _pass(
        self, operation: ApiOperation, fetch: FetchPage, identity: _Identity, *, complete: bool
    ) -> Generator[object, None, bool]:
        """Yield the items of all pages; return whether another pass would be useless."""
        known: set[int] = set()
        received = old_pages = 0
        logged = self._clock.now()
        for number in range(MAX_PAGES):
            items, total = fetch(number, received)
            received += len(items)
            if received > MAX_PAGES * PAGE_SIZE:
                break
            if self._clock.now() - logged >= PROGRESS_SECONDS:
                logged = self._clock.now()
                logger.info(
                    "Demandbase was asked to %s, and has sent %d items on %d pages so far",
                    operation.value,
                    received,
                    number + 1,
                )
            keys = {identity.key(item) for item in items}
            if keys <= known and (total is None or not any(map(identity.may_repeat, items))):
                old_pages += 1
            else:
                old_pages = 0
                yield from items
            known |= keys
            has_all = total is not None and received >= total
            if not items:
                return has_all or total is None
            if has_all and not old_pages:
                return True
            if old_pages == _OLD_PAGES:
                self._end_early(operation, complete=complete)
                return True
        raise UnexpectedResponseError(
            operation,
            f"did not end the list in {MAX_PAGES:,} pages or {MAX_PAGES * PAGE_SIZE:,} items",
        )

    def _end_early(self, operation: ApiOperation, *, complete: bool) -> None:
        error = UnexpectedResponseError(
            operation,
            "gave the same items on further pages",
            advice="The list may be longer than what was read.",
        )
        if complete:
            raise error
        self._warn(operation, "pages", "%s", error)

    def _warn(self, topic: str, detail: str, message: str, *args: object) -> None:
        if (topic, detail) not in self._warned:
            self._warned.add((topic, detail))
            logger.warning(message, *args)


class _Identity(NamedTuple):
    """What tells the items of a list apart; see ``ListReader.items``."""

    member: str | None
    number: str | None

    def key(self, item: object) -> int:
        """Return what identifies an item: a member of it, or all of it."""
        value = _member(item, self.member)
        return hash(value if isinstance(value, str | int) else msgspec.json.encode(item))

    def may_repeat(self, item: object) -> bool:
        """Return whether an equal item may be another one."""
        return self.member is None and _member(item, self.number) is None


def _member(item: object, name: str | None) -> object:
    return item.get(name) if name is not None and isinstance(item, dict) else None
