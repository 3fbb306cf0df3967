"""What the responses of a tenant show, and what findings may say of it: no value of a record."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from dataclasses import field as member
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from demandbase_api.ports import ResponseObserver
from demandbase_api.redaction import MASK, mask_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from demandbase_api.clock import Clock
    from demandbase_api.errors import ApiOperation

MAX_NAMES = 20
"""Names in one finding."""


class Verdict(StrEnum):
    """Whether a tenant is as this project assumes."""

    AS_ASSUMED = "as assumed"
    DIFFERS = "differs"
    SEEN = "seen"
    """What was found is no answer, but a fact that belongs to one."""
    NOT_SEEN = "not seen"
    """The tenant has nothing that shows it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about a guess.

    Args:
        verdict: Whether the guess is right.
        says: What was found, without values of records.
    """

    verdict: Verdict
    says: str


def as_assumed(says: str) -> Finding:
    """Return the finding that a guess is right."""
    return Finding(Verdict.AS_ASSUMED, says)


def differs(says: str) -> Finding:
    """Return the finding that a guess is wrong."""
    return Finding(Verdict.DIFFERS, says)


def seen(says: str) -> Finding:
    """Return a fact."""
    return Finding(Verdict.SEEN, says)


def not_seen(why: str) -> Finding:
    """Return the finding that nothing shows it."""
    return Finding(Verdict.NOT_SEEN, why)


def judged(says: str, *, is_right: bool) -> Finding:
    """Return whether a guess is right."""
    return as_assumed(says) if is_right else differs(says)


class Received(NamedTuple):
    """The JSON of a response, and when it came by the local clock."""

    at: datetime
    operation: ApiOperation
    document: object


@dataclass
class Evidence(ResponseObserver):
    """The responses of an API, from the first on.

    Args:
        clock: Local clock.
    """

    clock: Clock
    received: list[Received] = member(default_factory=list)
    offsets: list[float] = member(default_factory=list)
    """Seconds by which the ``Date`` of each response is ahead of the local clock."""
    without_date: int = 0
    file_headers: dict[str, str] = member(default_factory=dict)
    """Headers of the last file, in lower case."""

    def headers(self, operation: ApiOperation, headers: Mapping[str, str]) -> None:
        """Receive the headers of a response."""
        found = {name.lower(): value for name, value in headers.items()}
        if operation.gives_files:
            self.file_headers = found
        date = _time(found.get("date"))
        if date is None:
            self.without_date += 1
        else:
            self.offsets.append((date - self.clock.utc()).total_seconds())

    def document(self, operation: ApiOperation, document: object) -> None:
        """Receive the JSON of a response."""
        self.received.append(Received(self.clock.utc(), operation, document))

    def documents(self, *operations: ApiOperation) -> list[object]:
        """Return the JSON of all responses to some operations."""
        return [each.document for each in self.received if each.operation in operations]


def _time(header: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(header or "")
    except (ValueError, OverflowError):
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def listed(document: object, name: str) -> list[object]:
    """Return the items of a page."""
    items = document.get(name) if isinstance(document, dict) else None
    return items if isinstance(items, list) else []


def kind_of(value: object) -> str:
    """Return the JSON type of a value."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
        case list():
            return "list"
        case _:
            return "object"


def names(found: Iterable[str], *, most: int = MAX_NAMES) -> str:
    """Return names of members and fields as a text; what is no identifier is masked."""
    known = sorted({mask_name(name) for name in found})
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more if known else "none"


def label(text: str) -> str:
    """Return a label or a qualified name; masked if it has other characters than such have."""
    return text if _LABEL.fullmatch(text) else MASK


_LABEL = re.compile(r"(\{\w{1,40}\}\.)?\w[\w ()/.-]{0,80}")


def counts(found: Mapping[str, int]) -> str:
    """Return numbers of things by their names, the most frequent first."""
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {number:,}" for name, number in ordered if number) or "none"


_ZONES = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?Z"), "with Z"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?[+-]\d\d:?\d\d"), "with an offset"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?"), "without a zone"),
)


def time_form(text: str) -> str:
    """Return the form of a time of the API."""
    return next((form for pattern, form in _ZONES if pattern.fullmatch(text)), "of another form")


def time_forms(documents: Iterable[object]) -> Counter[str]:
    """Return the forms of all times that are members of objects, by their number."""
    found: Counter[str] = Counter()
    for document in documents:
        if isinstance(document, dict):
            found.update(
                time_form(value)
                for name, value in document.items()
                if name.lower().endswith("at") and isinstance(value, str) and value[:1].isdigit()
            )
    return found
