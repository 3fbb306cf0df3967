"""Reading of a response's JSON into msgspec structs.

A member without a default is needed: if it is missing, null or of another type, that is an error.
Any other member has its default then, so that an odd value of a member that nothing depends on
ends no run. Unknown members are ignored.

The messages of msgspec quote values, so none of them is shown.
"""

from __future__ import annotations

import codecs
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec

from demandbase_api.errors import UnexpectedResponseError
from demandbase_api.models import NO_ZONE

if TYPE_CHECKING:
    from demandbase_api.errors import ApiOperation

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")

Text = Annotated[str, msgspec.Meta(min_length=1)]
"""A text that must not be empty."""

JobId = Text | int
"""Id of a job: some servers give a number."""

_EPOCH = datetime.fromtimestamp(0, UTC)


def parse(body: bytes) -> Any:  # noqa: ANN401 - any JSON
    """Return the value of a JSON text.

    Raises:
        ValueError: The text is not JSON, or nested too deeply to be read.
    """
    try:
        return msgspec.json.decode(body.removeprefix(codecs.BOM_UTF8))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read(operation: ApiOperation, data: object, kind: type[S]) -> S:
    """Return the members of a JSON object.

    Args:
        operation: Operation of the API, for errors.
        data: The object.
        kind: Its members.

    Raises:
        UnexpectedResponseError: The value is no object, or a needed member cannot be read. The
            error names the member and does not show its value.
    """
    if not isinstance(data, dict):
        raise UnexpectedResponseError(operation, "gave something other than an object in a list")
    whole = _convert(data, kind)
    if whole is not msgspec.UNSET:
        return whole
    # Some member is odd: they are read one by one.
    members: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        value = _convert(data.get(field.encode_name), field.type)
        if value is not msgspec.UNSET:
            members[field.name] = value
        elif field.required:
            raise unreadable(operation, data, field.encode_name)
    return kind(**members)


def _convert(value: object, kind: type[T]) -> T | msgspec.UnsetType:
    """Return a value of a type, or ``UNSET`` if it is of another: no error carries the value."""
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError):
        return msgspec.UNSET


def check_readable(
    operation: ApiOperation, data: object, found: msgspec.Struct, *members: str
) -> None:
    """Make sure that some members that may be missing are not there with an odd value.

    Args:
        operation: Operation of the API, for errors.
        data: The object.
        found: What was read of it.
        members: Attributes whose default is ``None``.

    Raises:
        UnexpectedResponseError: One cannot be read.
    """
    missing = {member for member in members if getattr(found, member) is None}
    for field in msgspec.structs.fields(found) if missing else ():
        if field.name in missing and _member(data, field.encode_name) is not None:
            raise unreadable(operation, data, field.encode_name)


def unreadable(operation: ApiOperation, data: object, member: str) -> UnexpectedResponseError:
    """Return the error for a member of an object that is missing or cannot be read."""
    if _member(data, member) is None:
        return UnexpectedResponseError(operation, f"left out the member “{member}”")
    return UnexpectedResponseError(operation, f"gave a member “{member}” that cannot be read")


def _member(data: object, name: str) -> object:
    return data.get(name) if isinstance(data, dict) else None


def moment(text: str | None) -> datetime | None:
    """Return a date-time in UTC; without an offset, with the zone ``NO_ZONE``.

    A text that is no date-time counts as missing. So does a time before 1970, which some servers
    send in place of null.
    """
    if text is None:
        return None
    try:
        read = datetime.fromisoformat(text)
        at = read.replace(tzinfo=NO_ZONE) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return at if at > _EPOCH else None
