"""Reading of a response's JSON: a missing or mistyped member is an error."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from demandbase_api.errors import UnexpectedResponseError
from demandbase_api.models import NO_ZONE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demandbase_api.errors import ApiOperation
    from demandbase_api.models import JobStatus


T = TypeVar("T")


class Reader:
    """Reads the members of a JSON object.

    Args:
        operation: Operation of the API, for errors.
        data: The object.

    Raises:
        UnexpectedResponseError: From every method, if a member is missing or mistyped. The error
            names the member and never shows its value.
    """

    def __init__(self, operation: ApiOperation, data: object) -> None:
        self._operation = operation
        if not isinstance(data, dict):
            raise self._unexpected("gave something other than an object in a list of objects")
        self._data: Mapping[str, Any] = data

    def _unexpected(self, problem: str) -> UnexpectedResponseError:
        return UnexpectedResponseError(self._operation, problem)

    def optional(self, name: str, kind: type[T]) -> T | None:
        """Return a member, or ``None`` if it is absent or null."""
        value = self._data.get(name)
        if value is None:
            return None
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self._unexpected(f"gave a member “{name}” that is not of type {kind.__name__}")
        return value

    def required(self, name: str, kind: type[T]) -> T:
        """Return a required member."""
        value = self.optional(name, kind)
        if value is None:
            raise self._unexpected(f"left out the member “{name}”")
        return value

    def moment(self, name: str) -> datetime | None:
        """Return a date-time member in UTC; without an offset, with the zone ``NO_ZONE``."""
        text = self.optional(name, str)
        if text is None:
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise self._unexpected(f"gave a member “{name}” that is not a date-time") from None
        return moment.replace(tzinfo=NO_ZONE) if moment.tzinfo is None else moment.astimezone(UTC)

    def status(self, name: str, words: Mapping[str, JobStatus]) -> JobStatus:
        """Return the status of a job. The error shows a status that the contract does not have.

        Args:
            name: Name of the member.
            words: Status by word of the API, in lower case.
        """
        word = self.required(name, str)
        try:
            return words[word.lower()]
        except KeyError:
            raise self._unexpected(
                f"gave a job the unknown status “{word[:40]}” (known: {', '.join(words)})"
            ) from None

    def objects(self, name: str) -> list[Reader]:
        """Return the objects of a list member; an absent member is an empty list."""
        return [Reader(self._operation, item) for item in self.optional(name, list) or ()]
