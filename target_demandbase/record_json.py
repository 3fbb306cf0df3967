"""Records as messages, as they are kept beside their rows."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

import simplejson

if TYPE_CHECKING:
    from collections.abc import Mapping


def record_message(stream: str, record: Mapping[str, Any]) -> bytes:
    """Return a RECORD message as one line of JSON; decimals keep their digits."""
    text: str = simplejson.dumps(
        {"type": "RECORD", "stream": stream, "record": record},
        use_decimal=True,
        # Not JSON, but Python's readers take it: a dead letter then tells of it as a text.
        allow_nan=True,
        separators=(",", ":"),
        default=_other,
    )
    # Only ASCII: halves of characters, which UTF-8 cannot hold, stay as they came.
    return text.encode("ascii") + b"\n"


def _other(value: object) -> str:
    """Return the text of what only a stream map can have put into a record."""
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    return str(value)
