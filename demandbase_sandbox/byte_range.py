"""The Range header of a request for a file."""

from __future__ import annotations

import re

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


def asked_range(header: str, size: int) -> tuple[int, int] | None:
    """Return start and end (exclusive) of what is asked for; ``None`` means the whole file.

    What is no single range of bytes counts as none. A start at or after the end of the
    file comes back as it is: the caller answers 416.
    """
    found = _RANGE.fullmatch(header.strip())
    if found is None or found[1] == found[2] == "":
        return None
    if not found[1]:
        return (max(0, size - int(found[2])), size) if int(found[2]) else (size, size)
    start = int(found[1])
    end = int(found[2]) + 1 if found[2] else size
    if found[2] and end <= start:
        return None
    return start, min(size, end)
