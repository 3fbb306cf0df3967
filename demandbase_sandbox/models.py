"""Base classes and types of the request and response models of both APIs."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from demandbase_sandbox.clock import rfc3339


def _encodable(text: str) -> str:
    # JSON can spell half of a surrogate pair, which cannot be encoded as UTF-8.
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it holds half of a surrogate pair") from None
    return text


Text = Annotated[str, AfterValidator(_encodable)]

# An optional member may be absent, but not null, so its type does not include None.
ABSENT: Any = None

Timestamp = Annotated[str, BeforeValidator(lambda value: rfc3339(value) if value else value)]
"""A time as the APIs write it."""


class Body(BaseModel):
    """A request's object: wrong types, nulls and unknown members are rejected."""

    model_config = ConfigDict(strict=True, extra="forbid")

    def members(self) -> dict[str, Any]:
        """Return the members that have a value, by their names in the API."""
        return self.model_dump(exclude_none=True, by_alias=True)


class Document(BaseModel):
    """A response's object, built from the attributes of another object."""

    model_config = ConfigDict(from_attributes=True)
